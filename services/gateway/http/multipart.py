"""Parser of a multipart form with one file, as a stream in bounded memory (RFC 7578), with python-multipart."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

MOST_HEADER = 16 * 1024
MOST_BEFORE = 64 * 1024  # bytes of the body before the file: preamble, other fields, headers
_ESCAPED = {"%22": '"', "%0D": "\r", "%0A": "\n"}  # by browsers, in names (HTML Standard, multipart/form-data encoding)
_ESCAPE = re.compile("|".join(_ESCAPED))


class NotMultipart(Exception):
    """The body is not a multipart form with a file in the field `file`."""


@dataclass(frozen=True)
class FilePart:
    """A file that is being uploaded.

    Attributes:
        name: The name that the browser sent; not to be trusted.
        chunks: The bytes; they can be read once.
    """

    name: str
    chunks: AsyncIterator[bytes]


class _Parts:
    """Callbacks of the parser. They collect the bytes of the part named `file`."""

    def __init__(self) -> None:
        self.data: deque[bytes] = deque()
        self.name: str | None = None
        self.ended = False
        self._in_file = False
        self._field, self._value, self._size = b"", b"", 0

    def on_part_begin(self) -> None:
        self._field, self._value, self._size = b"", b"", 0

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._grow(end - start)
        self._field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._grow(end - start)
        self._value += data[start:end]

    def _grow(self, size: int) -> None:
        self._size += size
        if self._size > MOST_HEADER:
            raise NotMultipart

    def on_header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            if options.get(b"name") == b"file" and self.name is None:
                self._in_file = True
                name = options.get(b"filename", b"").decode("utf-8", "replace")
                self.name = _ESCAPE.sub(lambda found: _ESCAPED[found[0]], name)
        self._field, self._value = b"", b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self.data.append(data[start:end])

    def on_part_end(self) -> None:
        if self._in_file:
            self._in_file, self.ended = False, True


async def file_part(content_type: str, body: AsyncIterator[bytes]) -> FilePart:
    """Return the part `file` of this body, once its headers were read.

    Of a body without that part no more than `MOST_BEFORE` bytes and one chunk are read.

    Raises:
        NotMultipart: The body is not such a form; also raised while the chunks are read.
    """
    kind, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if kind != b"multipart/form-data" or not boundary:
        raise NotMultipart
    parts = _Parts()
    names = ("part_begin", "header_field", "header_value", "header_end", "part_data", "part_end")
    callbacks: Any = {f"on_{n}": getattr(parts, f"on_{n}") for n in names}
    try:
        parser = MultipartParser(boundary, callbacks)
    except FormParserError as error:  # a boundary that is too long
        raise NotMultipart from error
    before = 0
    while parts.name is None:
        fed = await _feed(parser, body)
        before += fed
        if not fed or (parts.name is None and before > MOST_BEFORE):
            raise NotMultipart
    return FilePart(parts.name, _chunks(parser, parts, body))


async def _chunks(parser: MultipartParser, parts: _Parts, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    while True:
        while parts.data:
            yield parts.data.popleft()
        if parts.ended:
            return
        if not await _feed(parser, body):
            raise NotMultipart


async def _feed(parser: MultipartParser, body: AsyncIterator[bytes]) -> int:
    """Pass the next chunk of the body to the parser. Return its size in bytes; 0 at the end."""
    async for chunk in body:
        if chunk:
            try:
                parser.write(chunk)
            except FormParserError as error:
                raise NotMultipart from error
            return len(chunk)
    return 0
