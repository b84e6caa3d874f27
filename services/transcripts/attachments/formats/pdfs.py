"""Active content of a PDF: scripts, actions that start something, files inside it (ISO 32000-2).

Objects are found by their position in the file, whatever its cross-reference tables say: readers repair damaged tables,
and each in its own way. Names are compared after their escapes are decoded (7.3.5), and object streams are inflated
within bounds (7.5.7). Text in strings, comments and pages does not count. Of an encrypted file only what is readable
without its password can be judged.
"""

from __future__ import annotations

import base64
import bisect
import re
import zlib
from dataclasses import dataclass, field

from services.transcripts.attachments.formats import parts, texts
from services.transcripts.attachments.kinds import Finding, Reason, Refused

MIB = 1024 * 1024
MOST_INFLATED = 128 * MIB  # of all object streams, forms and files of one PDF
MOST_OF_ONE = 32 * MIB
MOST_READ = 96 * MIB  # of objects, token by token
MOST_OBJECTS = 1_000_000
_HEAD = re.compile(rb"%PDF-\d")
_WITHIN = 1024  # bytes in which a reader looks for the header (ISO 32000-1, annex H, note 13)
_OBJECT = re.compile(rb"(?<![0-9])(\d{1,10})[\0\t\n\f\r ]+\d{1,5}[\0\t\n\f\r ]+obj(?![a-zA-Z])")
_START = re.compile(_OBJECT.pattern + rb"|(?<![a-zA-Z])trailer(?![a-zA-Z])")
_REGULAR = rb"[^\0\t\n\f\r ()<>\[\]{}/%]"
# Names that matter. A name with an escape is examined too, whatever it decodes to.
_WATCHED = (
    b"JavaScript JS Launch GoToE GoToR ImportData RichMedia RichMediaExecute XFA EF FileAttachment ObjStm EmbeddedFile"
    b" OpenAction AA"
).split()
_TECHNICAL = {b"ObjStm", b"EmbeddedFile"}
_ENCRYPTED = re.compile(rb"/Encrypt[\0\t\n\f\r ]*(?:<<|\d)")
_NAME = re.compile(rb"/(?:(?:%s)(?!%s)|%s*#[0-9A-Fa-f]{2}%s*)" % (b"|".join(_WATCHED), _REGULAR, _REGULAR, _REGULAR))
_TOKEN = re.compile(
    rb"[\0\t\n\f\r ]+|(?P<comment>%%[^\r\n]*)|(?P<name>/%s*)|(?P<open><<|\[)|(?P<close>>>|\])|(?P<hex><[^<>]*>)"
    rb"|(?P<string>\()|(?P<word>%s+)|(?P<other>.)" % (_REGULAR, _REGULAR),
    re.DOTALL,
)
_ESCAPE = re.compile(rb"#([0-9A-Fa-f]{2})")
_IN_STRING = re.compile(rb"[()\\]")
_REFERENCE = re.compile(rb"(\d+)[\0\t\n\f\r ]+\d+[\0\t\n\f\r ]+R(?![a-zA-Z])")
_ENDSTREAM = re.compile(rb"endstream|endobj")
_FILTERS = {b"Fl": b"FlateDecode", b"AHx": b"ASCIIHexDecode", b"A85": b"ASCII85Decode", b"RL": b"RunLengthDecode"}
_BY_ITSELF = (b"O", b"PO", b"PV", b"WC", b"WS", b"DS", b"WP", b"DP")  # opening, showing, closing, saving, printing
_LEAVES = (b"URI", b"SubmitForm", b"Thread")
_SPECIAL = re.compile(rb"\\([0-7]{1,3}|\r\n|.)", re.DOTALL)  # in a string (7.3.4.2)
_XFA_SCRIPT = re.compile(rb"<(?:[\w.-]+:)?script(?:\s[^>]*)?>\s*[^<\s]|<(?:[\w.-]+:)?(?:execute|submit)[\s>]")
_ASSOCIATED = (b"Source", b"Data", b"Alternative", b"Supplement", b"Schema")
_DATA_ENDINGS = (".xml", ".json", ".csv", ".txt", ".xsd", ".ubl")


class _TooMuch(Exception):
    """The check of the file exceeds a bound."""


