"""Small files of all sorts, made by hand: documents, pictures, and archives that mean harm."""

import bz2
import functools
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360000002000001"
    "e221bc330000000049454e44ae426082"
)
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_MAIN = "application/vnd.openxmlformats-officedocument.{}.main+xml"
WORD, SHEET, SLIDES = "wordprocessingml.document", "spreadsheetml.sheet", "presentationml.presentation"
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def archive(members: Mapping[str, bytes | str], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A zip archive; its member `mimetype` is stored, as OpenDocument has it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as written:
        for name, content in members.items():
            written.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else compression)
    return made.getvalue()


def relations(*each: tuple[str, str] | tuple[str, str, str]) -> str:
    """A list of relationships: type (its last word, or whole), target, and `External` where that is meant."""
    rows = "".join(
        f'<Relationship Id="r{n}" Type="{kind if ":" in kind else f"{RELATIONS}/{kind}"}" Target="{target}"'
        + (f' TargetMode="{mode[0]}"/>' if mode else "/>")
        for n, (kind, target, *mode) in enumerate(each)
    )
    return f'<Relationships xmlns="{_PACKAGE}/relationships">{rows}</Relationships>'


def content_types(*overrides: tuple[str, str], extra: str = "") -> str:
    rows = "".join(f'<Override PartName="/{part}" ContentType="{kind}"/>' for part, kind in overrides)
    defaults = (
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/>'
    )
    return f'<?xml version="1.0"?><Types xmlns="{_PACKAGE}/content-types">{defaults}{extra}{rows}</Types>'


def office(
    main: str = "word/document.xml",
    kind: str = WORD,
    more: Mapping[str, bytes | str] | None = None,
    related: str | None = None,
    body: str = "",
) -> bytes:
    """A document of Office Open XML: `related` are the relationships of its main part, `body` stands in it."""
    folder, _, name = main.rpartition("/")
    members: dict[str, bytes | str] = {
        "[Content_Types].xml": content_types((main, _MAIN.format(kind))),
        "_rels/.rels": relations(("officeDocument", main)),
        main: f'<w:document xmlns:w="{_W}" xmlns:r="{RELATIONS}"><w:body>{body}</w:body></w:document>',
    }
    if related is not None:
        members[f"{folder}/_rels/{name}.rels"] = related
    return archive({**members, **(more or {})})


def opendocument(kind: str = "text", more: Mapping[str, bytes | str] | None = None, body: str = "") -> bytes:
    """A document of OpenDocument with this in its body."""
    spaces = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "text", "table", "script", "draw", "presentation", "manifest", "meta")
    )
    content = (
        f'<office:document-content {spaces} xmlns:xlink="http://www.w3.org/1999/xlink">'
        f"<office:scripts/><office:body>{body}</office:body></office:document-content>"
    )
    mimetype = f"application/vnd.oasis.opendocument.{kind}"
    manifest = f'<manifest:manifest {spaces}><manifest:file-entry manifest:full-path="/"/></manifest:manifest>'
    members: dict[str, bytes | str] = {
        "mimetype": mimetype,
        "content.xml": content,
        "META-INF/manifest.xml": manifest,
    }
    return archive({**members, **(more or {})})


def compound(*streams: str) -> bytes:
    """An OLE compound file whose directory has these entries (and nothing else that it would need)."""
    entries = b"".join(
        (name.encode("utf-16-le") + b"\0\0").ljust(64, b"\0") + struct.pack("<H", 2 * len(name) + 2) + bytes(62)
        for name in ("Root Entry", *streams)
    )
    return b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(504) + entries.ljust(512, b"\0")


def pdf(*objects: bytes, head: bytes = b"%PDF-1.7\n", trailer: bytes = b"/Root 1 0 R") -> bytes:
    """A PDF with these objects behind its catalogue, the first of which has the number 2."""
    catalogue = b"<</Type/Catalog/Pages 90 0 R>>"
    numbered = b"".join(b"%d 0 obj\n%s\nendobj\n" % (n, o) for n, o in enumerate((catalogue, *objects), 1))
    return head + numbered + b"trailer\n<<" + trailer + b">>\nstartxref\n0\n%%EOF\n"


