"""Zip archives within bounds. The end record is checked before the directory, and the directory before any member.

Source: APPNOTE.TXT 6.3.10 of PKWARE. Python's `zipfile` bounds what it inflates for deflated members only, reads the
directory whatever its size, and reads the same bytes again and again when members of an archive overlap. Members of
other methods, large directories and overlaps are therefore refused first.
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
MAX_UNPACKED = 512 * MIB  # as the members declare it; no ordinary document of 10 MiB has more
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
    """The archive is damaged, or exceeds a bound."""


class TooMuch(BadArchive):
    """The check of a file needs more than its budget has."""


@dataclass
class Budget:
    """What all checks of one file may use in total, those of archives within it included."""

    inflated: int = 384 * MIB
    elements: int = 4_000_000
    members: int = MAX_MEMBERS
    archives: int = 100

    def take(self, what: str, amount: int) -> None:
        """Use an amount of the budget.

        Raises:
            TooMuch: More is needed than is left.
        """
        left = getattr(self, what) - amount
        if left < 0:
            raise TooMuch(f"too much to check: {what}")
        setattr(self, what, left)


@dataclass(frozen=True)
class Member:
    """A member of an archive.

    Attributes:
        name: The normalised name: percent-escapes decoded, forward slashes, lower case, no leading slash, no
            trailing dots.
        info: The entry of the directory.
    """

    name: str
    info: zipfile.ZipInfo


@dataclass
class Archive:
    """The members of an archive that is sound. The constructor raises `BadArchive` when it is not."""

    content: bytes
    budget: Budget
    members: list[Member] = field(init=False)

    def __post_init__(self) -> None:
        """Check the archive and read its directory."""
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
        """Whether a member is encrypted."""
        return any(m.info.flag_bits & _ENCRYPTED for m in self.members)

    def one(self, name: str) -> Member | None:
        """Return the member of this name, or None.

        Raises:
            BadArchive: There are two. Programs differ in which one they read.
        """
        found = self.by_name.get(name, [])
        if len(found) > 1:
            raise BadArchive("a control member twice")
        return found[0] if found else None

    def head(self, member: Member, length: int = 16) -> bytes:
        """Return the first bytes of a member."""
        with _damage(), self._zip.open(member.info) as stream:
            return stream.read(length)

    def chunks(self, member: Member) -> Iterator[bytes]:
        """Yield all of a member, at most 1 MiB at a time."""
        with _damage(), self._zip.open(member.info) as stream:
            while chunk := stream.read(CHUNK):
                self.budget.take("inflated", len(chunk))
                yield chunk

    def read(self, member: Member, most: int) -> bytes:
        """Return all of a member.

        Raises:
            BadArchive: It has more than `most` bytes.
        """
        if member.info.file_size > most:
            raise BadArchive("a member is too large")
        return b"".join(self.chunks(member))


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Turn what `zipfile` and zlib raise on a damaged member into `BadArchive`."""
    try:
        yield
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, EOFError, OSError, ValueError) as error:
        raise BadArchive("a member is damaged") from error


def _check_end(content: bytes) -> tuple[int, int, int]:
    """Return the position and the size of the directory, and the number of members, by the end record."""
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
    """Check that the directory has exactly the members that the end record counts.

    `zipfile` would read on to the end of the directory.
    """
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
    """Return where the bytes of a member end, by its local header. That header must agree with the directory."""
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
