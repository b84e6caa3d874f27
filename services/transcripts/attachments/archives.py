"""Zip archives within bounds: what the end record says is looked at before the directory, and that before any member.

Source: APPNOTE.TXT 6.3.10 of PKWARE. Python's `zipfile` bounds what it inflates for deflated members alone, reads the
directory whatever its size, and of an archive that overlaps itself it reads the same bytes again and again; so members
of other methods, large directories and overlaps are refused first.
"""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote

MIB = 1024 * 1024
MAX_MEMBERS = 10_000
MAX_DIRECTORY = 4 * MIB
MAX_UNPACKED = 512 * MIB  # as the members declare it; documents of 10 MiB with more are not people's
MAX_RATIO = 150  # of an archive as a whole, where it unpacks to more than `FREE_OF_RATIO`
FREE_OF_RATIO = 64 * MIB
DEFLATE_AT_MOST = 1032  # bytes that one deflated byte can become (zlib's manual, "technical details")
MAX_NESTED = 32 * MIB
CHUNK = MIB

_END, _END64, _LOCATOR = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
_CENTRAL, _LOCAL = struct.Struct("<4s6H3L5H2L"), struct.Struct("<4s5H3L2H")
_ENCRYPTED = 1
_PADDING = b"\0\r\n\t "


class BadArchive(Exception):
    """The archive is damaged, or goes beyond a bound."""


class TooMuch(BadArchive):
    """The look into a file takes more than its budget has."""


@dataclass
class Budget:
    """What all looks into one file may take together, those into archives within it included."""

    inflated: int = 384 * MIB
    elements: int = 4_000_000
    members: int = MAX_MEMBERS
    archives: int = 100

    def take(self, what: str, amount: int) -> None:
        """Raises `TooMuch` when that is more than is left."""
        left = getattr(self, what) - amount
        if left < 0:
            raise TooMuch(f"too much to check: {what}")
        setattr(self, what, left)


@dataclass(frozen=True)
class Member:
    """`name` is normalised: percent-escapes undone, slashes, small letters, no leading slash, no trailing dots."""

    name: str
    info: zipfile.ZipInfo


