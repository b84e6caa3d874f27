"""Removal of metadata from pictures: place, camera, time, comments. The picture itself is not changed.

Of the metadata only the orientation, by which a viewer turns the picture, and colour profiles stay. A file without
metadata stays byte for byte as it was. What follows a damaged part also stays as it was.

Sources: JPEG (ITU-T T.81 annex B), Exif 2.32 and TIFF 6, CIPA DC-007 (multi-picture format); PNG (W3C, third edition);
GIF89a; WebP (RFC 9649).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from services.transcripts.attachments.kinds import GIF, JPEG, PNG, WEBP, Kind, Reason, Refused

ORIENTATION = 0x0112
_PNG = b"\x89PNG\r\n\x1a\n"
# Chunks that affect how the picture looks. Any other chunk whose name begins with a lower-case letter may be left out.
_PNG_KEPT = (
    *(b"acTL", b"fcTL", b"fdAT", b"cHRM", b"cICP", b"cLLI", b"cLLi", b"gAMA", b"iCCP", b"mDCV", b"mDCv", b"sBIT"),
    *(b"sRGB", b"bKGD", b"hIST", b"pHYs", b"sPLT", b"tRNS", b"gIFg", b"oFFs", b"sCAL", b"sTER", b"dSIG"),
)
_WEBP_DROPPED = (b"EXIF", b"XMP ")
_GIF_KEPT = (b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012")
_VP8X_EXIF, _VP8X_XMP = 0x08, 0x04
_MOST_PICTURES = 16  # in one multi-picture file
_TRAILING = (b"Exif\0\0", b"ns.adobe.com/xap", b"ftyp", b"SEFT", b"MotionPhoto")
_MOST_SEGMENTS = 20_000  # of one picture: a colour profile and the scans of the slowest camera need some hundreds
_FRAMES = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))  # ITU-T T.81 table B.1


def without_metadata(content: bytes, kind: Kind) -> bytes:
    """Return the picture without its metadata; `content` itself when there is none.

    Raises:
        Refused: The picture has more segments than any camera or program makes.
    """
    clean = _BY_KIND[kind.content_type](content)
    return content if clean == content else clean


def pixels(content: bytes, kind: Kind) -> int:
    """Return the number of pixels that the file declares; 0 where it declares none."""
    width = height = 0
    if kind == PNG and len(content) >= 24:
        width, height = struct.unpack_from(">LL", content, 16)
    elif kind == GIF and len(content) >= 10:
        width, height = struct.unpack_from("<HH", content, 6)
    elif kind == WEBP and content[12:16] == b"VP8X" and len(content) >= 30:
        width, height = (1 + int.from_bytes(content[at : at + 3], "little") for at in (24, 27))
    elif kind == JPEG:
        frames = [s.body for s in _segments(content, 0)[0] if s.marker in _FRAMES and s.body + 5 <= s.end]
        return max(
            (int.from_bytes(content[b + 1 : b + 3]) * int.from_bytes(content[b + 3 : b + 5]) for b in frames), default=0
        )
    return width * height


# ── JPEG ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True)
class _Segment:
    """A marker segment of a JPEG file, as positions in the file."""

    start: int
    end: int
    marker: int
    body: int  # start of the data after the length


def _jpeg(content: bytes) -> bytes:
    """Return a JPEG file without metadata.

    A file with several pictures has an index of their distances. There the metadata is overwritten, so that nothing
    moves.
    """
    several = False
    made, at = bytearray(), 0
    for _ in range(_MOST_PICTURES):
        segments, end = _segments(content, at)
        several = several or any(_is_index(content, s) for s in segments)
        for segment in segments:
            made += content[at : segment.start] + _kept_segment(content, segment, several)
            at = segment.end
        made += content[at:end]
        following = content.find(b"\xff\xd8\xff", end) if several else -1
        if following < 0:
            break
        made += content[end:following]
        at = following
    else:
        end = at
    rest = content[end:]
    if any(sign in rest for sign in _TRAILING):
        return bytes(made)  # a film, a picture without an index, or a maker's notes after the picture
    return bytes(made + rest)


def _segments(content: bytes, at: int) -> tuple[list[_Segment], int]:
    """Return the marker segments of the picture at this position, and where it ends or is damaged."""
    found: list[_Segment] = []
    at += 2
    while True:
        while content[at : at + 2] == b"\xff\xff":
            at += 1
        if at + 4 > len(content) or content[at] != 0xFF:
            return found, min(at + 2 if content[at : at + 2] == b"\xff\xd9" else at, len(content))
        marker = content[at + 1]
        if marker == 0xD9:
            return found, at + 2
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        end = at + 2 + int.from_bytes(content[at + 2 : at + 4], "big")
        if marker == 0 or end < at + 4 or end > len(content):
            return found, at
        found.append(_Segment(at, end, marker, at + 4))
        if len(found) > _MOST_SEGMENTS:
            raise Refused(Reason.NOT_ALLOWED, "a picture in too many pieces")
        at = _after_scan(content, end) if marker == 0xDA else end


def _after_scan(content: bytes, at: int) -> int:
    """Return the position of the next marker after the coded data of a scan.

    In that data FF is followed by 0 or a restart.
    """
    while (at := content.find(b"\xff", at)) >= 0:
        after = content[at + 1 : at + 2]
        if after and after != b"\0" and not 0xD0 <= after[0] <= 0xD7:
            return at
        at += 1
    return len(content)


def _is_index(content: bytes, segment: _Segment) -> bool:
    return segment.marker == 0xE2 and content.startswith(b"MPF\0", segment.body)


def _kept_segment(content: bytes, segment: _Segment, in_place: bool) -> bytes:
    whole = content[segment.start : segment.end]
    body = content[segment.body : segment.end]
    if segment.marker == 0xE0 and body.startswith((b"JFIF\0", b"AVI1")):
        return whole
    if segment.marker == 0xE2 and body.startswith((b"ICC_PROFILE\0", b"MPF\0")):
        return whole
    if segment.marker == 0xEE and body.startswith(b"Adobe"):  # it defines the colour space
        return whole
    if not (0xE0 <= segment.marker <= 0xEF or segment.marker == 0xFE):
        return whole
    small = b""
    if segment.marker == 0xE1 and body.startswith(b"Exif\0") and (turned := _orientation(body[6:])):
        small = b"Exif\0\0" + _exif(turned)
    if not in_place:
        return b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small if small else b""
    marker = b"\xff\xe1" if small and len(small) <= len(body) else b"\xff\xfe"
    blank = (small if marker == b"\xff\xe1" else b"").ljust(len(body), b"\0")
    return marker + content[segment.start + 2 : segment.body] + blank


def _orientation(tiff: bytes) -> int:
    """Return the orientation, 2 to 8; 0 when the picture is upright or does not say."""
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 0
    try:
        (at,) = struct.unpack_from(order + "L", tiff, 4)
        (count,) = struct.unpack_from(order + "H", tiff, at)
        for entry in range(at + 2, at + 2 + 12 * min(count, 512), 12):
            tag, kind, number = struct.unpack_from(order + "HHL", tiff, entry)
            if tag == ORIENTATION and number == 1 and kind in (3, 4):
                (value,) = struct.unpack_from(order + ("H" if kind == 3 else "L"), tiff, entry + 8)
                return int(value) if 2 <= value <= 8 else 0
    except struct.error:
        pass
    return 0


def _exif(orientation: int) -> bytes:
    """Return a TIFF header with one directory of one entry: the orientation."""
    return b"MM\0*" + struct.pack(">LHHHLHHL", 8, 1, ORIENTATION, 3, 1, orientation, 0, 0)


# ── PNG ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _png(content: bytes) -> bytes:
    made, at = bytearray(_PNG), len(_PNG)
    while at + 12 <= len(content):
        length, name = struct.unpack_from(">L4s", content, at)
        end = at + 12 + length
        if end > len(content) or not name.isalpha():
            break
        if not name[0] & 0x20 or name in _PNG_KEPT:
            made += content[at:end]
        elif name == b"eXIf" and (turned := _orientation(content[at + 8 : end - 4])):
            made += _chunk(b"eXIf", _exif(turned))
        at = end
        if name == b"IEND":
            break
    if made.endswith(b"IEND\xaeB`\x82") and b"IEND" in content[at:]:
        return bytes(made)  # remains of an overwritten picture, such as a cropped screenshot
    return bytes(made + content[at:])


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))


# ── GIF ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _gif(content: bytes) -> bytes:
    if len(content) < 13:
        return content
    at = 13 + _table(content[10])
    made = bytearray(content[:at])
    while at < len(content):
        end, kept = at, True
        if content[at] == 0x21 and at + 2 <= len(content):
            label, end = content[at + 1], _blocks(content, at + 2)
            name = content[at + 3 : at + 14]
            kept = label != 0xFE and (label != 0xFF or content[at + 2] != 11 or name in _GIF_KEPT)
        elif content[at] == 0x2C and at + 11 <= len(content):
            end = _blocks(content, at + 11 + _table(content[at + 9]))
        if end <= at:  # the end of the pictures, or damage
            break
        if kept:
            made += content[at:end]
        at = end
    return bytes(made + content[at:])


def _table(flags: int) -> int:
    """Return the bytes of a colour table."""
    return 3 << ((flags & 7) + 1) if flags & 0x80 else 0


def _blocks(content: bytes, at: int) -> int:
    """Return where a sequence of blocks ends, each with its length before it; -1 when it does not end."""
    while at < len(content):
        length = content[at]
        at += 1 + length
        if not length:
            return at
    return -1


# ── WebP ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _webp(content: bytes) -> bytes:
    stop = min(8 + int.from_bytes(content[4:8], "little"), len(content))
    kept: list[bytes] = []
    turned, dropped, at = 0, False, 12
    for name, start, end in _chunks(content, at, stop):
        at = end
        if name not in _WEBP_DROPPED:
            kept.append(content[start:end] + b"\0" * ((end - start) & 1))
            continue
        dropped = True
        if name == b"EXIF":
            turned = _orientation(content[start + 8 : end].removeprefix(b"Exif\0\0"))
    if not dropped:
        return content
    extended = bool(kept) and kept[0].startswith(b"VP8X") and len(kept[0]) >= 18
    if extended:
        flags = kept[0][8] & ~(_VP8X_EXIF | _VP8X_XMP) | (_VP8X_EXIF if turned else 0)
        kept[0] = kept[0][:8] + bytes([flags]) + kept[0][9:]
    if extended and turned:
        small = _exif(turned)
        kept.append(b"EXIF" + struct.pack("<L", len(small)) + small)
    body = b"WEBP" + b"".join(kept) + content[at:stop]
    return b"RIFF" + struct.pack("<L", len(body)) + body + content[stop:]


def _chunks(content: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    while at + 8 <= stop:
        end = at + 8 + int.from_bytes(content[at + 4 : at + 8], "little")
        end += end & 1
        if end > stop + 1 or end > len(content) + 1:
            return
        yield content[at : at + 4], at, min(end, stop)
        at = end


_BY_KIND: dict[str, Callable[[bytes], bytes]] = {
    JPEG.content_type: _jpeg,
    PNG.content_type: _png,
    GIF.content_type: _gif,
    WEBP.content_type: _webp,
}
