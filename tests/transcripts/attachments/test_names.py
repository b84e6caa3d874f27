"""Names of files: attachments/names.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transcripts.attachments.kinds import JPEG, OFFICE, PDF, PNG, TEXT, Kind
from services.transcripts.attachments.names import MAX_NAME, disposition, safe_name

DOCX = OFFICE["application/vnd.openxmlformats-officedocument.wordprocessingml.document"]


@pytest.mark.parametrize(
    ("given_name", "kind", "safe"),
    [
        ("foto.png", PNG, "foto.png"),
        ("FOTO.JPEG", JPEG, "FOTO.JPEG"),
        ("C:\\Users\\An\\foto.png", PNG, "foto.png"),
        ("../../etc/passwd", TEXT, "passwd.txt"),
        ("virus.exe", PNG, "virus.exe.png"),
        ("foto\u202egnp.exe", PNG, "fotognp.exe.png"),
        ("a\x00b\r\nc.pdf", PDF, "abc.pdf"),
        ("con.png", PNG, "_con.png"),
        ("...", PNG, "attachment.png"),
        ("", PDF, "attachment.pdf"),
        (".png", PNG, "png.png"),
        ('a<b>:"|?*.png', PNG, 'a<b>:"|?*.png'),
        ("e\u0301e\u0301n.txt", TEXT, "één.txt"),
        ("中文 😀.png", PNG, "中文 😀.png"),
        ("  veel   spaties .png", PNG, "veel spaties.png"),
        ("a\u200d.pdf", PDF, "a.pdf"),
        ("\u200da\u200d\u200db.pdf", PDF, "a\u200db.pdf"),
        ("a\u200bb\u2066c\ufeff.pdf", PDF, "abc.pdf"),
        ("a\U000e0067b.pdf", PDF, "ab.pdf"),
        ("x.html", TEXT, "x.html.txt"),
        ("x.exe", TEXT, "x.exe.txt"),
        ("lijst.xlsx", DOCX, "lijst.xlsx.docx"),
    ],
)
def test_names_are_safe_and_end_as_their_type_does(given_name: str, kind: Kind, safe: str) -> None:
    assert safe_name(given_name, kind) == safe


@given(st.text(max_size=300))
def test_any_name_becomes_a_safe_one(name: str) -> None:
    safe = safe_name(name, PDF)
    assert 4 < len(safe) <= MAX_NAME
    assert safe.lower().endswith(".pdf")
    assert not set(safe) & set("/\\\x00\r\n\u202e\u200b")
    assert safe_name(safe, PDF) == safe, "a safe name stays as it is"
    disposition(safe).encode("ascii")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ('Offerte "tuinhuis".pdf', PDF),
        ("plan A? (def: 2*3).pdf", PDF),
        ("👨\u200d👩\u200d👧 gezin.pdf", PDF),
        ("vlag 🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f 👍🏽 🇧🇪 ❤️.pdf", PDF),
        ("می\u200cخواهم.pdf", PDF),  # noqa: RUF001
        ("nieuw \U0001fae9.pdf", PDF),
        ("Schermafbeelding 10.22\u202fAM.jpg", JPEG),
        ("foto.jfif", JPEG),
        ("foto.JPE", JPEG),
        ("sjabloon.dotx", DOCX),
        ("brief.docx", DOCX),
        *((f"x{e}", TEXT) for e in (".log", ".md", ".tsv", ".ics", ".eml", ".json", ".xml", ".txt")),
    ],
)
def test_the_owners_name_stays(name: str, kind: Kind) -> None:
    assert safe_name(name, kind) == name


def test_long_names_are_cut_between_characters_and_keep_their_ending() -> None:
    for unit in ("é" * 3, "e\u0301\u0323", "👨\u200d👩\u200d👧", "👍🏽", "🇧🇪", "❤️", "می\u200c"):
        safe = safe_name(unit * 90 + ".log", TEXT)
        assert len(safe) <= MAX_NAME
        assert safe.endswith(".log")
        assert safe_name(safe, TEXT) == safe
        assert (unit * 90).startswith(safe.removesuffix(".log")) or unit.startswith("e")
        stem = safe.removesuffix(".log")
        assert not stem.endswith(("\u200d", "👍")), unit
