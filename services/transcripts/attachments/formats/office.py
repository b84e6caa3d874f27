"""Office Open XML (ECMA-376): which type of document a package is, and what it contains that could run something.

The package's own statements about its parts count: content types and relationships, read as XML. Names count too,
because a program may open a part that no statement describes. The first bytes of a part also count.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import unquote

from services.transcripts.attachments.formats import parts, texts
from services.transcripts.attachments.formats.archives import MAX_NESTED, Archive, BadArchive, Member
from services.transcripts.attachments.formats.markup import (
    Attributes,
    BadMarkup,
    Dangerous,
    local,
    looks_like_markup,
    walk,
)
from services.transcripts.attachments.formats.parts import Nested
from services.transcripts.attachments.kinds import DOCX, OFFICE, PPTX, XLSX, Finding, Kind, Reason, Refused

TYPES = "[content_types].xml"
_CONTROL = 8 * 1024 * 1024  # bytes of one list of content types or relationships
_MAIN = re.compile(
    r"application/vnd\.openxmlformats-officedocument\.(wordprocessingml\.(?:document|template)|spreadsheetml\.(?:sheet|"
    r"template)|presentationml\.(?:presentation|template|slideshow))\.main\+xml"
)
_UNSAID = ("", "application/xml", "text/xml")  # generic types, which say nothing about a part
_BY_FOLDER = {"word": DOCX, "xl": XLSX, "ppt": PPTX}
_USUAL = {"word/document.xml": DOCX, "xl/workbook.xml": XLSX, "ppt/presentation.xml": PPTX}
_MACRO_TYPES = ("macroenabled", "vbaproject", "vbadata", "macrosheet")
_MACRO_RELATIONS = ("vbaproject", "wordvbadata", "macrosheet", "attachedtoolbars")
_BINARY_SHEETS = "sheet.binary"
# External relationships of ordinary documents that run nothing (the last part of their type).
_PICTURES = ("image", "video", "audio", "media")  # loaded when the document is opened
_LINKS = (
    *_PICTURES,
    *("hyperlink", "mailmergesource", "mailmergeheadersource", "linkedworkbook", "externallinkpath"),
    *("externallinklongpath", "xlexternallinkpath", "xlpathmissing", "xllibrary", "xlstartup", "xlalternatestartup"),
)
_DANGEROUS_SCHEMES = re.compile(
    r"\s*(javascript|vbscript|script|mhtml|ms-msdt|ms-officecmd|ms-appinstaller|ms-search|search-ms|its|mk|res|data):",
    re.I,
)
_OTHER_ENCODING = re.compile(rb"encoding\s*=\s*[\x22'](?!utf-8[\x22'])", re.IGNORECASE)
_SIGNS = re.compile(
    rb"[Ii]nstr|fldChar|dde(?:Link|Item)|oleLink|webPr|dbPr|[<:]f[\s>]|[\s:]action\s*=|definedName|<!(?:DOCTYPE|ENTITY)"
)
_SHEET_SIGNS = re.compile(rb"\||&#|<!(?:DOCTYPE|ENTITY)|(?i:webservice)")
_DDE = re.compile(r'[\s"]*DDE(AUTO)?(?![A-Z0-9_])', re.IGNORECASE)
_CALL = re.compile(r"[A-Za-z0-9_.]'?\|[^|!]*!")
_QUOTE = re.compile(r"\s*QUOTE\s+((?:\d+\s*)+)", re.IGNORECASE)
_MOST_CODE = 100_000  # characters of one field's code that are kept
# Fields that load what they name (ECMA-376 part 1, 17.16.5): a picture, or another document.
_LOADS = re.compile(
    r'[\s"]*(INCLUDEPICTURE|INCLUDETEXT|INCLUDE|IMPORT|LINK|RD|DATABASE)\b(.*)', re.IGNORECASE | re.DOTALL
)
_ADDRESS = re.compile(r'"([^"]*)"|(\S+)')
_REMOTE_SOURCE = re.compile(r"[a-z]{2,}://|(^|[=;\s])(//|\\\\)", re.IGNORECASE)  # in the text of a database connection


def is_package(archive: Archive) -> bool:
    """Return whether the archive is an Office Open XML package."""
    return TYPES in archive.by_name


def inspect(archive: Archive, nested: Nested) -> tuple[Kind | None, set[Finding]]:
    """Return the type of a package, and what was found in it, as `documents.py` does. No member is encrypted.

    `nested` returns what was found in a member that is an archive itself.
    """
    package = _Package(archive, nested)
    return package.kind(), package.findings


@dataclass
class _Package:
    """The check of one package."""

    archive: Archive
    nested: Nested
    findings: set[Finding] = field(default_factory=set)
    types: dict[str, str] = field(default_factory=dict)  # by part
    defaults: dict[str, str] = field(default_factory=dict)  # by ending
    main: str | None = None  # the part that the package's own relationships name

    def kind(self) -> Kind | None:
        """Check all parts. Return the type of the document."""
        self._read_types()
        for member in self.archive.members:
            if member.name.endswith(".rels") or "package.relationships+xml" in self._type(member.name):
                self._control(member, functools.partial(self._relationship, member.name))
        for member in self.archive.members:
            self._member(member)
        return self._main_kind()

    # ── content types and relationships ──────────────────────────────────────────────────────────────────────────────

    def _read_types(self) -> None:
        member = self.archive.one(TYPES)
        assert member is not None
        if member.info.file_size:
            self._control(member, self._content_type)
        declared = [*self.types.values(), *self.defaults.values()]
        if any(_BINARY_SHEETS in t for t in declared):
            raise Refused(Reason.NOT_ALLOWED, "binary workbook")
        if any(sign in t for t in declared for sign in _MACRO_TYPES):
            self.findings.add(Finding.MACROS)
        if any("activex" in t for t in declared):
            self.findings.add(Finding.OBJECTS)
        if any("x-msdownload" in t or "javascript" in t or "x-msdos-program" in t for t in declared):
            self.findings.add(Finding.PROGRAMS)

    def _content_type(self, name: str, attributes: Attributes) -> None:
        here = {local(k).lower(): v for k, v in attributes.items()}
        kind = here.get("contenttype", "").strip().lower()
        if name == "Override":
            self.types[unquote(here.get("partname", "")).replace("\\", "/").lstrip("/").lower()] = kind
        elif name == "Default":
            self.defaults[here.get("extension", "").lower()] = kind

    def _type(self, part: str) -> str:
        return self.types.get(part) or self.defaults.get(part.rpartition(".")[2], "")

    def _relationship(self, source: str, name: str, attributes: Attributes) -> None:
        if name != "Relationship":
            return
        here = {local(k).lower(): v for k, v in attributes.items()}
        kind = here.get("type", "").strip().rstrip("/").rpartition("/")[2].lower()
        target = here.get("target", "").strip()
        if any(sign in kind for sign in _MACRO_RELATIONS):
            self.findings.add(Finding.MACROS)
        if kind in ("control", "activexcontrolbinary"):
            self.findings.add(Finding.OBJECTS)
        if here.get("targetmode", "").strip().lower() == "external":
            self._external(source, kind, target)
            return
        part = _resolved(source, target)
        if kind == "officedocument" and source == "_rels/.rels":
            self.main = part
        else:
            object_ = kind in ("oleobject", "package") and not self._heads(part, b"PK\3\4")  # see nested
            if object_ or (kind == "afchunk" and not self._is_plain(part)):
                self.findings.add(Finding.OBJECTS)

    def _external(self, source: str, kind: str, target: str) -> None:
        if kind == "hyperlink" and parts.leads_nowhere(target):
            return
        in_chart = "/charts/_rels/" in source and not parts.is_remote(target)  # its source workbook
        started = (kind == "oleobject" and not in_chart) or _DANGEROUS_SCHEMES.match(unquote(target))
        loaded = kind not in _LINKS or (kind in _PICTURES and not parts.is_web(target))
        if started or (loaded and parts.is_remote(target)):
            self.findings.add(Finding.EXTERNAL)

    def _heads(self, part: str, head: bytes) -> bool:
        return any(self.archive.head(m).startswith(head) for m in self.archive.by_name.get(part, []))

    def _is_plain(self, part: str) -> bool:
        """Return whether a part that is imported into the text is plain text, or a document that is checked itself.

        A web page is neither.
        """
        for member in self.archive.by_name.get(part, []):
            if self.archive.head(member).startswith(b"PK\3\4"):
                continue
            text = texts.decoded(self.archive.read(member, MAX_NESTED))
            if text is None or texts.recognised(text, "part.txt"):
                return False
        return True

    def _main_kind(self) -> Kind | None:
        said = {part: t for part in self.archive.by_name if (t := self._type(part))}
        order = [self.main] if self.main in self.archive.by_name else []
        for part in [*order, *sorted(said)]:
            if found := _MAIN.fullmatch(said.get(part or "", "").partition(";")[0].strip()):
                return OFFICE[f"application/vnd.openxmlformats-officedocument.{found[1]}"]
        if order and said.get(order[0] or "", "") in _UNSAID:
            return _BY_FOLDER.get((order[0] or "").partition("/")[0])
        return next((k for p, k in _USUAL.items() if p in self.archive.by_name and said.get(p, "") in _UNSAID), None)

    # ── the parts ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _member(self, member: Member) -> None:
        parts.inspect_name(member.name, self.findings)
        if not member.info.file_size:
            return
        head = self.archive.head(member)
        if parts.inspect_head(self.archive, member, head, self.findings):
            return
        if head.startswith(b"PK\3\4"):
            self.findings |= self.nested(self.archive, member)
        elif looks_like_markup(head) and member.name != TYPES and not member.name.endswith(".rels"):
            self._content(member)

    def _content(self, member: Member) -> None:
        if not self._may_start(member):
            return
        fields = Fields(self.findings)
        try:
            walk(self.archive.chunks(member), self.archive.budget, fields.start, fields.text, fields.end)
        except BadMarkup:
            return  # no program reads further
        except Dangerous as error:
            if fields.root == "svg" or (fields.root is None and member.name.endswith(".svg")):
                return  # pictures of Adobe Illustrator declare entities
            raise BadArchive(f"xml: {error}") from error

    def _may_start(self, member: Member) -> bool:
        """Return whether a part has any of the names that `Fields` looks for; names cannot be escaped in XML.

        A sheet is the larger part of a workbook and has only formulas. A formula that calls another program contains a
        bar, and one that asks another server the name of that function.
        """
        head = self.archive.head(member, 200)
        begin = head.removeprefix(b"\xef\xbb\xbf").lstrip()
        if not begin.startswith(b"<") or begin[1:2] == b"\0" or _OTHER_ENCODING.search(head):
            return True
        signs = _SHEET_SIGNS if self._type(member.name).endswith(".worksheet+xml") else _SIGNS
        before = b""
        for chunk in self.archive.chunks(member):
            if signs.search(before + chunk):
                return True
            before = chunk[-32:]
        return False

    def _control(self, member: Member, start: Callable[[str, Attributes], None]) -> None:
        if member.info.file_size > _CONTROL:
            raise BadArchive("a control part is too large")
        try:
            walk(self.archive.chunks(member), self.archive.budget, start)
        except (BadMarkup, Dangerous) as error:
            raise BadArchive("a control part is damaged") from error


class Fields:
    """Detects what a part can contain that runs something: fields of Word, links of Excel, actions of PowerPoint."""

    def __init__(self, findings: set[Finding]) -> None:
        self._findings = findings
        self._codes: list[str] = [""]
        self._results: list[bool] = [False]  # whether the field's code has ended and its result follows
        self._in: str | None = None
        self._formula = ""
        self.root: str | None = None

    def start(self, name: str, attributes: Attributes) -> None:
        """Handle the start of an element."""
        self.root = self.root or name
        if name in ("instrText", "delInstrText", "f", "ddeService", "definedName"):
            self._end_formula()  # of an element within another, whose text would be lost
            self._in, self._formula = name, ""
        elif name == "fldChar":
            self._character(next((v for k, v in attributes.items() if local(k) == "fldCharType"), ""))
        elif name == "fldSimple":
            self._code(next((v for k, v in attributes.items() if local(k) == "instr"), ""))
        elif name in ("ddeLink", "ddeItem"):
            self._findings.add(Finding.DDE)
        elif name == "oleLink" or (name in ("webPr", "dbPr") and _asks_elsewhere(attributes)):
            self._findings.add(Finding.EXTERNAL)
        elif attributes and (action := attributes.get("action")):
            if action.lower().startswith("ppaction://program"):
                self._findings.add(Finding.PROGRAMS)
            elif action.lower().startswith("ppaction://macro"):
                self._findings.add(Finding.MACROS)

    def text(self, characters: str) -> None:
        """Handle text."""
        if self._in in ("instrText", "delInstrText"):
            if not self._results[-1] and len(self._codes[-1]) < _MOST_CODE:
                self._codes[-1] += characters
                self._code(self._codes[-1])
        elif self._in in ("f", "definedName") and len(self._formula) < _MOST_CODE:  # it comes in pieces
            self._formula += characters

    def end(self, name: str) -> None:
        """Handle the end of an element."""
        if name == self._in:
            self._end_formula()
            self._in = None

    def _end_formula(self) -> None:
        """Look at a whole formula, once: its text comes in many pieces."""
        formula = parts.without_strings(self._formula)
        if _CALL.search(formula):
            self._findings.add(Finding.DDE)
        if parts.asks_another_server(formula):
            self._findings.add(Finding.EXTERNAL)

    def _character(self, kind: str) -> None:
        if kind == "begin":
            self._codes.append("")
            self._results.append(False)
        elif kind == "separate":
            self._results[-1] = len(self._results) > 1
        elif kind == "end" and len(self._codes) > 1:
            code = self._codes.pop()
            self._results.pop()
            if not self._results[-1] and len(self._codes[-1]) < _MOST_CODE:
                self._codes[-1] += _quoted(code)
                self._code(self._codes[-1])
        if len(self._codes) > 1_000:
            raise Dangerous("fields")

    def _code(self, code: str) -> None:
        if _DDE.match(code) or _DDE.match(_quoted(code)):
            self._findings.add(Finding.DDE)
        if (found := _LOADS.match(code)) and _loads_from_elsewhere(found[1].upper(), found[2]):
            self._findings.add(Finding.EXTERNAL)


def _asks_elsewhere(attributes: Attributes) -> bool:
    """Return whether a connection of a workbook (ECMA-376 part 1, 18.13) leads to another machine."""
    return any(
        parts.is_remote(v) if k == "url" else _REMOTE_SOURCE.search(v)
        for k, v in attributes.items()
        if k in ("url", "connection")
    )


def _loads_from_elsewhere(name: str, rest: str) -> bool:
    """Return whether a field loads a document from another machine, or a picture from a network share."""
    words = [(a or b).replace("\\\\", "\\") for a, b in _ADDRESS.findall(rest) if not b.startswith("\\")]
    named = words[:1] if name.startswith("INCLUDE") or name in ("IMPORT", "RD") else words
    picture = name in ("INCLUDEPICTURE", "IMPORT")
    return any(parts.is_remote(w) and not (picture and parts.is_web(w)) for w in named)


def _quoted(code: str) -> str:
    """Return the characters that a field like `QUOTE 68 68 69` shows; for another field, its code."""
    found = _QUOTE.match(code)
    if not found:
        return code
    return "".join(chr(int(n)) for n in found[1].split()[:1000] if int(n[:8]) < 0x110000 and len(n) < 8)


def _resolved(source: str, target: str) -> str:
    """Return the part to which a relationship in the list `source` leads (ECMA-376 part 2, 6.2.3)."""
    target = unquote(target).replace("\\", "/").partition("#")[0].lower()
    if target.startswith("/"):
        return target.lstrip("/")
    folder = source.rpartition("_rels/")[0]
    path: list[str] = []
    for part in (folder + target).split("/"):
        if part == "..":
            del path[-1:]
        elif part not in ("", "."):
            path.append(part)
    return "/".join(path)