@dataclass
class Archive:
    """The members of an archive that is sound. Raises `BadArchive` when it is not."""

    content: bytes
    budget: Budget
    members: list[Member] = field(init=False)

    def __post_init__(self) -> None:
        self.budget.take("archives", 1)
        directory, size, count = _check_end(self.content)
        self.budget.take("members", count)
        _check_directory(self.content, directory, size, count)
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(self.content))
        except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, ValueError) as error:
            raise BadArchive("directory") from error
        infos = self._zip.infolist()
        _check_members(self.content, infos, directory)
        self.members = [Member(_normal(i), i) for i in infos]
        self.by_name: dict[str, list[Member]] = {}
        for member in self.members:
            self.by_name.setdefault(member.name, []).append(member)

    @property
    def is_encrypted(self) -> bool:
        return any(m.info.flag_bits & _ENCRYPTED for m in self.members)

    def one(self, name: str) -> Member | None:
        """The member of this name; None without one. Raises `BadArchive` when there are two: readers would differ."""
        found = self.by_name.get(name, [])
        if len(found) > 1:
            raise BadArchive("a control member twice")
        return found[0] if found else None

    def head(self, member: Member, length: int = 16) -> bytes:
        """The first bytes of a member."""
        with _damage(), self._zip.open(member.info) as stream:
            return stream.read(length)

    def chunks(self, member: Member) -> Iterator[bytes]:
        """All of a member, at most 1 MiB at a time."""
        with _damage(), self._zip.open(member.info) as stream:
            while chunk := stream.read(CHUNK):
                self.budget.take("inflated", len(chunk))
                yield chunk

    def read(self, member: Member, most: int) -> bytes:
        """All of a member. Raises `BadArchive` when that is more than `most` bytes."""
        if member.info.file_size > most:
            raise BadArchive("a member is too large")
        return b"".join(self.chunks(member))


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """What `zipfile` and zlib raise on a damaged member becomes `BadArchive`."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise BadArchive("a member is damaged") from error


def _check_end(content: bytes) -> tuple[int, int, int]:
    """Where the directory begins, its size, and how many members it has, by the end record."""
    at = content.rfind(b"PK\5\6", max(0, len(content) - _END.size - 0xFFFF))
    if at < 0 or at + _END.size > len(content):
        raise BadArchive("no end record")
    _, disk, its_disk, here, count, size, offset, comment = _END.unpack_from(content, at)
    if content[at + _END.size + comment :].strip(_PADDING):
        raise BadArchive("something behind the archive")
    if at >= _LOCATOR.size and content[at - _LOCATOR.size :].startswith(b"PK\6\7"):
        short = (here, count, size, offset)
        at, (disk, its_disk, here, count, size, offset) = _end64(content, at - _LOCATOR.size)
        limits = (0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF)
        if any(s not in (x, most) for s, x, most in zip(short, (here, count, size, offset), limits, strict=True)):
            raise BadArchive("two end records that differ")
    if disk or its_disk or here != count:
        raise BadArchive("an archive in several parts")
    if not count or count > MAX_MEMBERS or size > MAX_DIRECTORY:
        raise BadArchive("too many members")
    if offset + size != at:
        raise BadArchive("the directory is elsewhere")
    return offset, size, count


def _end64(content: bytes, locator: int) -> tuple[int, tuple[int, ...]]:
    _, _, at, _ = _LOCATOR.unpack_from(content, locator)
    if at + _END64.size != locator or not content.startswith(b"PK\6\6", at):
        raise BadArchive("zip64 end record")
    _, _, _, _, disk, its_disk, here, count, size, offset = _END64.unpack_from(content, at)
    return at, (disk, its_disk, here, count, size, offset)


def _check_directory(content: bytes, at: int, size: int, count: int) -> None:
    """The directory has exactly the members that the end record counts: `zipfile` would read on to its end."""
    end = at + size
    for _ in range(count):
        if not content.startswith(b"PK\1\2", at) or at + _CENTRAL.size > end:
            raise BadArchive("directory")
        fields = _CENTRAL.unpack_from(content, at)
        at += _CENTRAL.size + sum(fields[10:13])
    if at != end:
        raise BadArchive("more members than counted")


def _check_members(content: bytes, infos: list[zipfile.ZipInfo], directory: int) -> None:
    unpacked, end = 0, 0
    for info in sorted(infos, key=lambda i: i.header_offset):
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadArchive("another method than deflate")
        if info.file_size > info.compress_size * DEFLATE_AT_MOST + 1024:
            raise BadArchive("a size that cannot be")
        stored = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & _ENCRYPTED
        if stored and info.file_size != info.compress_size:
            raise BadArchive("a size that cannot be")
        unpacked += info.file_size
        if info.header_offset < end:
            raise BadArchive("members overlap")
        end = _end_of(content, info)
    if end > directory:
        raise BadArchive("members overlap")
    if unpacked > MAX_UNPACKED or (unpacked > FREE_OF_RATIO and unpacked > MAX_RATIO * len(content)):
        raise BadArchive("unpacks to too much")


def _end_of(content: bytes, info: zipfile.ZipInfo) -> int:
    """Where the bytes of a member end, by its own header; that header says of it what the directory says."""
    at = info.header_offset
    if not content.startswith(b"PK\3\4", at) or at + _LOCAL.size > len(content):
        raise BadArchive("a member is elsewhere")
    _, _, flags, method, _, _, _, _, _, name, extra = _LOCAL.unpack_from(content, at)
    if method != info.compress_type or (flags ^ info.flag_bits) & _ENCRYPTED:
        raise BadArchive("a header that differs from the directory")
    return int(at + _LOCAL.size + name + extra + info.compress_size)


def _normal(info: zipfile.ZipInfo) -> str:
    if any(c < " " or c == "\x7f" for c in info.orig_filename):
        raise BadArchive("a name with control characters")
    name = unquote(info.orig_filename).replace("\\", "/").lower()
    return "/".join(part.rstrip(" .") or part for part in name.lstrip("/").split("/"))
