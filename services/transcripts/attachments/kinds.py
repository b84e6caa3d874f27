"""Allowed types, verdicts, reasons for refusals, and what an operator can choose to refuse."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True)
class Kind:
    """An allowed type, and the name endings that fit it, the usual one first."""

    content_type: str
    endings: tuple[str, ...]


@dataclass(frozen=True)
class Verdict:
    """The type of a file that is accepted, and what is stored instead of the file, if anything."""

    kind: Kind
    stored: bytes | None = None


ALLOWED = ("pdf", "png", "jpeg", "gif", "webp", "text", "csv", "opendocument", "office")
"""The types that a refusal lists (`allowed` of the problem document); `office` is Office Open XML."""

_HARMLESS = (
    ".txt .text .log .md .markdown .tsv .tab .ics .vcs .vcf .eml .json .geojson .jsonl .ndjson .xml .gpx .kml .gml"
    " .yaml .yml .srt .vtt .tex .bib .rst .asc .ini .conf .cfg .properties .toml .diff .patch .cod .coda .asc .prn"
)

PDF = Kind("application/pdf", (".pdf",))
PNG = Kind("image/png", (".png", ".apng"))
JPEG = Kind("image/jpeg", (".jpg", ".jpeg", ".jfif", ".jpe", ".jfi", ".jif", ".pjpeg", ".pjp", ".mpo"))
GIF = Kind("image/gif", (".gif",))
WEBP = Kind("image/webp", (".webp",))
TEXT = Kind("text/plain", tuple(_HARMLESS.split()))
"""Plain text keeps these endings: no program that opens them runs their content."""
CSV = Kind("text/csv", (".csv",))


def _family(prefix: str, *members: tuple[str, str]) -> dict[str, Kind]:
    """Return types whose endings are interchangeable: a template keeps its own ending within the family."""
    endings = [ending for _, ending in members]
    return {
        prefix + name: Kind(prefix + name, (ending, *(e for e in endings if e != ending))) for name, ending in members
    }


_ODF = "application/vnd.oasis.opendocument."
OPENDOCUMENT = {
    **_family(_ODF, ("text", ".odt"), ("text-template", ".ott")),
    **_family(_ODF, ("spreadsheet", ".ods"), ("spreadsheet-template", ".ots")),
    **_family(_ODF, ("presentation", ".odp"), ("presentation-template", ".otp")),
    **_family(_ODF, ("graphics", ".odg"), ("graphics-template", ".otg")),
}
_OOXML = "application/vnd.openxmlformats-officedocument."
OFFICE = {
    **_family(_OOXML, ("wordprocessingml.document", ".docx"), ("wordprocessingml.template", ".dotx")),
    **_family(_OOXML, ("spreadsheetml.sheet", ".xlsx"), ("spreadsheetml.template", ".xltx")),
    **_family(
        _OOXML,
        ("presentationml.presentation", ".pptx"),
        ("presentationml.template", ".potx"),
        ("presentationml.slideshow", ".ppsx"),
    ),
}
DOCX = OFFICE[_OOXML + "wordprocessingml.document"]
XLSX = OFFICE[_OOXML + "spreadsheetml.sheet"]
PPTX = OFFICE[_OOXML + "presentationml.presentation"]


class Reason(StrEnum):
    """Why a file is refused: `reason` of the problem document (docs/additions.md)."""

    EMPTY = "empty"
    PASSWORD = "password"  # noqa: S105 - a reason for a refusal
    OLD_OFFICE = "old_office"
    HEIC = "heic"
    MACROS = "macros"
    ACTIVE_CONTENT = "active_content"
    NOT_SCANNABLE = "not_scannable"
    NOT_ALLOWED = "not_allowed"


class Finding(StrEnum):
    """What a document can contain that `ATTACHMENT_REFUSES` lists."""

    MACROS = "macros"
    PROGRAMS = "programs"
    OBJECTS = "objects"
    EXTERNAL = "external"
    DDE = "dde"
    PDF_SCRIPTS = "pdf_scripts"
    PDF_LAUNCH = "pdf_launch"
    PDF_FILES = "pdf_files"


FINDINGS = {
    Finding.MACROS: "macros, scripts and what starts them, in Office and OpenDocument files",
    Finding.PROGRAMS: "programs, scripts and archives inside a document",
    Finding.OBJECTS: "OLE objects, ActiveX controls, plugins and applets inside a document",
    Finding.EXTERNAL: "templates, objects and frames that are loaded from elsewhere, pictures from a network share, "
    "formulas that ask another server",
    Finding.DDE: "links that start another program (Dynamic Data Exchange)",
    Finding.PDF_SCRIPTS: "JavaScript, scripted forms (XFA) and rich media in a PDF",
    Finding.PDF_LAUNCH: "PDF actions that start a program or open a file from elsewhere",
    Finding.PDF_FILES: "files inside a PDF, but for the text files of an electronic invoice or archive (PDF/A-3)",
}


class Refused(Exception):
    """The file is not accepted. `found` has details for the log, and never content of the file."""

    def __init__(self, reason: Reason, found: str) -> None:
        super().__init__(reason)
        self.reason, self.found = reason, found


def refuse(findings: set[Finding], policy: frozenset[Finding]) -> None:
    """Raise `Refused` when something was found that the policy does not accept."""
    unwanted = sorted(findings & policy, key=list(Finding).index)
    if unwanted:
        reason = Reason.MACROS if unwanted[0] is Finding.MACROS else Reason.ACTIVE_CONTENT
        raise Refused(reason, " ".join(unwanted))


STRICT = frozenset(Finding)
