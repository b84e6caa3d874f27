"""Checks that Office Open XML and OpenDocument share: members' names, their first bytes, and addresses."""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import unquote

from services.transcripts.attachments.formats import compound
from services.transcripts.attachments.formats.archives import MAX_NESTED, Archive, Member
from services.transcripts.attachments.kinds import Finding

Nested = Callable[[Archive, Member], set[Finding]]

_MACRO_NAMES = re.compile(r"(^|/)(vbaproject[^/]*\.bin|vbadata\.xml)$|(^|/)(intl)?macrosheets/")
_OBJECT_NAMES = re.compile(r"(^|/)activex/")
_PROGRAM_NAMES = re.compile(
    r"\.(exe|dll|scr|com|pif|cpl|msi|msp|msix|appx|bat|cmd|ps1|psm1|vbs|vbe|js|jse|mjs|wsf|wsh|wsc|sct|hta|lnk|url|scf|"
    r"jar|class|jnlp|reg|inf|chm|hlp|iso|vhdx?|cab|rar|7z|tar|gz|sh|py|pyw|pl|rb|php|apk|app|command|elf|so|deb|rpm|"
    r"application|gadget|msc|iqy|slk|settingcontent-ms|library-ms|search-ms|xll|wll|ppam?|xlam?|dotm|docm|xlsm|xltm|"
    r"pptm|potm|ppsm|sldm)$"
)
_PROGRAM_HEADS = (
    b"MZ",
    b"\x7fELF",
    b"\xca\xfe\xba\xbe",
    b"\xce\xfa\xed\xfe",
    b"\xcf\xfa\xed\xfe",
    b"L\0\0\0\x01\x14\x02\0",  # a Windows shortcut (MS-SHLLINK 2.1)
    b"#!/",
    b"Rar!\x1a\x07",
    b"7z\xbc\xaf\x27\x1c",
    b"MSCF",
)

_NOWHERE = re.compile(r"\s*javascript:\s*(void\s*\(?\s*0?\s*\)?)?[;/\s]*", re.IGNORECASE)

_STRING = re.compile('"[^"]*"')
_FETCHES = re.compile(r"\bWEBSERVICE\s*\(", re.IGNORECASE)  # files have the English name, whatever a person sees


def without_strings(formula: str) -> str:
    """Return a formula of a spreadsheet without the texts in it."""
    return _STRING.sub("", formula)


def asks_another_server(formula: str) -> bool:
    """Return whether this formula, without its texts, sends what the table has."""
    return bool(_FETCHES.search(formula))


def inspect_name(name: str, findings: set[Finding]) -> None:
    """Add what the name of a member says."""
    if _MACRO_NAMES.search(name):
        findings.add(Finding.MACROS)
    if _OBJECT_NAMES.search(name):
        findings.add(Finding.OBJECTS)
    if _PROGRAM_NAMES.search(name):
        findings.add(Finding.PROGRAMS)


def inspect_head(archive: Archive, member: Member, head: bytes, findings: set[Finding]) -> bool:
    """Add what the first bytes of a member say.

    Return whether they identify the member. OLE compound files are read whole.
    """
    if head.startswith(compound.MAGIC):
        content = archive.read(member, MAX_NESTED)
        findings.add(Finding.MACROS if compound.has_macros(content) else Finding.OBJECTS)
        return True
    if head.startswith(_PROGRAM_HEADS):
        findings.add(Finding.PROGRAMS)
        return True
    return False


def is_remote(target: str) -> bool:
    """Return whether an address leads to another machine.

    A path of a drive and a file beside the document do not.
    """
    place = unquote(target).strip().replace("\\", "/").lower()
    if place.startswith("file:"):
        place = place.removeprefix("file:").removeprefix("//localhost")
        return not (re.match(r"/{0,3}[a-z]:", place) or re.match(r"(/{3}(?!/)|/?(?!/))", place))
    if re.match(r"[a-z]:", place):
        return False
    return place.startswith("//") or bool(re.match(r"[a-z][a-z0-9+.-]+:", place))


def is_web(target: str) -> bool:
    """Return whether an address is of a web page or is embedded data."""
    return bool(re.match(r"\s*(https?|data|cid):", unquote(target), re.I))


def leads_nowhere(target: str) -> bool:
    """Return whether a link does nothing, such as `javascript:void(0)`.

    Text that was copied from a web page contains such links.
    """
    return bool(_NOWHERE.fullmatch(unquote(target)))