def begins(content: bytes) -> int | None:
    """Return the position of the PDF header; None when the file is no PDF.

    After other bytes there must be objects too.
    """
    found = _HEAD.search(content, 0, _WITHIN + 8)
    if not found and content.startswith(b"%PDF-"):
        return 0
    if not found or (found.start() and not _OBJECT.search(content)):
        return None
    return found.start()


def inspect(content: bytes) -> set[Finding]:
    """Return the active content of this PDF.

    Raises:
        Refused: The check exceeds a bound.
    """
    try:
        return _Inspection(content).run()
    except _TooMuch as error:
        raise Refused(Reason.NOT_ALLOWED, f"pdf: too much to check: {error}") from error


Dictionary = dict[bytes, object]


@dataclass(frozen=True)
class _Reference:
    """A reference to an object."""

    number: int


@dataclass(frozen=True)
class _Name:
    """A name object."""

    name: bytes


@dataclass
class _Object:
    """The content of one object.

    Attributes:
        names: The watched names in it, by position.
        values: Its values.
        dictionaries: Its dictionaries; an inner one comes before the outer one.
        stream: Where its stream begins, if it has one.
    """

    names: dict[int, bytes] = field(default_factory=dict)  # by position
    values: list[object] = field(default_factory=list)
    dictionaries: list[Dictionary] = field(default_factory=list)
    stream: int | None = None

    @property
    def own(self) -> Dictionary:
        """The dictionary that describes the stream: the outermost one, which ends last."""
        return self.dictionaries[-1] if self.dictionaries else {}