def stream(content: bytes, entries: bytes = b"", deflated: bool = True) -> bytes:
    """The body of an object with a stream."""
    data = zlib.compress(content) if deflated else content
    which = b"/Filter/FlateDecode" if deflated else b""
    return b"<<%s%s/Length %d>>\nstream\n%s\nendstream" % (entries, which, len(data), data)


def object_stream(content: bytes, **more: bool) -> bytes:
    return stream(b"10 0 " + content, b"/Type/ObjStm/N 1/First 5", **more)


def _raw_zip(name: bytes, data: bytes, method: int, size: int, count: int = 1, comment: bytes = b"") -> bytes:
    """An archive of one member (named in the directory as often as given), written without a library."""
    crc = 0
    local = struct.pack("<4s5H3L2H", b"PK\3\4", 20, 0, method, 0, 0, crc, len(data), size, len(name), 0)
    central = struct.pack(
        "<4s6H3L5H2L", b"PK\1\2", 20, 20, 0, method, 0, 0, crc, len(data), size, len(name), 0, 0, 0, 0, 0, 0
    )
    body, directory = local + name + data, (central + name) * count
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, min(count, 0xFFFF), min(count, 0xFFFF), len(directory), len(body), 0)
    return body + directory + end + comment


@functools.cache
def _lzma() -> bytes:
    packed = lzma.compress(bytes(8 * _MIB), lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA1, "dict_size": _MIB}])
    return _raw_zip(_TYPES, _LZMA_PROPERTIES + packed, zipfile.ZIP_LZMA, 8 * _MIB)


def _overlap() -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive({_TYPES.decode(): content_types(), "word/document.xml": "<w/>"}))) as read:
        size = read.infolist()[0].compress_size
    return _raw_zip(_TYPES, b"x" * size, zipfile.ZIP_STORED, size, 9)


def _entities() -> bytes:
    entities = '<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">'
    return office(more={"word/document.xml": f"<!DOCTYPE w [{entities}]><w>&b;</w>"})


def _uncounted() -> bytes:
    members = _raw_zip(_TYPES, b"", zipfile.ZIP_STORED, 0, 60_000)[:-22]
    return members + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, 60_000 * 65, 49, 0)


_MIB = 1024 * 1024
_TYPES = b"[Content_Types].xml"
_LZMA_PROPERTIES = struct.pack("<BBH", 9, 4, 5) + b"\x5d" + struct.pack("<L", _MIB)
BOMBS: dict[str, Callable[[], bytes]] = {
    "bzip2": lambda: _raw_zip(_TYPES, bz2.compress(bytes(8 * _MIB)), zipfile.ZIP_BZIP2, 8 * _MIB),
    "lzma": _lzma,
    "deflate": lambda: archive({_TYPES.decode(): bytes(80 * _MIB), "word/document.xml": b"<w/>"}),
    "deflate in the document": lambda: archive(
        {_TYPES.decode(): content_types(), "word/document.xml": bytes(80 * _MIB)}
    ),
    "a size that lies": lambda: _raw_zip(_TYPES, zlib.compress(bytes(80 * _MIB), 9)[2:-4], zipfile.ZIP_DEFLATED, 1_000),
    "members": lambda: archive({f"{n:x}": b"" for n in range(100_000)}, zipfile.ZIP_STORED),
    "members that are not counted": _uncounted,
    "members that overlap": _overlap,
    "entities": _entities,
    "depth": lambda: office(more={"word/document.xml": "<instr>" * 100_000 + "</instr>" * 100_000}),
}
"""Archives that are small and want much: memory, time or members. Each is made when it is asked for."""


@functools.cache
def bombs() -> dict[str, bytes]:
    """All of them."""
    return {name: make() for name, make in BOMBS.items()}
