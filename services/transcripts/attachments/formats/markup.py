"""XML as a stream of elements, without its dangerous parts: entities, unusual encodings, unlimited depth.

The rules are those of the package defusedxml (no entity is declared, nothing external is read), for documents that are
too large to be held as a tree.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from xml.parsers import expat

from services.transcripts.attachments.formats.archives import Budget

MAX_DEPTH = 2_000
_ENCODINGS = ("utf-8", "utf-16", "utf-16le", "utf-16be", "us-ascii", "ascii", "iso-8859-1", "windows-1252")
_WRONG_ENCODING = (18, 19)  # expat: XML_ERROR_UNKNOWN_ENCODING, XML_ERROR_INCORRECT_ENCODING
_EVERY = 4096  # elements after which the budget is charged

Attributes = dict[str, str]


class BadMarkup(Exception):
    """The XML is not well-formed. The callbacks were called for everything before the error."""


class Dangerous(Exception):
    """The XML declares entities, or is written in an encoding that documents do not use."""


def looks_like_markup(head: bytes) -> bool:
    """Return whether programs read a member with this beginning as XML."""
    if head[:2] in (b"\xff\xfe", b"\xfe\xff") or head[:2] in (b"<\0", b"\0<"):
        return True
    return head.removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n")[:1] == b"<"


def local(name: str) -> str:
    """Return the name without its namespace."""
    return name.rpartition(" ")[2]


def walk(
    chunks: Iterable[bytes],
    budget: Budget,
    start: Callable[[str, Attributes], None],
    text: Callable[[str], None] | None = None,
    end: Callable[[str], None] | None = None,
) -> None:
    """Call `start(name, attributes)`, `text(characters)` and `end(name)` in the order of the document.

    Element names are local ones. Attribute names keep the namespace, with a space after it.

    Raises:
        BadMarkup: The XML is not well-formed.
        Dangerous: The XML uses what is not allowed.
        BadArchive: The budget is used up.
    """
    parser = expat.ParserCreate(namespace_separator=" ")
    depth = seen = 0

    def on_start(name: str, attributes: Attributes) -> None:
        nonlocal depth, seen
        depth, seen = depth + 1, seen + 1
        if depth > MAX_DEPTH:
            raise Dangerous("depth")
        if seen % _EVERY == 0:
            budget.take("elements", _EVERY)
        start(name[name.rfind(" ") + 1 :], attributes)

    def on_end(name: str) -> None:
        nonlocal depth
        depth -= 1
        if end:
            end(name[name.rfind(" ") + 1 :])

    def on_declaration(_: str, encoding: str | None, __: int) -> None:
        if encoding and encoding.lower() not in _ENCODINGS:
            raise Dangerous("encoding")

    def on_entity(*_: object) -> None:
        raise Dangerous("entity")

    parser.StartElementHandler, parser.EndElementHandler = on_start, on_end
    parser.XmlDeclHandler, parser.EntityDeclHandler = on_declaration, on_entity
    if text:
        parser.buffer_text = True
        parser.CharacterDataHandler = text
    try:
        for chunk in chunks:
            parser.Parse(chunk, False)
        parser.Parse(b"", True)
    except expat.ExpatError as error:
        if error.code in _WRONG_ENCODING:
            raise Dangerous("encoding") from error
        raise BadMarkup from error
    except (LookupError, ValueError) as error:  # raised for an encoding that is not a single-byte one
        raise Dangerous("encoding") from error
    finally:
        budget.take("elements", seen % _EVERY)
