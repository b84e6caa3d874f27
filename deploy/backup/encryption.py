"""An encrypted backup: the files of a backup as a tar archive, in parts that only the private key can read.

The archive is cut into parts. Each part is compressed (zlib) and encrypted by `openssl cms` for the RSA key of a
certificate: AES-256-GCM, its key by RSA-OAEP with SHA-256 (RFC 5652, RFC 5083, RFC 5084, RFC 3560). `manifest.json`
has the size and the sum of each part, so that damage is found without the private key.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from deploy.backup import archive as disk
from deploy.backup.archive import ENCRYPTED, Manifest, Writing
from deploy.local.settings import Refusal

PART = 16 << 20  # bytes of the archive in one part, which openssl holds in memory
BUFFER = 1 << 20  # bytes that the archive is written and read by
ENCRYPT = ("openssl", "cms", "-encrypt", "-binary", "-aes-256-gcm", "-outform", "DER")
OAEP = ("-keyopt", "rsa_padding_mode:oaep", "-keyopt", "rsa_oaep_md:sha256")
_MEMBER = re.compile(r"(?:[^/.]+/)?[^/]+\.(?:bson|json)")
DECRYPT = ("openssl", "cms", "-decrypt", "-binary", "-inform", "DER")


class NotEncrypted(Exception):
    """openssl does not encrypt for this certificate; the text is its reason."""


class NotDecrypted(Exception):
    """A part cannot be decrypted with this key; the text is its name."""


def encrypt(plain: Path, manifest: Manifest, certificate: Path, folder: Path) -> Manifest:
    """Write a finished backup encrypted into an empty folder, with a manifest of the parts, which is written last.

    Args:
        plain: The folder of the backup, which is not changed.
        manifest: Its manifest.
        certificate: A PEM file with the certificate of an RSA key. Its dates are not checked.
        folder: Where the parts are written.

    Raises:
        NotEncrypted: The certificate cannot be used.
        OSError: A folder cannot be read or written.
    """
    found = Manifest(manifest.made_at, manifest.server, manifest.prefix)
    parts = _Parts(folder, certificate, found)
    with tarfile.open(fileobj=parts, mode="w|", bufsize=BUFFER) as archive:  # type: ignore[call-overload]
        for path in (*manifest.files, disk.MANIFEST):
            archive.add(plain / path, arcname=path)
    parts.finish()
    disk.finish(folder, found)
    return found


def decrypt(folder: Path, manifest: Manifest, key: Path, passphrase: str, plain: Path) -> Refusal | None:
    """Write the backup that is encrypted in `folder`, which `check` found intact, into an empty folder.

    Nothing of a part is written before the whole part is authenticated.

    Args:
        folder: The encrypted backup.
        manifest: Its manifest.
        key: A PEM file with the private key.
        passphrase: Of the private key; "" when it has none.
        plain: Where the files of the backup are written.

    Returns:
        A refusal when the key does not fit or the content is no backup; else None.

    Raises:
        OSError: A folder cannot be read or written.
    """
    try:
        reading = _Reading(_decrypted(folder, manifest, key, passphrase))
        with tarfile.open(fileobj=reading, mode="r|", bufsize=BUFFER) as archive:
            for member in archive:
                _extract(archive, member, plain)
    except NotDecrypted as error:
        return Refusal(
            f"{folder / str(error)} cannot be decrypted with {key}: it is another key, its passphrase is wrong, or the "
            "part was replaced; nothing was restored"
        )
    except (tarfile.TarError, zlib.error):
        return Refusal(f"{folder} holds no backup: nothing was restored")
    return None


class _Parts:
    """The file that the archive is written to. It is cut into encrypted parts."""

    def __init__(self, folder: Path, certificate: Path, manifest: Manifest) -> None:
        self._folder = folder
        self._command = (*ENCRYPT, "-recip", str(certificate), *OAEP)
        self._manifest = manifest
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        self._waiting += data
        while len(self._waiting) >= PART:
            self._encrypt(bytes(self._waiting[:PART]))
            del self._waiting[:PART]
        return len(data)

    def finish(self) -> None:
        """Write what is left."""
        if self._waiting:
            self._encrypt(bytes(self._waiting))
            self._waiting.clear()

    def _encrypt(self, part: bytes) -> None:
        done = subprocess.run(self._command, input=zlib.compress(part, 1), capture_output=True)
        if done.returncode != 0:
            raise NotEncrypted(
                (done.stderr.decode(errors="replace").strip().splitlines() or ["openssl said nothing"])[0]
            )
        path = f"part-{len(self._manifest.files):05}{ENCRYPTED}"
        with Writing(self._folder, path) as file:
            file.write(done.stdout)
        self._manifest.files[path] = file.file()


def _decrypted(folder: Path, manifest: Manifest, key: Path, passphrase: str) -> Iterator[bytes]:
    environ = {**os.environ, "BACKUP_PASSPHRASE": passphrase}
    for path in manifest.files:
        command = (*DECRYPT, "-inkey", str(key), "-passin", "env:BACKUP_PASSPHRASE", "-in", str(folder / path))
        done = subprocess.run(command, capture_output=True, env=environ)
        if done.returncode != 0:
            raise NotDecrypted(path)
        yield zlib.decompressobj().decompress(done.stdout, PART)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, plain: Path) -> None:
    """Write a file of the archive. Anyone with the certificate can make an archive, so its names are not trusted.

    Raises:
        TarError: It is not a file of a backup.
    """
    content = archive.extractfile(member) if member.isfile() and _MEMBER.fullmatch(member.name) else None
    if content is None:
        raise tarfile.TarError(member.name)
    (plain / member.name).parent.mkdir(exist_ok=True, mode=0o700)
    with (plain / member.name).open("xb") as file:
        shutil.copyfileobj(content, file, BUFFER)


class _Reading(io.RawIOBase):
    """The file that the archive is read from: the decrypted parts, one after the other."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._rest = b""

    def read(self, size: int = -1) -> bytes:
        while len(self._rest) < size and (part := next(self._parts, b"")):
            self._rest += part
        data, self._rest = self._rest[:size], self._rest[size:]
        return data
