"""OLE compound files (MS-CFB): which streams they have, by the entries of their directory.

A directory entry is 128 bytes, at a multiple of 128: a name in UTF-16 and its length. Entries are searched in the whole
file, so that no chain of sectors has to be followed.
"""

from __future__ import annotations

import re

MAGIC = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENTRY = 128
_PASSWORD = ("EncryptedPackage", "EncryptionInfo", "\x06DataSpaces")  # MS-OFFCRYPTO 2.1 and 2.3.4
_OLD_OFFICE = ("WordDocument", "Workbook", "Book", "PowerPoint Document")  # MS-DOC 2.1, MS-XLS 2.1, MS-PPT 2.1
_MACROS = ("_VBA_PROJECT", "_VBA_PROJECT_CUR", "VBA", "Macros")  # MS-OVBA 2.2.1


def has_password(content: bytes) -> bool:
    """Return whether this is an Office Open XML file with a password, or with rights management."""
    return _has(content, _PASSWORD)


def is_old_office(content: bytes) -> bool:
    """Return whether this is a file of Word, Excel or PowerPoint up to 2003."""
    return _has(content, _OLD_OFFICE)


def has_macros(content: bytes) -> bool:
    """Return whether it has a project of Visual Basic for Applications."""
    return _has(content, _MACROS)


def _has(content: bytes, names: tuple[str, ...]) -> bool:
    return any(_is_entry(content, m.start(), n) for n in names for m in re.finditer(re.escape(_raw(n)), content))


def _raw(name: str) -> bytes:
    return name.encode("utf-16-le") + b"\0\0"


def _is_entry(content: bytes, at: int, name: str) -> bool:
    return at % _ENTRY == 0 and content[at + 64 : at + 66] == len(_raw(name)).to_bytes(2, "little")