@dataclass
class _Inspection:
    """The check of one file."""

    content: bytes
    findings: set[Finding] = field(default_factory=set)
    starts: list[int] = field(default_factory=list)
    objects: dict[int, _Object] = field(default_factory=dict)  # by where they start
    by_number: dict[int, list[int]] | None = None
    inflated: int = 0
    read: int = 0

    def run(self) -> set[Finding]:
        """Check the file. Return what was found."""
        self.starts = [m.start() for m in _START.finditer(self.content)]
        if len(self.starts) > MOST_OBJECTS:
            raise _TooMuch("objects")
        for one in self._objects_that_matter():
            self._judge(one, set(one.names.values()))
            if b"ObjStm" in one.names.values() and one.stream is not None:
                self._object_stream(one)
        return self.findings

    def _objects_that_matter(self) -> list[_Object]:
        """Return the objects that contain a watched name.

        What looks like the beginning of an object may be part of a string, a comment or a stream. The nearest beginning
        before a name may therefore be none. A name that is not found from the nearest beginning is searched from every
        earlier one.
        """
        found: dict[int, _Object] = {}
        doubtful: list[int] = []
        for hit in _NAME.finditer(self.content):
            if _unescaped(hit.group()[1:]) not in _WATCHED:
                continue
            before = bisect.bisect_right(self.starts, hit.start()) - 1
            if before >= 0 and hit.start() in self._at(self.starts[before]).names:
                found[self.starts[before]] = self._at(self.starts[before])
            else:
                doubtful.append(hit.start())
        for start in self.starts if doubtful else []:
            if start < doubtful[-1] and start not in found and self._at(start).names:
                found[start] = self._at(start)
        return [found[start] for start in sorted(found)]

    def _at(self, start: int) -> _Object:
        if start not in self.objects:
            self.objects[start] = self._parse(self.content, start)
        return self.objects[start]

    def _parse(self, data: bytes, at: int, streams: bool = True) -> _Object:
        one = _Object()
        self.read += _parse(data, at, one, MOST_READ - self.read, streams) - at
        if self.read >= MOST_READ:
            raise _TooMuch("objects")
        return one

    # ── findings ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _judge(self, one: _Object, names: set[bytes]) -> None:
        if names & {b"JavaScript", b"JS", b"RichMedia", b"RichMediaExecute"}:
            self.findings.add(Finding.PDF_SCRIPTS)
        if names & {b"Launch", b"GoToE", b"ImportData"}:
            self.findings.add(Finding.PDF_LAUNCH)
        if b"FileAttachment" in names:
            self.findings.add(Finding.PDF_FILES)
        for each in one.dictionaries:
            if each.get(b"S") == _Name(b"GoToR") and self._on_a_share(each.get(b"F")):
                self.findings.add(Finding.PDF_LAUNCH)
            if self._leaves_by_itself(each):
                self.findings.add(Finding.PDF_LAUNCH)
            if b"EF" in each and not self._is_data(each):
                self.findings.add(Finding.PDF_FILES)
            if b"XFA" in each and self._has_scripts(each[b"XFA"]):
                self.findings.add(Finding.PDF_SCRIPTS)
        file = one.stream is not None and one.own.get(b"Type") == _Name(b"EmbeddedFile")
        if file and not self._is_text(self._decoded(one)):
            self.findings.add(Finding.PDF_FILES)

    def _leaves_by_itself(self, each: Dictionary) -> bool:
        """Return whether opening the file or a page opens an address or submits the form (12.6.3)."""
        events = [e for e in self._resolved(each.get(b"AA")) if isinstance(e, dict)]
        actions = [each.get(b"OpenAction"), *(a for e in events for key, a in e.items() if key in _BY_ITSELF)]
        return any(
            isinstance(a, dict) and isinstance(s := a.get(b"S"), _Name) and s.name in _LEAVES
            for action in actions
            for a in self._resolved(action)
        )

    def _on_a_share(self, place: object) -> bool:
        return any(_on_a_share(each) for each in self._resolved(place))

    def _resolved(self, value: object) -> list[object]:
        """Return the value itself, or the values of the objects to which it refers."""
        if not isinstance(value, _Reference):
            return [value]
        return [v for o in self._numbered(value.number) for v in o.values]

    def _is_data(self, specification: Dictionary) -> bool:
        """Return whether an embedded file is a data file of the document, as in electronic invoices (PDF/A-3).

        It must declare its relation to the document, have the name of a data file, and hold text that is no page and no
        script.
        """
        relation, files = specification.get(b"AFRelationship"), specification.get(b"EF")
        called = [_text_of(specification[k]) for k in (b"F", b"UF") if k in specification]
        if not isinstance(relation, _Name) or relation.name not in _ASSOCIATED or not isinstance(files, dict):
            return False
        if not called or not all(n.lower().endswith(_DATA_ENDINGS) for n in called):
            return False
        return all(
            isinstance(r, _Reference) and all(self._is_text(self._decoded(o)) for o in self._numbered(r.number))
            for r in files.values()
        )

    def _is_text(self, data: bytes | None) -> bool:
        if data is None:
            return False
        text = texts.decoded(data)
        return text is not None and texts.recognised(text, "data.txt") is None

    def _has_scripts(self, forms: object) -> bool:
        """Return whether an XFA form (Adobe XML Forms Architecture 3.3) has scripts or submits itself."""
        if isinstance(forms, _Reference):  # to the form itself, or to the list of its parts
            parts = self._numbered(forms.number)
            forms = [forms, *(v for o in parts for values in o.values if isinstance(values, list) for v in values)]
        references = [r for r in forms if isinstance(r, _Reference)] if isinstance(forms, list) else []
        if len(references) > 200:
            raise _TooMuch("a form in many parts")
        streams = [o for r in references for o in self._numbered(r.number)]
        whole = [self._decoded(o) for o in streams]
        return any(d is not None and _XFA_SCRIPT.search(d) for d in [*whole, b"".join(d or b"" for d in whole)])

    # ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _numbered(self, number: int) -> list[_Object]:
        """Return all objects with this number. Which of them counts depends on the reader."""
        if self.by_number is None:
            self.by_number = {}
            for found in _OBJECT.finditer(self.content):
                self.by_number.setdefault(int(found[1]), []).append(found.start())
        starts = self.by_number.get(number, [])
        if len(starts) > 100:
            raise _TooMuch("objects of one number")
        return [self._at(start) for start in starts]

    def _object_stream(self, one: _Object) -> None:
        data = self._decoded(one)
        if data is None:
            if not _ENCRYPTED.search(self.content):
                raise _TooMuch("an object stream that cannot be read")
            return
        names = {_unescaped(m.group()[1:]) for m in _NAME.finditer(data)} & set(_WATCHED)
        if not names - _TECHNICAL:
            return
        inner = _Object()
        first = one.own.get(b"First")
        for start in _offsets(data, first if isinstance(first, int) else 0):
            inner.dictionaries += self._parse(data, start, streams=False).dictionaries
        self._judge(inner, names)
        for key, finding in ((b"EF", Finding.PDF_FILES), (b"XFA", Finding.PDF_SCRIPTS)):
            if key in names and not any(key in d for d in inner.dictionaries):
                self.findings.add(finding)  # it is outside the objects that were found

    def _decoded(self, one: _Object) -> bytes | None:
        """Return the bytes of a stream after its filters; None when they cannot be decoded.

        Damage may truncate them.
        """
        if one.stream is None:
            return None
        begin = one.stream
        end = self._end_of(one, begin)
        data = self.content[begin:end]
        filters = one.own.get(b"Filter")
        names = filters if isinstance(filters, list) else [] if filters is None else [filters]
        if any(not isinstance(n, _Name) for n in names):  # named in another object: it is nearly always this one
            names = [_Name(b"FlateDecode")]
        for each in names:
            assert isinstance(each, _Name)
            decoded = self._filtered(_FILTERS.get(each.name, each.name), data)
            if decoded is None:
                return None
            data = decoded
        if _predicted(one.own.get(b"DecodeParms")):
            raise _TooMuch("a predicted stream")
        return data

    def _end_of(self, one: _Object, begin: int) -> int:
        length = one.own.get(b"Length")
        if isinstance(length, int) and length >= 0:
            end = begin + length
            if self.content[end : end + 12].lstrip(b"\0\t\n\f\r ").startswith(b"endstream"):
                return end
        found = _ENDSTREAM.search(self.content, begin)
        return found.start() if found else len(self.content)

    def _filtered(self, name: bytes, data: bytes) -> bytes | None:
        try:
            if name == b"FlateDecode":
                return self._inflated(data)
            if name == b"ASCIIHexDecode":
                digits = re.sub(rb"[^0-9A-Fa-f]", b"", data.partition(b">")[0])
                return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode())
            if name == b"ASCII85Decode":
                return base64.a85decode(data.partition(b"~>")[0].strip().removeprefix(b"<~"))
            if name == b"RunLengthDecode":
                return self._run_lengths(data)
            if name == b"Crypt":
                return data
        except (ValueError, zlib.error):
            return None
        raise _TooMuch("a filter that is not used for this")

    def _inflated(self, data: bytes) -> bytes | None:
        made = bytearray()
        engine = zlib.decompressobj()
        rest = data.lstrip(b"\r\n") if data[:1] in b"\r\n" else data
        while rest and not engine.eof:
            try:
                part = engine.decompress(rest, MIB)
            except zlib.error:
                break  # the bytes before the damage count
            rest = engine.unconsumed_tail
            made += part
            self._took(len(part))
            if len(made) > MOST_OF_ONE:
                raise _TooMuch("one stream")
            if not part:
                break
        return bytes(made) if made else None

    def _run_lengths(self, data: bytes) -> bytes:
        made, at = bytearray(), 0
        while at < len(data) and data[at] != 128 and len(made) <= MOST_OF_ONE:
            length = data[at]
            if length < 128:
                made += data[at + 1 : at + 2 + length]
                at += 2 + length
            else:
                made += data[at + 1 : at + 2] * (257 - length)
                at += 2
        self._took(len(made))
        return bytes(made)

    def _took(self, length: int) -> None:
        self.inflated += length
        if self.inflated > MOST_INFLATED:
            raise _TooMuch("streams")


