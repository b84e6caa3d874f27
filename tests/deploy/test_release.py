"""`make release`: complete, the same bytes each time, and refused where something is not ready."""

import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import jsonschema
import pytest

from deploy.local.settings import SERVICES, Refusal
from deploy.manifests.checks.build import problems
from deploy.manifests.kustomize import overlays, parse
from deploy.release import __main__ as release
from deploy.release import bundles, images, sbom
from tests.deploy import closure
from tests.support.servers import ROOT

VERSION = closure.version()
MADE_AT = 1_796_000_000
SCHEMA = Path(__file__).parent / "schemas" / "cyclonedx.json"


def command(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """`make release`, with nothing of this environment."""
    environ |= {"PATH": "/usr/bin:/bin"}
    argv = [sys.executable, "-m", "deploy.release", *arguments]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, env=environ)


@pytest.fixture(scope="module")
def drafted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, subprocess.CompletedProcess[str]]:
    """A release without images, as the command makes it, and what it said."""
    home, registry = tmp_path_factory.mktemp("one"), "--registry=registry.stad.example/chat"
    done = command(VERSION, "--draft", registry, "--to", str(home), SOURCE_DATE_EPOCH=str(MADE_AT))
    return home / VERSION, done


@pytest.fixture(scope="module")
def two(
    drafted: tuple[Path, subprocess.CompletedProcess[str]], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path]:
    """The same release made twice, by the command and in this process, without images."""
    folder = tmp_path_factory.mktemp("two")
    entry = release.changelog_entry((ROOT / "CHANGELOG.md").read_text(), VERSION, draft=True)
    assert isinstance(entry, str)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("BASE", raising=False)
        assert release.make(folder, VERSION, entry, "registry.stad.example/chat", MADE_AT)
    return drafted[0], folder


def test_two_releases_of_one_commit_are_equal(two: tuple[Path, Path]) -> None:
    one, other = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in two]
    assert one == other
    assert {f"eloket-chat-{VERSION}-{folder.name}.yaml" for folder in overlays()} < set(one)
    assert {f"eloket-chat-{service}-{VERSION}.cdx.json" for service in SERVICES} < set(one)


def test_the_sums_match_and_a_changed_file_is_seen(two: tuple[Path, Path]) -> None:
    folder = two[1]
    check = ["sha256sum", "--check", "--strict", "--quiet", release.SUMS]
    assert subprocess.run(check, cwd=folder).returncode == 0
    listed = {line.split("  ")[1] for line in (folder / release.SUMS).read_text().splitlines()}
    assert listed == {path.name for path in folder.iterdir()} - {release.SUMS}
    copy = folder.parent / "copy"
    shutil.copytree(folder, copy)
    changed = next(copy.glob("*.yaml"))
    changed.write_text(changed.read_text() + "#\n")
    assert subprocess.run(check, cwd=copy, capture_output=True).returncode == 1


def test_a_bundle_is_its_overlay_with_the_images_of_the_release(two: tuple[Path, Path]) -> None:
    for folder in overlays():
        text = (two[0] / f"eloket-chat-{VERSION}-{folder.name}.yaml").read_text()
        objects = parse(text)
        assert bundles.images(objects) == {s: f"registry.stad.example/chat/{s}:{VERSION}" for s in SERVICES}
        assert problems(objects) == []


@pytest.mark.parametrize("service", SERVICES)
def test_the_bill_of_materials_names_every_package_with_its_licence(two: tuple[Path, Path], service: str) -> None:
    bill = json.loads((two[0] / f"eloket-chat-{service}-{VERSION}.cdx.json").read_text())
    jsonschema.validate(bill, json.loads(SCHEMA.read_text()))
    found = {f"{one['name']}=={one['version']}" for one in bill["components"]}
    assert found == set(closure.pinned(ROOT / "requirements" / f"{service}.txt"))
    sums = {p["value"] for one in bill["components"] for p in one["properties"]}
    assert sums == {one for pin in found for one in closure.hashes()[pin]}
    named = {one["name"]: one["licenses"] for one in bill["components"]}
    assert named["fastapi"] == [{"expression": "MIT"}]
    assert not [name for name, (licence,) in named.items() if "UNKNOWN" in str(licence)]


def test_a_package_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sbom, "pins", lambda _: {"fastapi": ("0.1", [])})
    with pytest.raises(LookupError, match=r"fastapi 0\.1 is pinned"):
        sbom.of_image("routing", VERSION, MADE_AT)


@pytest.mark.parametrize(
    ("version", "draft", "said"),
    [("3.0.0", False, "has no entry"), ("2.0.0", False, "unreleased"), ("2.0.0", True, ""), ("1.9.0", False, "")],
)
def test_the_changelog_has_the_entry(version: str, draft: bool, said: str) -> None:
    text = "# Changelog\n\n## 2.0.0 (unreleased)\n\n- new\n\n## 1.9.0\n\n- old\n"
    entry = release.changelog_entry(text, version, draft)
    assert said in entry.text if isinstance(entry, Refusal) else entry.startswith(f"## {version}") and not said
    assert isinstance(entry, Refusal) or entry.count("## ") == 1


def test_the_command_says_what_is_missing(
    drafted: tuple[Path, subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    assert "pyproject.toml says" in command("1.1.0", "--to", str(tmp_path)).stderr
    _, done = drafted
    assert (done.returncode, done.stderr.startswith("without the images: ")) == (3, True), done.stderr
    assert release.SUMS in done.stdout


def test_a_base_without_a_digest_is_refused() -> None:
    if shutil.which("buildah"):
        assert "by digest" in (images.missing({"BASE": "docker.io/library/python:3.11.14-slim-bookworm"}) or "")
        assert images.missing({"BASE": f"docker.io/library/python@sha256:{'0' * 64}"}) is None
    else:
        assert "buildah" in (images.missing({}) or "")


def test_an_archive_does_not_depend_on_times_and_owners(tmp_path: Path) -> None:
    sums = set()
    for name in ("one", "two"):
        layout = tmp_path / name
        (layout / "blobs" / "sha256").mkdir(parents=True)
        for file in ("b", "a") if name == "one" else ("a", "b"):
            (layout / "blobs" / "sha256" / file).write_text(file)
        (layout / "oci-layout").write_text("{}")
        images.pack(layout, tmp_path / f"{name}.tar", MADE_AT)
        sums.add(hashlib.sha256((tmp_path / f"{name}.tar").read_bytes()).hexdigest())
    assert len(sums) == 1
    with tarfile.open(tmp_path / "one.tar") as tar:
        assert tar.getnames() == ["blobs", "blobs/sha256", "blobs/sha256/a", "blobs/sha256/b", "oci-layout"]
