"""PDFs that would do something, and those that would not: attachments/formats/pdfs.py."""

import base64
import zlib

import pytest

from services.transcripts.attachments.judging import judge
from services.transcripts.attachments.kinds import PDF, TEXT, Refused
from tests.transcripts.made import object_stream, pdf, stream

JS = b"<</S/JavaScript/JS(app.alert(1))>>"


def found(content: bytes) -> str:
    try:
        judge(content, "brief.pdf")
    except Refused as refused:
        return f"{refused.reason.value}: {refused.found}"
    return ""


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        (pdf(JS), "pdf_scripts"),
        (pdf(b"<</S/#4AavaScript/#4a#53(x)>>"), "pdf_scripts"),
        (pdf(b"<</S/JavaScript/J#53 9 0 R>>"), "pdf_scripts"),
        (pdf(object_stream(JS)), "pdf_scripts"),
        (pdf(object_stream(b"<</S/J#61vaScript/J#53(x)>>")), "pdf_scripts"),
        (pdf(object_stream(JS, deflated=False)), "pdf_scripts"),
        (pdf(object_stream(JS).replace(b"/ObjStm", b"/Obj#53tm")), "pdf_scripts"),
        (pdf(object_stream(JS).replace(b"/Filter/FlateDecode", b"/Filter 44 0 R")), "pdf_scripts"),
        (pdf(object_stream(JS).replace(b"/FlateDecode", b"[/FlateDecode]")), "pdf_scripts"),
        (pdf(object_stream(b"<</A(" + b"x" * 99 + b")>>").replace(b"/Length", b"/Length 5/L") + JS), ""),
        (pdf(b"<</A(9 0 obj <<>> stream\n)/S/JavaScript/JS(x)>>"), "pdf_scripts"),
        (pdf(b"<<% 9 0 obj (\n/S/JavaScript/JS(x)>>"), "pdf_scripts"),
        (pdf(stream(b"(\n77 0 obj\n" + JS + b"\nendobj", deflated=False)), "pdf_scripts"),
        (pdf(b"<</Type/Page>>", trailer=b"/Root<</OpenAction" + JS + b">>"), "pdf_scripts"),
        (b"\xef\xbb\xbf" + pdf(JS), "pdf_scripts"),
        (pdf(b"<</Subtype/RichMedia>>"), "pdf_scripts"),
        (pdf(b"<</XFA 3 0 R>>", stream(b"<xdp><script contentType='x'>app.alert(1)</script></xdp>")), "pdf_scripts"),
        (pdf(b"<</XFA[(a) 3 0 R]>>", stream(b"<x:script>a</x:script>")), "pdf_scripts"),
        (pdf(b"<</XFA 3 0 R>>", b"[(a) 4 0 R]", stream(b"<script>a</script>")), "pdf_scripts"),
        (pdf(b"<</OpenAction<</S/Launch/F(cmd.exe)>>>>"), "pdf_launch"),
        (pdf(b"<</S/L#61unch/Win<</F(cmd)>>>>"), "pdf_launch"),
        (pdf(b"<</S/GoToE/F(x)>>"), "pdf_launch"),
        (pdf(b"<</S/GoToR/F(\\134\\134evil\\134x.pdf)>>"), "pdf_launch"),
        (pdf(b"<</S/GoToR/F 3 0 R>>", b"(//evil/share/x.pdf)"), "pdf_launch"),
        (pdf(b"<</S/GoToR/F<</Type/Filespec/UF(file://evil/x.pdf)>>>>"), "pdf_launch"),
        (pdf(b"<</S/GoToR/F<%s>>>" % "\ufeff\\\\evil\\x".encode("utf-16-be").hex().encode()), "pdf_launch"),
        (pdf(b"<</Type/Catalog/OpenAction<</S/URI/URI(http://evil)>>>>"), "pdf_launch"),
        (pdf(b"<</Type/Catalog/OpenAction 3 0 R>>", b"<</S/SubmitForm/F(http://evil)>>"), "pdf_launch"),
        (pdf(b"<</Type/Page/AA<</O<</S/URI/URI(file://evil/x)>>>>>>"), "pdf_launch"),
        (pdf(object_stream(b"5 0 <</OpenAction<</S/URI/URI(http://evil)>>>>")), "pdf_launch"),
        (pdf(b"<</S/GoToR/F(\\\\\\\\evil\\\\share\\\\x.pdf)>>"), "pdf_launch"),
        (pdf(b"<</Type/Filespec/F(a.txt)/EF<</F 3 0 R>>>>", stream(b"hallo", b"/Type/EmbeddedFile")), "pdf_files"),
        (pdf(b"<</Type/Filespec/F(a.exe)/E#46<</F 3 0 R>>>>", stream(b"MZ\0\0")), "pdf_files"),
        (pdf(object_stream(b"<</F(a.exe)/EF<</F 3 0 R>>>>"), stream(b"MZ\0\0")), "pdf_files"),
        (pdf(b"<</Subtype/FileAttachment/FS 4 0 R>>"), "pdf_files"),
        (pdf(stream(b"MZ\0\0", b"/Type/EmbeddedFile")), "pdf_files"),
        (
            pdf(b"<</F(a.xml)/AFRelationship/Data/EF<</F 3 0 R>>>>", stream(b"<html><script>x</script></html>")),
            "pdf_files",
        ),
        (pdf(b"<</F(a.hta)/AFRelationship/Data/EF<</F 3 0 R>>>>", stream(b"<a/>")), "pdf_files"),
    ],
)
def test_what_does_something_is_seen(content: bytes, finding: str) -> None:
    assert finding in found(content)
    assert bool(finding) == bool(found(content))