def _parse(data: bytes, at: int, one: _Object, most: int, streams: bool) -> int:
    """Read tokens up to the end of the object or the beginning of its stream. Return the position of the end."""
    stack: list[list[object]] = [one.values]
    stop = min(len(data), at + most)
    while at < stop:
        found = _TOKEN.match(data, at)
        assert found is not None
        begin, at = at, found.end()
        kind, token = found.lastgroup, found.group()
        if kind == "name":
            name = _unescaped(token[1:])
            if name in _WATCHED:
                one.names[begin] = name
            stack[-1].append(_Name(name))
        elif kind == "string":
            end = _string_end(data, at)
            stack[-1].append(data[at : min(end - 1, at + 4096)])
            at = end
        elif kind == "hex":
            stack[-1].append(_from_hex(token[:8192]).replace(b"\\", b"\\\\"))
        elif kind == "open":
            if len(stack) > 200:
                raise _TooMuch("depth")
            stack.append([])
        elif kind == "close" and len(stack) > 1:
            _close(stack, one, token)
            if len(stack) == 1 and not streams:  # an object in an object stream
                break
        elif kind == "word":
            if token == b"stream" and streams:
                one.stream = at + (2 if data[at : at + 2] == b"\r\n" else data[at : at + 1] in (b"\n", b"\r"))
                break
            if token in (b"endobj", b"startxref") and streams:
                break
            _word(stack[-1], token)
            if len(one.values) > 8 and not streams:
                break
    while len(stack) > 1:  # what was not closed counts too
        _close(stack, one, b">>")
    return at


