"""OpenDocument (OASIS ODF 1.3): which type of document it is, and what it contains that could run something."""

from __future__ import annotations

import re

from services.transcripts.attachments.formats import parts
from services.transcripts.attachments.formats.archives import Archive, BadArchive, Member
from services.transcripts.attachments.formats.markup import (
    Attributes,
    BadMarkup,
    Dangerous,
    local,
    looks_like_markup,
    walk,
)
from services.transcripts.attachments.formats.parts import Nested
from services.transcripts.attachments.kinds import OPENDOCUMENT, Finding, Kind, Reason, Refused

_MIMETYPE, _MANIFEST = "mimetype", "meta-inf/manifest.xml"
_PREFIX = "application/vnd.oasis.opendocument."
_LONGEST_TYPE = 256
_MOST_MANIFEST = 8 * 1024 * 1024
_SCRIPTS = re.compile(r"(^|/)(basic|scripts|dialogs)/(.*)$")
_INDEX = re.compile(r"(^|/)(script|dialog)-l[bc]\.xml$")  # of libraries; many documents have empty ones
_STARTS = re.compile(
    r"\s*(vnd\.sun\.star\.(script|expand|pkg|hier)|macro|script|javascript|vbscript|service|slot|\.uno)\s*:", re.I
)
_EXECUTES = ("execute", "execute-macro", "macro", "verb")
_DDE_ELEMENTS = ("dde-connection-decl", "dde-connection-decls", "dde-source", "dde-link", "dde-links", "dde-connection")
_DDE_CALL = re.compile(r"(^|[^A-Za-z0-9_.])DDE\s*\(|\w'?\|'?[^|]*'?!", re.IGNORECASE)
_LOADED = ("object", "plugin", "applet", "section-source", "cell-range-source", "font-face-uri", "definition-src")
_PICTURES = ("image", "fill-image", "background-image", "sound", "audio", "video")
_MEDIA = "application/vnd.sun.star.media"


def is_opendocument(archive: Archive) -> bool:
    """Return whether the archive is an OpenDocument file."""
    return _MIMETYPE in archive.by_name or _MANIFEST in archive.by_name


def inspect(archive: Archive, nested: Nested) -> tuple[Kind | None, set[Finding]]:
    """Return the type of a document, and what was found in it, as `documents.py` does. No member is encrypted by ZIP.

    `nested` returns what was found in a member that is an archive itself.
    """
    manifest = _Manifest()
    if member := archive.one(_MANIFEST):
        if member.info.file_size > _MOST_MANIFEST:
            raise BadArchive("the manifest is too large")
        try:
            walk(archive.chunks(member), archive.budget, manifest.start)
        except (BadMarkup, Dangerous) as error:
            raise BadArchive("the manifest is damaged") from error
    content_type = manifest.content_type
    if member := archive.one(_MIMETYPE):
        content_type = archive.read(member, _LONGEST_TYPE).decode("ascii", "replace").strip()
    if manifest.encrypted:
        raise Refused(Reason.PASSWORD, "encrypted members")
    findings: set[Finding] = set()
    for member in archive.members:
        _member(archive, member, nested, findings)
    return OPENDOCUMENT.get(content_type), findings


def _member(archive: Archive, member: Member, nested: Nested, findings: set[Finding]) -> None:
    parts.inspect_name(member.name, findings)
    script = _SCRIPTS.search(member.name)
    if script and not member.name.endswith("/") and not _INDEX.search(member.name):
        findings.add(Finding.MACROS)
    if not member.info.file_size:
        return
    head = archive.head(member)
    if parts.inspect_head(archive, member, head, findings):
        return
    if head.startswith(b"PK\3\4"):
        findings |= nested(archive, member)
    elif looks_like_markup(head):
        content = _Content(findings, in_library=bool(script))
        try:
            walk(archive.chunks(member), archive.budget, content.start, content.text, content.end)
        except BadMarkup:
            return  # no program reads further
        except Dangerous as error:
            if content.root == "svg" or (content.root is None and member.name.endswith(".svg")):
                return  # pictures of Adobe Illustrator declare entities
            raise BadArchive(f"xml: {error}") from error


class _Manifest:
    """The manifest: the document's type, and whether members are encrypted."""

    def __init__(self) -> None:
        self.encrypted, self.content_type = False, ""

    def start(self, name: str, attributes: Attributes) -> None:
        """Handle the start of an element."""
        if name == "encryption-data":
            self.encrypted = True
        elif name == "file-entry":
            here = {local(k): v for k, v in attributes.items()}
            if here.get("full-path") == "/" and here.get("media-type", "").startswith(_PREFIX):
                self.content_type = here["media-type"].strip()


class _Content:
    """Detects what a part can contain that runs something: scripts and their callers, links to programs, plugins."""

    def __init__(self, findings: set[Finding], in_library: bool) -> None:
        self._findings, self._in_library, self._in_script = findings, in_library, 0
        self.root: str | None = None

    def start(self, name: str, attributes: Attributes) -> None:
        """Handle the start of an element."""
        self.root = self.root or name
        if self._in_script:
            self._in_script += 1
        if name == "event-listener":
            self._event({local(k): v for k, v in attributes.items()})
        elif name == "script":
            self._in_script = max(self._in_script, 1)
        elif name == "execute-macro" or (self._in_library and (name == "element" or _link(attributes))):
            self._findings.add(Finding.MACROS)
        elif name in _DDE_ELEMENTS and attributes:
            self._findings.add(Finding.DDE)
        elif name in ("object-ole", "applet"):
            self._findings.add(Finding.OBJECTS)
        elif name == "plugin":
            if not any(local(k) == "mime-type" and v == _MEDIA for k, v in attributes.items()):
                self._findings.add(Finding.OBJECTS)
        elif name in ("floating-frame", "template") and parts.is_remote(_link(attributes)):
            self._findings.add(Finding.EXTERNAL)
        for key, value in attributes.items():
            if key.endswith(" href"):
                self._address(name, value)
            elif key.endswith(" formula"):
                formula = parts.without_strings(value)
                if _DDE_CALL.search(formula):
                    self._findings.add(Finding.DDE)
                if parts.asks_another_server(formula):
                    self._findings.add(Finding.EXTERNAL)

    def text(self, characters: str) -> None:
        """Handle text."""
        if self._in_script and characters.strip():
            self._findings.add(Finding.MACROS)

    def end(self, _: str) -> None:
        """Handle the end of an element."""
        if self._in_script:
            self._in_script -= 1

    def _event(self, here: Attributes) -> None:
        action = here.get("action", "")
        if not action or "macro-name" in here or "language" in here:  # a listener of the namespace `script`
            self._findings.add(Finding.MACROS)
        elif action in _EXECUTES:
            self._findings.add(Finding.PROGRAMS if action == "execute" else Finding.MACROS)

    def _address(self, name: str, target: str) -> None:
        remote = parts.is_remote(target)
        if name == "a" and parts.leads_nowhere(target):
            return
        if _STARTS.match(target):
            self._findings.add(Finding.MACROS)
        elif remote and (name in _LOADED or (name in _PICTURES and not parts.is_web(target))):
            self._findings.add(Finding.EXTERNAL)


def _link(attributes: Attributes) -> str:
    return next((v for k, v in attributes.items() if k.endswith(" href")), "")
