"""Mirrors services/transcripts/pdf.py: read back with pypdf."""

import asyncio
import io
import json
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pypdf
import pytest

from services.contracts import Entry, Party
from services.departments import LOCALES
from services.transcripts.pdf import PdfPress, PressBusy
from services.transcripts.rendering import Transcript, as_json
from services.transcripts.system_texts import word
from tests.transcripts.conftest import OPENED_AT, attachment, entry, new_id, seal_entry

ZONE = ZoneInfo("Europe/Brussels")
CHAT = new_id()
WRITTEN = [
    "Gewone tekst met accenten: é à ü ß œ ñ €",
    '*bold* _em_ #import "x" $x^2$ <label> @ref // c /* d */ = h \\ ` ~ -- "q"',
    "مرحبا بالعالم",
    "שלום עולם",
    "Привет, Ελλάδα, საქართველო, Հայաստան",
    "😀 👍🏽 🏠 👨‍👩‍👧 🇧🇪",
    "中文 日本語 한국어 ไทย हिन्दी",
    "nul\u200bbreedte\u200d\u2060\ufeff \u202eomgekeerd\u202c \u2066x\u2069",
    "\ue000 \U000f0000 \uffff",
    "a\tb\r\nc\u2028d\x0be\x7f\x01",
    "",
    "   ",
    "x" * 4000,
    "\u0301 los accent, e\u0301 samen",
]


@pytest.fixture(scope="module")
def press() -> Iterator[PdfPress]:
    made = PdfPress()
    yield made
    made.close()


def conversation(entries: list[Entry], locale: str = "nl") -> Transcript:
    return Transcript(CHAT, "algemeen", "Algemene vragen", locale, OPENED_AT, None, entries)


def read(content: bytes) -> tuple[pypdf.PdfReader, str]:
    reader = pypdf.PdfReader(io.BytesIO(content))
    return reader, "\n".join(page.extract_text() for page in reader.pages)


@pytest.mark.parametrize("locale", LOCALES)
def test_the_pdf_is_archival_and_accessible_and_holds_its_data(press: PdfPress, locale: str):
    t = conversation([entry(CHAT, 1), entry(CHAT, 2, Party.AGENT, None, attachment=attachment())], locale)
    reader, text = read(press.render(t, ZONE))
    root = reader.trailer["/Root"]
    assert root["/Lang"] == f"{locale}-BE"
    assert root["/MarkInfo"]["/Marked"] == True  # noqa: E712 - an object of the reader's own
    assert root["/ViewerPreferences"]["/DisplayDocTitle"] == True  # noqa: E712
    metadata = root["/Metadata"].get_data().decode()
    for mark in ("<pdfaid:part>3</", "<pdfaid:conformance>A</", "<pdfuaid:part>1</"):
        assert mark in metadata
    assert reader.metadata is not None
    assert reader.metadata.title == f"{word(locale, 'title')} {CHAT}"
    assert json.loads(reader.attachments[f"chat-{CHAT}.json"][0]) == json.loads(as_json(t))
    assert "2026-11-22 16:00:00 +01:00" in text
    assert "An Peeters" in text
    assert "foto.png" in text
    assert [outline.title for outline in flat(reader.outline)][:2] == [word(locale, "title"), word(locale, "messages")]


def flat(outline: list) -> list:  # type: ignore[type-arg]
    return [x for o in outline for x in (flat(o) if isinstance(o, list) else [o])]


def test_whatever_people_write_is_text_and_never_breaks_the_standard(press: PdfPress):
    entries = [entry(CHAT, n, text=t, name=t[:40] or None) for n, t in enumerate(WRITTEN, 1)]
    _, text = read(press.render(conversation(entries), ZONE))
    assert '*bold* _em_ #import "x" $x^2$ <label> @ref // c /* d */' in text
    assert "é à ü ß œ ñ €" in text
    assert "Привет, Ελλάδα, საქართველო, Հայաստան" in text
    assert "[thumbs up sign]" in text
    assert "[house building]" in text
    assert "[cjk unified ideograph-4e2d]" in " ".join(text.split())
    assert "nulbreedte omgekeerd x" in text


@pytest.mark.parametrize("written", WRITTEN)
def test_each_of_them_alone(press: PdfPress, written: str):
    t = conversation([entry(CHAT, 1, text=written, name=written or None)])
    reader, _ = read(press.render(t, ZONE))
    assert json.loads(reader.attachments[f"chat-{CHAT}.json"][0])["messages"][0]["text"] == written


def test_every_character_of_unicode_becomes_something_that_can_be_printed(press: PdfPress):
    blocks = range(0, 0x110000, 0x800)
    samples = [chr(c) for start in blocks for c in range(start, start + 0x800, 37) if not 0xD800 <= c <= 0xDFFF]
    texts = ["".join(samples[i : i + 500]) for i in range(0, len(samples), 500)]
    printed = press.render(conversation([entry(CHAT, n, text=t) for n, t in enumerate(texts, 1)]), ZONE)
    assert printed.startswith(b"%PDF-")


def test_names_stand_for_what_cannot_be_shown(press: PdfPress):
    assert press.printable("a👍b") == "a[thumbs up sign]b"
    assert press.printable("a\u200bb\u202ec") == "abc"
    assert press.printable("\ue000") == "[U+E000]"
    assert press.printable("a\r\nb\u2029c") == "a\nb\nc"


async def test_five_hundred_messages_are_quick_and_leave_the_event_loop_alone(press: PdfPress):
    at = [OPENED_AT + timedelta(seconds=n) for n in range(501)]
    entries = [entry(CHAT, n, [Party.CITIZEN, Party.AGENT][n % 2], f"Bericht {n}", at=at[n]) for n in range(1, 501)]
    t = conversation([*entries, seal_entry(CHAT, 501)])
    began, worst, last = time.monotonic(), 0.0, time.monotonic()
    task = asyncio.ensure_future(press.make(t, ZONE))
    while not task.done():
        await asyncio.sleep(0.005)
        worst, last = max(worst, time.monotonic() - last), time.monotonic()
    took = time.monotonic() - began
    _, text = read(task.result())
    assert all(f"Bericht {n}\n" in text for n in (1, 250, 500))
    assert took < 3
    assert worst < 0.5


async def test_too_many_at_once_are_told_so(press: PdfPress):
    t = conversation([entry(CHAT, n) for n in range(1, 200)])
    answers = await asyncio.gather(*(press.make(t, ZONE) for _ in range(30)), return_exceptions=True)
    assert sum(isinstance(a, PressBusy) for a in answers) == 8
    assert sum(isinstance(a, bytes) for a in answers) == 22


def test_further_fonts_are_used(tmp_path: Path):
    press = PdfPress(tmp_path)
    assert press.printable("中") == "[cjk unified ideograph-4e2d]"
    press.close()