def _close(stack: list[list[object]], one: _Object, token: bytes) -> None:
    values = stack.pop()
    if token == b"]":
        stack[-1].append(values)
        return
    made = _dictionary(values)
    one.dictionaries.append(made)
    stack[-1].append(made)


def _word(values: list[object], token: bytes) -> None:
    if token == b"R" and len(values) >= 2 and isinstance(number := values[-2], int):
        del values[-2:]
        values.append(_Reference(number))
    else:
        values.append(int(token) if token.isdigit() and len(token) < 12 else token[:64])


def _offsets(data: bytes, first: int) -> list[int]:
    """Return where the objects of an object stream begin.

    Pairs of an object number and an offset come before the first object.
    """
    numbers = [int(n) for n in data[:first].split() if n.isdigit() and len(n) < 12]
    found = sorted({first + n for n in numbers[1::2] if first + n < len(data)} | {min(first, len(data))})
    if len(found) > 10_000:
        raise _TooMuch("an object stream of many objects")
    return found


def _dictionary(values: list[object]) -> Dictionary:
    """Return a dictionary from alternating keys and values. After an error it continues at the next name."""
    made: Dictionary = {}
    at = 0
    while at < len(values):
        key = values[at]
        if isinstance(key, _Name):
            made[key.name] = values[at + 1] if at + 1 < len(values) else None
            at += 2
        else:
            at += 1
    return made


def _string_end(data: bytes, at: int) -> int:
    """Return the position after the last parenthesis of a string (7.3.4.2)."""
    depth = 1
    while found := _IN_STRING.search(data, at):
        sign, at = found.group(), found.end()
        if sign == b"\\":
            at += 1
        else:
            depth += 1 if sign == b"(" else -1
            if not depth:
                return at
    return len(data)


def _from_hex(token: bytes) -> bytes:
    digits = re.sub(rb"[^0-9A-Fa-f]", b"", token)
    return bytes.fromhex((digits + b"0" * (len(digits) % 2)).decode())


def _unescaped(name: bytes) -> bytes:
    return _ESCAPE.sub(lambda m: bytes([int(m[1], 16)]), name)


def _text_of(value: object) -> str:
    """Return a text string (7.9.2.2) approximately: good enough to compare its end."""
    if not isinstance(value, bytes):
        return ""
    plain = _SPECIAL.sub(_meant, value)
    if plain.startswith(b"\xfe\xff"):
        return plain[2:].decode("utf-16-be", "replace")
    return plain.decode("utf-8", "replace")


def _meant(found: re.Match[bytes]) -> bytes:
    return bytes([int(found[1], 8) & 0xFF]) if found[1][:1].isdigit() and found[1][:1] < b"8" else found[1]


def _on_a_share(value: object) -> bool:
    texts_ = [value] if isinstance(value, bytes) else []
    if isinstance(value, dict):
        texts_ = [v for v in value.values() if isinstance(v, bytes)]
    return any(parts.is_remote(t) and not parts.is_web(t) for t in map(_text_of, texts_))


def _predicted(parameters: object) -> bool:
    each = parameters if isinstance(parameters, list) else [parameters]
    return any(isinstance(p, dict) and isinstance(n := p.get(b"Predictor"), int) and n > 1 for p in each)
