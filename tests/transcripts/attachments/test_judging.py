"""What files are judged to be, by services/transcripts/attachments."""

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transcripts.attachments.judging import judge
from services.transcripts.attachments.kinds import CSV, GIF, JPEG, PDF, PNG, TEXT, WEBP, Kind, Refused
from services.transcripts.attachments.names import disposition

PNG_BYTES = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(20)
EXE_BYTES = b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\x00\x00\xff\xff" + bytes(100)


def archive(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", compression) as written:
        for name, content in members.items():
            written.writestr(name, content)
    return made.getvalue()


def docx(**more: bytes) -> bytes:
    return archive({"[Content_Types].xml": b"<Types/>", "word/document.xml": b"<w/>", **more})


def judged(content: bytes, name: str = "bestand") -> str | None:
    try:
        return judge(content, name).kind.content_type
    except Refused:
        return None


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"%PDF-1.7\n...", PDF),
        (PNG_BYTES, PNG),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(20), JPEG),
        (b"GIF89a" + bytes(20), GIF),
        (b"RIFF\x10\x00\x00\x00WEBPVP8 " + bytes(20), WEBP),
        ("gewone tekst, één\n".encode(), TEXT),
        ("gewone tekst, één\r\n".encode("latin-1"), TEXT),
        (b"\xef\xbb\xbfmet merkteken", TEXT),
    ],
)
def test_allowed_types_are_known_by_their_content(content: bytes, kind: Kind) -> None:
    assert judged(content, "virus.exe") == kind.content_type


def test_the_name_only_distinguishes_csv_from_text() -> None:
    assert judged(b"a;b\n1;2\n", "Lijst.CSV") == CSV.content_type
    assert judged(b"a;b\n1;2\n", "lijst.html") == TEXT.content_type


def test_office_documents_without_macros() -> None:
    word = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
    assert judged(docx()) == word
    sheet = archive({"[Content_Types].xml": b"", "xl/workbook.xml": b""})
    assert judged(sheet) == "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
    slides = archive({"[Content_Types].xml": b"", "ppt/presentation.xml": b""})
    assert judged(slides) == "application/vnd.openxmlformats-officedocument.presentationml.presentation"
    odt = archive({"mimetype": b"application/vnd.oasis.opendocument.text", "content.xml": b""}, zipfile.ZIP_STORED)
    assert judged(odt) == "application/vnd.oasis.opendocument.text"


@pytest.mark.parametrize(
    "content",
    [
        EXE_BYTES,
        b"\x7fELF" + bytes(60),
        b"",
        b"text with a \x00 in it",
        b"\x1b[31mterminal",
        docx(**{"word/vbaProject.bin": b"x"}),
        docx(**{"word/activeX/activeX1.xml": b"x"}),
        docx(**{"evil.EXE": b"x"}),
        archive(
            {"[Content_Types].xml": b"application/vnd.ms-word.document.macroEnabled.main+xml", "word/document.xml": b""}
        ),
        archive({"mimetype": b"application/vnd.oasis.opendocument.text", "Basic/Standard/x.xml": b""}),
        archive({"mimetype": b"application/epub+zip"}),
        archive({"readme.txt": b"just an archive"}),
        archive({"[Content_Types].xml": b" " * 5_000_000, "word/document.xml": b""}),
        archive({f"{n}": b"" for n in range(10_001)}),
        docx()[:-30],
        b"PK\x03\x04" + bytes(100),
        b"\x89PNG\r\n\x1a\n" + b"MZ" * 20,
        b"RIFF\x10\x00\x00\x00WAVE" + bytes(20),
        b"<svg>\x00</svg>",
    ],
)
def test_all_else_is_refused_whatever_it_is_called(content: bytes) -> None:
    for name in ("foto.png", "brief.docx", "x.txt", "x.csv"):
        assert judged(content, name) is None


@given(st.binary(max_size=400))
def test_any_bytes_get_an_answer(content: bytes) -> None:
    for head in (b"", b"PK\x03\x04", b"%PDF-", PNG_BYTES[:10]):
        judged(head + content, "x")


def test_the_disposition_has_a_plain_name_and_the_real_one() -> None:
    assert (
        disposition('één "x".png')
        == "attachment; filename=\"een _x_.png\"; filename*=UTF-8''%C3%A9%C3%A9n%20%22x%22.png"
    )
    assert disposition("中文.png").startswith('attachment; filename="download.png"; ')
    assert disposition("中文") == "attachment; filename=\"download\"; filename*=UTF-8''%E4%B8%AD%E6%96%87"
