"""RULES of finding the JSON of a transcript in a PDF (ISO 32000-1, section 7.11.4). No I/O.

A stream of an embedded file is an object of its own in every PDF, however the rest is stored. Its bytes are found by
their dictionary, without the tables of the file: only files are read that are embedded as they are or deflated.
"""

from __future__ import annotations

import re
import zlib

_TYPE = re.compile(rb"/EmbeddedFile(?![A-Za-z0-9])")
_STREAM = re.compile(rb"stream\r?\n")
_NEAR = 4_096  # bytes between the type of a stream and its data
_MOST = 50  # embedded files that are looked at


class NoTranscript(Exception):
    """The PDF has no transcript, or more than one. `cut_off`: its end is missing."""

    def __init__(self, cut_off: bool = False) -> None:
        super().__init__("no transcript in this PDF")
        self.cut_off = cut_off


def embedded_json(pdf: bytes, most: int) -> bytes:
    """Return the only embedded JSON object that begins as a transcript does.

    Args:
        pdf: The PDF.
        most: Bytes of the JSON at most.

    Raises:
        NoTranscript: There is none, or there are several.
    """
    found = []
    for number, match in enumerate(_TYPE.finditer(pdf)):
        if number == _MOST:
            break
        begin = _STREAM.search(pdf, match.end(), match.end() + _NEAR)
        if begin is None:
            continue
        start = pdf.rfind(b" obj", max(0, match.start() - _NEAR), match.start())
        data = _data(pdf, pdf[max(start, 0) : begin.start()], begin.end(), most)
        if data is not None and data.startswith(b'{"chat_id"'):
            found.append(data)
        if len(found) > 1:  # no more of them are held in memory
            break
    if len(found) != 1:
        raise NoTranscript(cut_off=b"%%EOF" not in pdf[-1024:])
    return found[0]


def _data(pdf: bytes, dictionary: bytes, start: int, most: int) -> bytes | None:
    if b"/FlateDecode" in dictionary:
        inflate = zlib.decompressobj()
        try:
            data = inflate.decompress(memoryview(pdf)[start:], most)
        except zlib.error:
            return None
        return data if inflate.eof else None
    if b"/Filter" in dictionary:
        return None
    end = pdf.find(b"endstream", start)
    return pdf[start:end].rstrip(b"\r\n") if 0 <= end - start <= most else None
