"""The nightly job of the component `backup`, on a real database: encrypt, remove, decrypt, restore; what it refuses."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from pymongo import MongoClient

from deploy.backup import archive as disk
from deploy.backup import encryption
from deploy.backup.nightly import NAME, prune
from deploy.manifests.kustomize import DEPLOY
from tests.deploy.image import as_user, environment, lay_out
from tests.deploy.test_backup import WORDS, Terminal, terminal  # noqa: F401 - `terminal` is a fixture
from tests.support.servers import PATIENCE

Client = MongoClient[dict[str, Any]]
NOW = datetime(2026, 11, 23, 2, 20, tzinfo=UTC)
SERVICES = ("presence", "routing", "transcripts")
MARKED = 3_000  # documents, each with words that no file of an encrypted backup contains


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key pairs as docs/backup.md makes them: `backup`, `other`, and `closed`, whose key has a passphrase."""
    folder = tmp_path_factory.mktemp("keys")
    for name, protected in (("backup", ("-nodes",)), ("other", ("-nodes",)), ("closed", ("-passout", "pass:secret"))):
        command = ["openssl", "req", "-x509", "-newkey", "rsa:3072", *protected, "-subj", "/CN=backup", "-days", "3650"]
        files = ("-keyout", folder / f"{name}.key", "-out", folder / f"{name}.crt")
        subprocess.run([*command, *files], check=True, capture_output=True)
    return folder


@pytest.fixture
def volume(tmp_path: Path) -> Path:
    """The volume of the backups."""
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups"


@pytest.fixture
def marked(terminal: Terminal) -> Terminal:  # noqa: F811
    entries = terminal.client[f"{terminal.prefix}transcripts"]["entries"]
    entries.insert_many({"_id": f"marked:{n}", "seq": 10_000 + n, "text": f"{WORDS} {n}"} for n in range(MARKED))
    return terminal


def nightly(terminal: Terminal, volume: Path, keys: Path, **environ: str) -> subprocess.CompletedProcess[str]:  # noqa: F811
    """Run the job as the component does, with a temporary folder of its own, which it leaves empty."""
    temporary = volume.parent / "temporary"
    temporary.mkdir(exist_ok=True)
    given = {"BACKUP_FOLDER": str(volume), "BACKUP_CERTIFICATE": str(keys / "backup.crt"), "BACKUP_DAYS": "14"}
    done = terminal.run(("-m", "deploy.backup.nightly"), TMPDIR=str(temporary), **{**given, **environ})
    assert list(temporary.iterdir()) == []
    return done


def made(volume: Path) -> Path:
    """The one backup in the volume."""
    (found,) = volume.iterdir()
    return found


def lose_everything(terminal: Terminal) -> None:  # noqa: F811
    for service in SERVICES:
        terminal.client.drop_database(terminal.prefix + service)


def copied(backup: Path, made_at: datetime) -> Path:
    """The same backup with the name of another time."""
    return Path(shutil.copytree(backup, backup.parent / made_at.strftime(NAME)))


def test_marked_documents_come_back_after_encryption_removal_and_restore(
    marked: Terminal, volume: Path, keys: Path
) -> None:
    before = marked.everything()
    old = datetime.now(UTC) - timedelta(days=15)
    (volume / old.strftime(NAME)).mkdir()
    done = nightly(marked, volume, keys)
    assert done.returncode == 0, done.stderr
    assert f"removed {volume / old.strftime(NAME)}" in done.stdout
    lose_everything(marked)
    restored = marked.do("restore", str(made(volume)), "--key", str(keys / "backup.key"))
    assert restored.returncode == 0, restored.stderr
    assert marked.everything() == before
    assert "5,510 documents" in restored.stdout


def test_the_volume_holds_nothing_that_can_be_read_without_the_key(marked: Terminal, volume: Path, keys: Path) -> None:
    assert nightly(marked, volume, keys).returncode == 0
    backup = made(volume)
    assert re.fullmatch(r"\d{8}T\d{6}Z", backup.name)
    assert sorted(file.name for file in backup.iterdir()) == ["manifest.json", "part-00000.cms"]
    for file in (backup, *backup.iterdir()):
        assert file.stat().st_mode & 0o077 == 0
        assert file.is_dir() or not re.search(b"rijksregister|marked|entries", file.read_bytes())
    about = ["openssl", "cms", "-cmsout", "-print", "-noout", "-inform", "DER", "-in", str(backup / "part-00000.cms")]
    reported = subprocess.run(about, capture_output=True, text=True, check=True).stdout
    assert all(word in reported for word in ("authEnvelopedData", "aes-256-gcm", "rsaesOaep"))


