"""Pictures lose what they reveal of their owner, and nothing else: attachments/formats/images.py."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transcripts.attachments.formats.images import without_metadata
from services.transcripts.attachments.judging import judge
from services.transcripts.attachments.kinds import GIF, JPEG, PNG, WEBP, Kind, Reason, Refused
from tests.transcripts import made

SECRET = b"51.05 3.72 GEHEIM"


def tiff(orientation: int, order: str = "<") -> bytes:
    """A TIFF of two entries, a maker and the orientation, with the place behind them."""
    head = b"II*\0" if order == "<" else b"MM\0*"
    entries = struct.pack(order + "HHLL", 0x010F, 2, len(SECRET), 38) + struct.pack(
        order + "HHLHH", 0x0112, 3, 1, orientation, 0
    )
    return head + struct.pack(order + "LH", 8, 2) + entries + struct.pack(order + "L", 0) + SECRET


def segment(marker: int, body: bytes) -> bytes:
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


START, END = b"\xff\xd8", b"\xff\xd9"
JFIF = segment(0xE0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
ICC = segment(0xE2, b"ICC_PROFILE\0\1\1profile")
ADOBE = segment(0xEE, b"Adobe\0\x64\0\0\0\0\2")
SCANS = (
    segment(0xDB, bytes(65)) + segment(0xDA, b"\1\1\0\0\x3f\0") + b"data\xff\0more\xff\xd3" + segment(0xC4, b"huffman")
)
SCANS += segment(0xDA, b"\1\1\0\0\x3f\0") + b"again\xff\0"
DROPPED = (
    segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + SECRET)
    + segment(0xED, b"Photoshop 3.0\0" + SECRET)
    + segment(0xFE, SECRET)
    + segment(0xEB, b"JP" + SECRET)
    + segment(0xE2, b"FPXR" + SECRET)
)
SMALL = segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x06\0\0\0\0\0\0")


def jpeg(*segments: bytes) -> bytes:
    return START + b"".join(segments) + SCANS + END


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))


def png(*chunks: bytes) -> bytes:
    return made.PNG[:33] + b"".join(chunks) + made.PNG[33:]


def riff(*chunks: tuple[bytes, bytes]) -> bytes:
    body = b"WEBP" + b"".join(n + struct.pack("<L", len(b)) + b + b"\0" * (len(b) % 2) for n, b in chunks)
    return b"RIFF" + struct.pack("<L", len(body)) + body


def vp8x(flags: int) -> tuple[bytes, bytes]:
    return b"VP8X", bytes([flags]) + bytes(9)


def block(label: int, *parts: bytes) -> bytes:
    return b"!" + bytes([label]) + b"".join(bytes([len(p)]) + p for p in parts) + b"\0"


GIF_HEAD = b"GIF89a\2\0\2\0\x80\0\0" + bytes(6)
FRAME = block(0xF9, b"\0\1\0\0") + b",\0\0\0\0\2\0\2\0\0" + b"\2\3abc\0"
LOOP = block(0xFF, b"NETSCAPE2.0", b"\1\0\0")
EXIF = b"MM\0*\0\0\0\x08\0\1\1\x12\0\3\0\0\0\1\0\x06\0\0\0\0\0\0"

CUT = made.PNG[:33] + chunk(b"IDAT", b"x") + chunk(b"IEND", b"")  # a screenshot that was cut


@pytest.mark.parametrize(
    ("kind", "picture", "clean"),
    [
        (JPEG, jpeg(JFIF, ICC, ADOBE), None),
        (JPEG, jpeg(JFIF, DROPPED, ICC, ADOBE), jpeg(JFIF, ICC, ADOBE)),
        (JPEG, jpeg(segment(0xE1, b"Exif\0\0" + tiff(6)), ICC), jpeg(SMALL, ICC)),
        (JPEG, jpeg(segment(0xE1, b"Exif\0\0" + tiff(6, ">")), ICC), jpeg(SMALL, ICC)),
        (JPEG, jpeg(segment(0xE1, b"Exif\0\0" + tiff(1)), ICC), jpeg(ICC)),
        (JPEG, jpeg(segment(0xE1, b"Exif\0\0II*\0\xff\xff\xff\xff"), ICC), jpeg(ICC)),
        (JPEG, jpeg(JFIF) + b"\0\0ftypmp42" + SECRET, jpeg(JFIF)),
        (JPEG, jpeg(JFIF) + SECRET + b"SEFT", jpeg(JFIF)),
        (JPEG, jpeg(JFIF) + b"<?php", None),
        (JPEG, jpeg(DROPPED)[:-30], jpeg()[:-30]),
        (JPEG, START + DROPPED + b"\xff\xe1\xff\xff rest", START + b"\xff\xe1\xff\xff rest"),
        (PNG, png(), None),
        (PNG, png(chunk(b"gAMA", bytes(4)), chunk(b"acTL", bytes(8))), None),
        (
            PNG,
            png(
                *(chunk(n, SECRET) for n in (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"caBX", b"eXIf")),
                chunk(b"iCCP", b"x"),
            ),
            png(chunk(b"iCCP", b"x")),
        ),
        (PNG, png(chunk(b"eXIf", tiff(6))), png(chunk(b"eXIf", EXIF))),
        (PNG, png() + b"behind", None),
        (PNG, png(chunk(b"tEXt", SECRET)) + b"behind", png() + b"behind"),
        (
            PNG,
            made.PNG[:33] + chunk(b"tEXt", SECRET) + b"\xff\xff\xff\xffIDAT",
            made.PNG[:33] + b"\xff\xff\xff\xffIDAT",
        ),
        (PNG, CUT + chunk(b"IDAT", SECRET) + chunk(b"IEND", b""), CUT),
        (WEBP, riff(vp8x(0x30), (b"ICCP", b"abc"), (b"VP8 ", b"data")), None),
        (
            WEBP,
            riff(vp8x(0x2C), (b"ICCP", b"abc"), (b"VP8 ", b"data"), (b"EXIF", tiff(1)), (b"XMP ", SECRET)),
            riff(vp8x(0x20), (b"ICCP", b"abc"), (b"VP8 ", b"data")),
        ),
        (
            WEBP,
            riff(vp8x(0x08), (b"VP8L", b"x"), (b"EXIF", tiff(6))),
            riff(vp8x(0x08), (b"VP8L", b"x"), (b"EXIF", EXIF)),
        ),
        (WEBP, riff((b"VP8 ", b"data")) + b"behind", None),
        (GIF, GIF_HEAD + LOOP + FRAME + FRAME + b";", None),
        (
            GIF,
            GIF_HEAD + LOOP + block(0xFE, SECRET) + FRAME + block(0xFF, b"XMP DataXMP", SECRET) + FRAME + b";x",
            GIF_HEAD + LOOP + FRAME + FRAME + b";x",
        ),
        (GIF, GIF_HEAD + block(0xFE, SECRET) + FRAME[:-3], GIF_HEAD + FRAME[:-3]),
    ],
)
def test_what_goes_and_what_stays(kind: Kind, picture: bytes, clean: bytes | None) -> None:
    got = without_metadata(picture, kind)
    assert got == (picture if clean is None else clean)
    assert without_metadata(got, kind) == got
    assert SECRET not in got


def test_pictures_that_an_index_names_stay_where_they_are() -> None:
    index = segment(0xE2, b"MPF\0" + bytes(20))
    exif = segment(0xE1, b"Exif\0\0" + tiff(6))
    first, second = jpeg(exif, DROPPED, index, ICC), jpeg(exif, DROPPED)
    clean = without_metadata(first + second, JPEG)
    assert len(clean) == len(first + second)
    assert clean[len(first) :].startswith(START + b"\xff\xe1")
    assert SECRET not in clean
    assert clean.count(b"MM\0*") == 2
    assert index in clean
    assert ICC in clean
    assert clean.count(SCANS) == 2


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        (PNG, made.PNG[:16] + struct.pack(">LL", 50_000, 50_000) + made.PNG[24:]),
        (GIF, b"GIF89a\xff\xff\xff\xff" + GIF_HEAD[10:] + FRAME + b";"),
        (WEBP, riff((b"VP8X", bytes(4) + b"\xff" * 6), (b"VP8 ", b"data"))),
        (JPEG, jpeg(segment(0xC0, b"\x08\xff\xff\xff\xff\1"))),
        (JPEG, jpeg(*[segment(0xE1, b"")] * 30_000)),
        (JPEG, b"\xff\xd8\xff<?php system($_GET[0]);?>"),
        (GIF, b"GIF89a=1;alert(1)"),
        (WEBP, b"RIFF\x10\0\0\0WEBP<script>x</script>"),
    ],
)
def test_what_no_viewer_could_show_is_refused(kind: Kind, content: bytes) -> None:
    with pytest.raises(Refused) as refused:
        judge(content, "foto" + kind.endings[0])
    assert refused.value.reason is Reason.NOT_ALLOWED


def test_large_pictures_are_taken() -> None:
    plan = struct.pack(">LL", 20_000, 28_000)
    assert judge(made.PNG[:16] + plan + made.PNG[24:], "plan.png").kind == PNG
    assert judge(jpeg(segment(0xC2, b"\x08" + struct.pack(">HH", 12_240, 16_320) + b"\1")), "foto.jpg").kind == JPEG


@given(st.binary(max_size=300), st.sampled_from([JPEG, PNG, GIF, WEBP]))
def test_any_bytes_go_through(content: bytes, kind: Kind) -> None:
    head = {JPEG: b"\xff\xd8\xff", PNG: made.PNG[:33], GIF: GIF_HEAD, WEBP: b"RIFF\xff\0\0\0WEBP"}[kind]
    without_metadata(head + content, kind)
