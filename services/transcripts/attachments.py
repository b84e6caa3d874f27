"""RULES of attachments: what a file is, judged by its content alone, and a name that is safe to save it under. No I/O.

The type that is told and sent is always one of this list, whatever the sender called it; so a file that could be read
as something else too is still only ever served as what was recognised, as a download.
"""

from __future__ import annotations

import re
import unicodedata
import zipfile
from dataclasses import dataclass
from typing import BinaryIO
from urllib.parse import quote

MAX_NAME = 100  # characters
MAX_MEMBERS = 10_000
MAX_MEMBER_READ = 1024 * 1024  # bytes read of one member of a zip archive


@dataclass(frozen=True)
class Kind:
    """An allowed type and the name endings that fit it, the usual one first."""

    content_type: str
    endings: tuple[str, ...]


PDF = Kind("application/pdf", (".pdf",))
PNG = Kind("image/png", (".png",))
JPEG = Kind("image/jpeg", (".jpg", ".jpeg"))
GIF = Kind("image/gif", (".gif",))
WEBP = Kind("image/webp", (".webp",))
TEXT = Kind("text/plain", (".txt",))
CSV = Kind("text/csv", (".csv",))
_ODF = {
    f"application/vnd.oasis.opendocument.{k}".encode(): Kind(f"application/vnd.oasis.opendocument.{k}", (ending,))
    for k, ending in {"text": ".odt", "spreadsheet": ".ods", "presentation": ".odp", "graphics": ".odg"}.items()
}
_OOXML = {
    f"{folder}/{part}.xml": Kind(f"application/vnd.openxmlformats-officedocument.{kind}", (ending,))
    for folder, part, kind, ending in (
        ("word", "document", "wordprocessingml.document", ".docx"),
        ("xl", "workbook", "spreadsheetml.sheet", ".xlsx"),
        ("ppt", "presentation", "presentationml.presentation", ".pptx"),
    )
}
# Macros and other programs inside documents, by the names of their members.
_PROGRAMS = re.compile(r"vba|macrosheets?/|activex|^basic/|^scripts/|\.(exe|dll|js|vbs|jar|class)$", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def kind_of(file: BinaryIO, name: str) -> Kind | None:
    """What this file is, or None when that is not allowed. `name` only tells CSV from other plain text.

    Reads the file (at most the upload limit) and moves its position; of an archive it reads two small members.
    """
    file.seek(0)
    head = file.read(32)
    if head.startswith(b"PK\x03\x04"):
        return _document(file)
    if kind := _by_signature(head):
        return kind
    file.seek(0)
    if not head or not _is_text(file.read()):
        return None
    return CSV if name.lower().endswith(".csv") else TEXT


def _by_signature(head: bytes) -> Kind | None:
    if head.startswith(b"%PDF-"):
        return PDF
    if head.startswith(b"\x89PNG\r\n\x1a\n") and head[12:16] == b"IHDR":
        return PNG
    if head.startswith(b"\xff\xd8\xff"):
        return JPEG
    if head.startswith((b"GIF87a", b"GIF89a")):
        return GIF
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return WEBP
    return None


def _is_text(content: bytes) -> bool:
    """UTF-8, or one of the one-byte Latin sets, without control characters (tab, line ends and form feed may be)."""
    if _CONTROL.search(content):
        return False
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return True  # some Latin set: every byte is a printable one, as far as can be told
    return not any("\x80" <= c <= "\x9f" for c in text)


def _document(file: BinaryIO) -> Kind | None:
    try:
        with zipfile.ZipFile(file) as archive:
            return _kind_of_archive(archive)
    except (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, OSError, ValueError, EOFError, RuntimeError):
        return None


def _kind_of_archive(archive: zipfile.ZipFile) -> Kind | None:
    members = archive.infolist()
    names = {m.filename for m in members}
    if not members or len(members) > MAX_MEMBERS or any(m.flag_bits & 1 for m in members):
        return None
    if any(_PROGRAMS.search(n) for n in names):
        return None
    if members[0].filename == "mimetype":
        return _ODF.get(_read(archive, "mimetype").strip())
    if "[Content_Types].xml" not in names or b"macroEnabled" in _read(archive, "[Content_Types].xml"):
        return None
    return next((kind for part, kind in _OOXML.items() if part in names), None)


def _read(archive: zipfile.ZipFile, member: str) -> bytes:
    """At most `MAX_MEMBER_READ` bytes, whatever the archive says of itself."""
    with archive.open(member) as stream:
        content = stream.read(MAX_MEMBER_READ + 1)
    if len(content) > MAX_MEMBER_READ:
        raise ValueError("the member is too large")
    return content


def safe_name(name: str, kind: Kind) -> str:
    """A name for this file that is safe on every system and shows as what it is, with an ending that fits its type.

    No path, no control, invisible or direction-changing characters, at most 100 characters.
    """
    last = re.split(r"[/\\]", unicodedata.normalize("NFC", name))[-1]
    shown = "".join("_" if c in '<>:"|?*' else c for c in last if unicodedata.category(c)[0] != "C")
    clean = re.sub(r"\s+", " ", shown).strip(" .")
    ending = next((e for e in kind.endings if clean.lower().endswith(e)), None)
    stem = clean[: -len(ending)] if ending else clean
    stem = stem[: MAX_NAME - 5].strip(" .") or "attachment"
    if _RESERVED.fullmatch(stem):
        stem = f"_{stem}"
    return stem + (clean[-len(ending) :] if ending else kind.endings[0])


def disposition(name: str) -> str:
    """The `Content-Disposition` of a download with this name (RFC 6266, RFC 8187)."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._() -]", "_", plain).strip() or "download"
    plain = f"download{plain}" if plain.startswith(".") else plain
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