def encrypted(plain: Path, keys: Path, folder: Path) -> disk.Manifest:
    manifest = disk.read_manifest(plain)
    assert isinstance(manifest, disk.Manifest)
    folder.mkdir()
    return encryption.encrypt(plain, manifest, keys / "backup.crt", folder)


def test_a_large_backup_is_in_several_parts(
    marked: Terminal, keys: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encryption, "PART", 1 << 20)
    marked.backup()
    manifest = encrypted(marked.folder, keys, tmp_path / "encrypted")
    assert len(manifest.files) == 3
    (tmp_path / "plain").mkdir()
    arguments = (tmp_path / "encrypted", manifest, keys / "backup.key", "", tmp_path / "plain")
    assert encryption.decrypt(*arguments) is None
    files = [path.relative_to(marked.folder) for path in marked.folder.rglob("*") if path.is_file()]
    assert len(files) == 11
    assert all((tmp_path / "plain" / path).read_bytes() == (marked.folder / path).read_bytes() for path in files)
    manifest.files.pop("part-00002.cms")
    shutil.rmtree(tmp_path / "plain")
    (tmp_path / "plain").mkdir()
    refusal = encryption.decrypt(*arguments)
    assert refusal
    assert "holds no backup" in refusal.text


@pytest.mark.parametrize("name", ["../outside.bson", "/outside.bson", "a/b/c.bson", "manifest.sh", "link.bson"])
def test_an_archive_of_another_origin_writes_nothing_beside_the_folder(keys: Path, tmp_path: Path, name: str) -> None:
    """The certificate is public, so anyone who can write into the volume can make a part."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.type, member.linkname = (tarfile.SYMTYPE, "/etc/passwd") if name == "link.bson" else (member.type, "")
        archive.addfile(member)
    command = [*encryption.ENCRYPT, "-recip", str(keys / "backup.crt"), *encryption.OAEP]
    part = subprocess.run(command, input=zlib.compress(content.getvalue()), capture_output=True, check=True).stdout
    (tmp_path / "part-00000.cms").write_bytes(part)
    (tmp_path / "plain").mkdir()
    manifest = disk.Manifest("", "", "", {"part-00000.cms": disk.File(len(part), "")})
    refusal = encryption.decrypt(tmp_path, manifest, keys / "backup.key", "", tmp_path / "plain")
    assert refusal
    assert "holds no backup" in refusal.text
    assert list((tmp_path / "plain").iterdir()) == []
    assert not (tmp_path / "outside.bson").exists()


def test_a_key_with_a_passphrase(marked: Terminal, volume: Path, keys: Path) -> None:
    before = marked.everything()
    assert nightly(marked, volume, keys, BACKUP_CERTIFICATE=str(keys / "closed.crt")).returncode == 0
    arguments = ("restore", str(made(volume)), "--drop", "--key", str(keys / "closed.key"))
    assert "its passphrase is wrong" in marked.refused(*arguments, BACKUP_PASSPHRASE="guess")
    assert marked.do(*arguments, BACKUP_PASSPHRASE="secret").returncode == 0
    assert marked.everything() == before


def test_without_the_right_key_nothing_is_deleted(marked: Terminal, volume: Path, keys: Path) -> None:
    assert nightly(marked, volume, keys).returncode == 0
    before = marked.everything()
    arguments = ("restore", str(made(volume)), "--drop")
    assert "is encrypted: name the file of the private key" in marked.refused(*arguments)
    assert "cannot be decrypted with" in marked.refused(*arguments, "--key", str(keys / "other.key"))
    assert "No such file" in marked.refused(*arguments, "--key", str(keys / "none.key"))
    assert marked.everything() == before


@pytest.mark.parametrize("harm", ["a byte", "cut", "lost", "no manifest"])
def test_a_damaged_backup_is_refused_before_anything_is_deleted(
    marked: Terminal, volume: Path, keys: Path, harm: str
) -> None:
    assert nightly(marked, volume, keys).returncode == 0
    before, part = marked.everything(), made(volume) / "part-00000.cms"
    data = part.read_bytes()
    if harm == "a byte":
        part.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    elif harm == "cut":
        part.write_bytes(data[:-1])
    else:
        (part if harm == "lost" else part.with_name("manifest.json")).unlink()
    line = marked.refused("restore", str(made(volume)), "--drop", "--key", str(keys / "backup.key"))
    assert str(made(volume)) in line
    assert re.search("is not as it was written|cannot be read|no finished backup", line)
    assert marked.everything() == before


def test_a_part_that_was_changed_with_its_sum_is_refused(marked: Terminal, volume: Path, keys: Path) -> None:
    """The encryption itself authenticates each part."""
    assert nightly(marked, volume, keys).returncode == 0
    before, backup = marked.everything(), made(volume)
    part, manifest = backup / "part-00000.cms", backup / "manifest.json"
    was = subprocess.run(["sha256sum", part], capture_output=True, text=True, check=True).stdout.split()[0]
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    now = subprocess.run(["sha256sum", part], capture_output=True, text=True, check=True).stdout.split()[0]
    manifest.write_text(manifest.read_text().replace(was, now))
    line = marked.refused("restore", str(backup), "--drop", "--key", str(keys / "backup.key"))
    assert "cannot be decrypted with" in line
    assert marked.everything() == before


def test_what_the_job_cannot_do_it_says_and_leaves_nothing(marked: Terminal, volume: Path, keys: Path) -> None:
    away = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=300"
    for environ, reported in (
        ({"BACKUP_CERTIFICATE": str(keys / "backup.key")}, "not the certificate of an RSA key"),
        ({"BACKUP_CERTIFICATE": str(keys / "none.crt")}, "none.crt: No such file"),
        ({"MONGODB_URL": away}, "does not answer"),
        ({"MONGODB_PREFIX": "nobody_"}, "nothing to back up"),
    ):
        done = nightly(marked, volume, keys, **environ)
        assert done.returncode == 1
        assert reported in done.stderr
        assert list(volume.iterdir()) == []
    done = nightly(marked, volume, keys, BACKUP_DAYS="0")
    assert done.returncode == 1
    assert "BACKUP_DAYS=0 is not a number of days" in done.stderr
    assert made(volume).is_dir()


def test_old_backups_are_removed_and_the_last_good_one_never(marked: Terminal, volume: Path, keys: Path) -> None:
    assert nightly(marked, volume, keys).returncode == 0
    first = made(volume)
    ages = {age: copied(first, NOW - timedelta(days=age)) for age in (1, 13, 15, 40)}
    shutil.rmtree(first)
    (volume / "lost+found").mkdir()
    (volume / "unfinished-new").mkdir()
    (volume / "unfinished-old").mkdir()
    os.utime(volume / "unfinished-old", times=(0, (NOW - timedelta(days=2)).timestamp()))
    os.utime(volume / "unfinished-new", times=(0, (NOW - timedelta(hours=2)).timestamp()))
    assert prune(volume, 14, NOW) == [ages[15], ages[40], volume / "unfinished-old"]
    assert {path.name for path in volume.iterdir()} == {ages[1].name, ages[13].name, "lost+found", "unfinished-new"}
    # A year later both are old. The newer is damaged, so the other stays.
    (ages[1] / "part-00000.cms").write_bytes(b"")
    later = NOW + timedelta(days=365)
    assert prune(volume, 14, later) == [ages[1], volume / "unfinished-new"]
    (ages[13] / "manifest.json").unlink()
    assert prune(volume, 14, later) == []
    assert ages[13].is_dir()


# ── in the image ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def interpreter() -> Iterator[Path]:
    """The interpreter of the image of transcripts, laid out where another user may read."""
    with tempfile.TemporaryDirectory(prefix="images-") as name:
        Path(name).chmod(0o755)
        yield lay_out("transcripts", Path(name) / "transcripts")
        subprocess.run(["chmod", "-R", "u+w", name], check=True)


def test_the_job_runs_in_the_image_as_its_manifest_says(marked: Terminal, keys: Path, interpreter: Path) -> None:
    things = yaml.safe_load_all((DEPLOY / "components" / "backup" / "backup.yaml").read_text())
    (job,) = [thing for thing in things if thing["kind"] == "CronJob"]
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    user = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["securityContext"]["runAsUser"]
    given = environment("transcripts") | {one["name"]: one["value"] for one in container["env"] if "value" in one}
    with tempfile.TemporaryDirectory(prefix="volumes-") as name:
        home = Path(name)
        (home / "backups").mkdir()
        (home / "tmp").mkdir()
        (home / "certificate.pem").write_bytes((keys / "backup.crt").read_bytes())
        for folder in (home, home / "backups", home / "tmp"):
            folder.chmod(0o777)
        given |= {"PATH": f"{interpreter.parent}:/usr/bin:/bin", "TMPDIR": str(home / "tmp")}
        given |= {"BACKUP_FOLDER": str(home / "backups"), "BACKUP_CERTIFICATE": str(home / "certificate.pem")}
        given |= {"MONGODB_URL": marked.url, "MONGODB_PREFIX": marked.prefix}
        command = [*as_user(user), *container["command"]]
        done = subprocess.run(
            command, cwd=interpreter.parents[2] / "app", env=given, capture_output=True, text=True, timeout=5 * PATIENCE
        )
        assert done.returncode == 0, done.stderr
        assert list((home / "tmp").iterdir()) == []
        before = marked.everything()
        restored = marked.do("restore", str(made(home / "backups")), "--drop", "--key", str(keys / "backup.key"))
        assert restored.returncode == 0, restored.stderr
        assert marked.everything() == before
