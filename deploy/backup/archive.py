"""A backup on disk: mongodump's directory format, and a manifest of its content.

`<database>/<collection>.bson` has the documents one after the other, `<collection>.metadata.json` the collection's
options and indexes (MongoDB Database Tools, `mongodump --out`), so mongorestore reads it too. `manifest.json` is
written last: a folder without one is no finished backup. The files of an encrypted backup are parts (`encryption.py`).
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from deploy.local.settings import Refusal

FORMAT = 1
ENCRYPTED_FORMAT = 2
"""Of an encrypted backup. Version 1 of the code refuses it, and would find no documents in it otherwise."""
ENCRYPTED = ".cms"
"""The end of the name of an encrypted part."""
MANIFEST = "manifest.json"
SMALLEST = 5  # bytes of a document: its length and its end (BSON specification)
AT_ONCE = 1 << 20  # bytes


@dataclass(frozen=True)
class File:
    """The size and the sum of a file. `documents`: how many it has; None for a file of metadata."""

    bytes: int
    sha256: str
    documents: int | None = None


@dataclass
class Manifest:
    """What was backed up, when, of which databases (`prefix` + service), and every file of it by its path."""

    made_at: str
    server: str
    prefix: str
    files: dict[str, File] = field(default_factory=dict)

    @property
    def documents(self) -> int:
        """The number of documents."""
        return sum(file.documents or 0 for file in self.files.values())

    @property
    def bytes(self) -> int:
        """The size of all files, in bytes."""
        return sum(file.bytes for file in self.files.values())

    @property
    def encrypted(self) -> bool:
        """Whether the files are encrypted parts."""
        return any(path.endswith(ENCRYPTED) for path in self.files)

    @property
    def collections(self) -> list[tuple[str, str]]:
        """Database and path of the documents of each collection, in the order in which they were read."""
        return [(path.split("/")[0], path) for path, file in self.files.items() if file.documents is not None]


def paths(database: str, collection: str) -> tuple[str, str]:
    """Return the paths of a collection's documents and of its metadata, below the folder."""
    base = f"{database}/{quote(collection, safe='')}"
    return f"{base}.bson", f"{base}.metadata.json"


def metadata_path(path: str) -> str:
    """Return the path of the metadata that belong to these documents."""
    return path.removesuffix(".bson") + ".metadata.json"


def claim(folder: Path) -> Refusal | None:
    """Create the folder, which may exist when it is empty. Return a refusal, or None."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if any(folder.iterdir()):
            return Refusal(f"{folder} is not empty: name a folder that does not exist yet")
    except OSError as error:
        return Refusal(f"{folder} cannot be used ({error.strerror}): name another folder")
    return None


class Writing:
    """A file that is being written and summed up. It is durable when the context ends."""

    def __init__(self, folder: Path, path: str) -> None:
        (folder / path).parent.mkdir(exist_ok=True, mode=0o700)
        self._file = (folder / path).open("xb")
        self._sum = hashlib.sha256()
        self._bytes = 0

    def __enter__(self) -> Writing:
        """Return the file."""
        return self

    def __exit__(self, *_: object) -> None:
        """Flush the file to disk and close it."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()

    def write(self, data: bytes) -> None:
        """Write these bytes."""
        self._file.write(data)
        self._sum.update(data)
        self._bytes += len(data)

    def file(self, documents: int | None = None) -> File:
        """Return the description of what was written."""
        return File(self._bytes, self._sum.hexdigest(), documents)


def finish(folder: Path, manifest: Manifest) -> None:
    """Write the manifest of a complete backup, in one atomic step."""
    draft = folder / f"{MANIFEST}.new"
    with draft.open("w") as file:
        written_as = ENCRYPTED_FORMAT if manifest.encrypted else FORMAT
        json.dump({"format": written_as, **asdict(manifest)}, file, indent=1)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / MANIFEST)


def read_manifest(folder: Path) -> Manifest | Refusal:
    """Return what the folder should contain, or a refusal."""
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
        if found.pop("format") not in (FORMAT, ENCRYPTED_FORMAT):
            return Refusal(f"{folder} was written by a later version: restore it with that version")
        files = {path: File(**file) for path, file in found.pop("files").items()}
        return Manifest(**found, files=files)
    except OSError:
        return Refusal(f"{folder} holds no finished backup: there is no {MANIFEST} in it that can be read")
    except (ValueError, KeyError, TypeError, AttributeError):
        return Refusal(f"{folder / MANIFEST} is damaged: take another backup")


def check(folder: Path, manifest: Manifest) -> Refusal | None:
    """Check that every file exists and is as it was written. Return a refusal, or None."""
    for path, wanted in manifest.files.items():
        try:
            size = (folder / path).stat().st_size
            intact = size == wanted.bytes and _sum(folder / path) == wanted.sha256
        except OSError as error:
            return Refusal(f"{folder / path} cannot be read ({error.strerror}): nothing was restored")
        if not intact:
            return Refusal(f"{folder / path} is not as it was written: nothing was restored; take another backup")
    return None


def _sum(file: Path) -> str:
    found = hashlib.sha256()
    with file.open("rb") as opened:
        while data := opened.read(AT_ONCE):
            found.update(data)
    return found.hexdigest()


def lengths(batch: bytes) -> Iterator[int]:
    """Yield the length of each of these documents, which stand one after the other.

    Raises:
        ValueError: They do not.
    """
    at = 0
    while at < len(batch):
        (length,) = struct.unpack_from("<i", batch, at)
        at += length
        if length < SMALLEST or at > len(batch):
            raise ValueError("not a row of documents")
        yield length


def documents(opened: BinaryIO) -> Iterator[bytes]:
    """Yield each document of a file of documents, as bytes."""
    while head := opened.read(4):
        (length,) = struct.unpack("<i", head)
        yield head + opened.read(length - 4)