@pytest.mark.parametrize(
    "content",
    [
        pdf(),
        pdf(b"<</Title(Over /JavaScript en /JS en /Launch)>>"),
        pdf(b"<</Font/JSFont/Name/Arial#20Bold/S/URI/URI(https://example.be)>>"),
        pdf(b"<</Type/XObject>>", stream(b"BT (\\(/JS app\\)) Tj ET /JS gs", deflated=False)),
        pdf(b"<</Fields[3 0 R]/AcroForm<</NeedAppearances true>>>>", b"<</FT/Tx/T(naam)/AA<<>>>>"),
        pdf(object_stream(b"<</Type/Catalog/Names<<>>>>")),
        pdf(
            b"<</F(factuur.xml)/UF(factuur.xml)/AFRelationship/Data/EF<</F 3 0 R>>>>",
            stream(b"<Invoice/>", b"/Type/EmbeddedFile"),
        ),
        pdf(b"<</XFA[(a) 3 0 R]>>", stream(b"<template><field/></template>")),
        pdf(b"<</S/GoToR/F(bijlage.pdf)>>"),
        pdf(b"<</S/GoToR/F(https://www.example.be/bijlage.pdf)>>"),
        pdf(b"<</S/GoToR/F(/C/Users/An/bijlage.pdf)>>"),
        pdf(b"<</Type/Catalog/OpenAction[3 0 R/Fit]>>"),
        pdf(b"<</Type/Catalog/OpenAction<</S/GoTo/D[3 0 R/XYZ null null 1]>>>>"),
        pdf(b"<</Type/Catalog/OpenAction<</S/Named/N/Print>>>>"),
        pdf(b"<</Type/Annot/Subtype/Link/A<</S/URI/URI(https://www.example.be)>>>>"),
        pdf(b"<</Type/Annot/Subtype/Widget/A<</S/SubmitForm/F(https://www.example.be)>>/AA<</U 3 0 R>>>>"),
        pdf(
            b"<</Filter/Standard/V 5>>",
            stream(b"\x9c\x80 no flate", b"/Type/ObjStm", deflated=False).replace(
                b"/Type", b"/Filter/FlateDecode/Type"
            ),
            trailer=b"/Encrypt 2 0 R",
        ),
        b"%PDF-1.4\n" + bytes(range(256)) * 20,
        b"\r\n\r\n" + pdf(),
        b"\xef\xbb\xbf" + pdf(),
        b"From printer\r\nX-Job: 4\r\n\r\n" + pdf(),
        b"\xff" * 1000 + pdf(),
    ],
)
def test_ordinary_files_are_taken(content: bytes) -> None:
    assert found(content) == ""
    assert judge(content, "brief.txt").kind == PDF


def test_filters_other_than_flate() -> None:
    body = b"10 0 <</S/JavaScript/JS(x)>>"
    for filters, data in (
        (b"/ASCIIHexDecode", body.hex().encode() + b">"),
        (b"[/ASCII85Decode/FlateDecode]", base64.a85encode(zlib.compress(body)) + b"~>"),
        (b"/RunLengthDecode", bytes([len(body) - 1]) + body + b"\x80"),
    ):
        head = b"<</Type/ObjStm/N 1/First 5/Filter" + filters + b"/Length %d>>" % len(data)
        assert "pdf_scripts" in found(pdf(head + b"\nstream\n" + data + b"\nendstream")), filters
    unknown = b"<</Type/ObjStm/N 1/First 5/Filter/LZWDecode/Length 3>>\nstream\nabc\nendstream"
    assert found(pdf(unknown)).startswith("not_allowed")
    predicted = object_stream(body).replace(b"/Length", b"/DecodeParms<</Predictor 12>>/Length")
    assert found(pdf(predicted)).startswith("not_allowed")


def test_a_text_that_mentions_a_pdf_is_a_text() -> None:
    assert judge(b"Elke PDF begint met %PDF-1.7 en eindigt met %%EOF.\n", "uitleg.txt").kind == TEXT


def test_streams_that_grow_and_objects_without_end_are_bounded() -> None:
    assert found(pdf(object_stream(b"<<>>" + bytes(40 * 1024 * 1024)))).startswith("not_allowed")
    many = b"".join(b"%d 0 obj (/JS " % n for n in range(20_000))
    assert found(b"%PDF-1.4\n" + many).startswith("not_allowed")
    assert found(b"%PDF-1.4\n1 0 obj " + b"<<" * 100_000 + b"/JS").startswith("not_allowed")
