"""Mirrors services/transcripts/rendering/pdf.py and pdf_worker.py: made in real children, read back with pypdf."""
# ruff: noqa: RUF001  (letters of many scripts, on purpose)

import asyncio
import io
import json
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import psutil
import pypdf
import pytest

from services.common.config.departments import LOCALES
from services.common.events.types import Entry, Party
from services.common.runtime.worker_process import MIB
from services.transcripts.rendering import pdf
from services.transcripts.rendering.json_format import as_json
from services.transcripts.rendering.pdf import MAX_CHARACTERS, MAX_LINES, PdfPress, PressBusy, TooLong
from services.transcripts.rendering.texts import TEXTS
from services.transcripts.rendering.transcript import Transcript
from tests.support.conditions import until
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


@pytest.fixture
async def press() -> AsyncIterator[PdfPress]:
    made = PdfPress()
    yield made
    await made.close()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> asyncio.Event:
    """No child is started before it is set: nothing is finished while a test still asks."""
    opened, real = asyncio.Event(), asyncio.create_subprocess_exec

    async def create(*arguments: Any, **more: Any) -> Process:
        await opened.wait()
        return await real(*arguments, **more)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", create)
    return opened


def conversation(entries: list[Entry], locale: str = "nl", chat_id: str = CHAT) -> Transcript:
    return Transcript(chat_id, "algemeen", "Algemene vragen", locale, OPENED_AT, None, entries)


def saying(texts: list[str], chat_id: str = CHAT) -> Transcript:
    return conversation([entry(chat_id, n, text=text) for n, text in enumerate(texts, 1)], chat_id=chat_id)


def opened(content: bytes) -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(content))


def read(content: bytes) -> tuple[pypdf.PdfReader, str]:
    reader = opened(content)
    return reader, "\n".join(page.extract_text() for page in reader.pages)


def together(text: str) -> str:
    """Without spaces, of which the reader makes some between wide letters; nor what lets a long word break."""
    return "".join(text.replace("\u200b", "").split())


def root_of(reader: pypdf.PdfReader) -> pypdf.generic.DictionaryObject:
    found = reader.trailer["/Root"]
    assert isinstance(found, pypdf.generic.DictionaryObject)
    return found


def is_true(within: pypdf.generic.DictionaryObject, group: str, name: str) -> bool:
    """Whether this flag of a dictionary in a dictionary is set."""
    found = within[group]
    assert isinstance(found, pypdf.generic.DictionaryObject)
    flag = found[name]
    return isinstance(flag, pypdf.generic.BooleanObject) and bool(flag.value)


def is_archival(reader: pypdf.PdfReader) -> bool:
    stream = root_of(reader)["/Metadata"]
    assert isinstance(stream, pypdf.generic.StreamObject)
    metadata = stream.get_data().decode()
    marks = ("<pdfaid:part>3</", "<pdfaid:conformance>A</", "<pdfuaid:part>1</")
    return all(mark in metadata for mark in marks)


def is_whole(content: bytes) -> bool:
    """Whether the file is archival and each of its pages can be read. What is on them is not looked at."""
    reader = opened(content)
    return is_archival(reader) and all(page.get_contents() is not None for page in reader.pages)


@pytest.mark.parametrize("locale", LOCALES)
async def test_the_pdf_is_archival_and_accessible_and_holds_its_data(press: PdfPress, locale: str) -> None:
    t = conversation([entry(CHAT, 1), entry(CHAT, 2, Party.AGENT, None, attachment=attachment())], locale)
    reader, text = read(await press.make(t, ZONE))
    root = root_of(reader)
    assert str(root["/Lang"]) == f"{locale}-BE"
    assert is_true(root, "/MarkInfo", "/Marked")
    assert is_true(root, "/ViewerPreferences", "/DisplayDocTitle")
    assert is_archival(reader)
    assert reader.metadata is not None
    assert reader.metadata.title == f"{TEXTS.text(locale, 'title')} {CHAT}"
    assert json.loads(reader.attachments[f"chat-{CHAT}.json"][0]) == json.loads(as_json(t))
    assert "2026-11-22 16:00:00 +01:00" in text
    assert "An Peeters" in text
    assert "foto.png" in text
    assert [outline.title for outline in flat(reader.outline)][:2] == [
        TEXTS.text(locale, "title"),
        TEXTS.text(locale, "messages"),
    ]


def flat(outline: list[Any]) -> list[Any]:
    return [x for o in outline for x in (flat(o) if isinstance(o, list) else [o])]


async def test_whatever_participants_write_is_text_and_never_breaks_the_standard(press: PdfPress) -> None:
    entries = [entry(CHAT, n, text=t, name=t[:40] or None) for n, t in enumerate(WRITTEN, 1)]
    reader, text = read(await press.make(conversation(entries), ZONE))
    assert is_archival(reader)
    assert '*bold* _em_ #import "x" $x^2$ <label> @ref // c /* d */' in text
    assert "é à ü ß œ ñ €" in text
    assert "Привет, Ελλάδα, საქართველო, Հայաստան" in text
    assert together(text).count("😀👍🏽🏠👨‍👩‍👧🇧🇪") == 2
    assert together(text).count("中文日本語한국어ไทย") == 2
    assert "nulbreedte omgekeerd x" in text


@pytest.mark.parametrize(
    "written",
    [
        "您好 请问 繁體中文 日本語のテスト 안녕하세요",
        "รายงาน",
        "ሰላም ነው",
        "ქართული Հայերեն",
        "👍🏽 🇧🇪 👨‍👩‍👧 🏳️‍🌈 1️⃣ 🧑🏿‍🤝‍🧑🏻",
        "𝒜 𝄞 ℝ → ✓",
    ],
)
async def test_text_and_names_can_be_taken_out_again_and_no_note_stands_there(press: PdfPress, written: str) -> None:
    _, text = read(await press.make(conversation([entry(CHAT, 1, text=written, name=written)]), ZONE))
    assert together(text).count(together(written)) == 2
    assert "afdrukbaar" not in text


@pytest.mark.parametrize("written", ["हिन्दी में नमस्ते", "বাংলা ভাষা", "สวัสดีครับ", "தமிழ் ਪੰਜਾਬੀ ខ្មែរ සිංහල བོད་ မြန်မာ"])
async def test_scripts_whose_signs_stand_around_their_letters(press: PdfPress, written: str) -> None:
    _, text = read(await press.make(conversation([entry(CHAT, 1, text=written)]), ZONE))
    assert set(written) <= set(text)
    assert "afdrukbaar" not in text


@pytest.mark.parametrize("locale", LOCALES)
async def test_what_has_no_glyph_is_one_short_note_in_the_transcripts_language(press: PdfPress, locale: str) -> None:
    t = conversation([entry(CHAT, 1, text="a " + "\ue000" * 4000 + " b\U00013000c")], locale)
    _, text = read(await press.make(t, ZONE))
    forms = TEXTS.forms(locale, "unprintable_characters")
    one, many = forms["one"].format(n=1), forms["other"].format(n=4000)
    assert f"a [{many}] b[{one}]c" in " ".join(text.split())
    assert TEXTS.text(locale, "unprintable") in " ".join(text.split())
    assert "U+E000" not in text


async def test_every_character_of_unicode_becomes_something_that_can_be_printed(press: PdfPress) -> None:
    blocks = range(0, 0x110000, 0x800)
    samples = [chr(c) for start in blocks for c in range(start, start + 0x800, 37) if not 0xD800 <= c <= 0xDFFF]
    for between in ("", "\u0308", "\u200d"):
        texts = [between.join(samples[i : i + 500]) for i in range(0, len(samples), 500)]
        assert is_whole(await press.make(saying(texts), ZONE))


HEAVY = {
    "U+1FBA8": ["\U0001fba8" * 4_000] * 20,
    "private use": ["\ue000" * 4_000] * 20,
    "Chinese": ["".join(chr(0x4E00 + (n * 4_000 + i) % 20_000) for i in range(4_000)) for n in range(20)],
    "newlines": ["\n" * 4_000] * 4,
    "marks": ["a" + "\u0301\u0489" * 1_999] * 20,
    "emoji": ["😀👍🏽🇧🇪" * 800] * 20,
    "joined emoji": ["👨‍👩‍👧" + "\u200d👧" * 1_990] * 20,
    "Arabic": ["مرحبا" * 800] * 20,
    "one word": ["w" * 4_000] * 20,
    "changing fonts": ["aक中ไ😀" * 800] * 20,
}


@pytest.mark.parametrize("kind", HEAVY)
async def test_twenty_long_messages_of_anything_are_printed_in_bounded_memory(press: PdfPress, kind: str) -> None:
    made = asyncio.create_task(press.make(saying(HEAVY[kind]), ZONE))
    most = 0
    while not made.done():
        most = max([most, *(memory(pid) for pid in press.workers.pids())])
        await asyncio.sleep(0.02)
    assert is_whole(made.result())
    assert most < 2 * pdf.MEMORY


def memory(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.NoSuchProcess:
        return 0


@pytest.mark.parametrize(
    "texts",
    [
        ["x" * 4_000] * (MAX_CHARACTERS // 4_000 + 1),
        ["\n" * 4_000] * (MAX_LINES // 4_000 + 1),
        ["x"] * (MAX_LINES // 2 + 1),
    ],
)
async def test_a_conversation_that_is_too_long_starts_nothing(press: PdfPress, texts: list[str]) -> None:
    with pytest.raises(TooLong):
        await press.make(saying(texts), ZONE)
    assert not press.workers.pids()


async def test_what_needs_too_much_of_its_child_is_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf, "MEMORY", 48 * MIB)
    small = PdfPress()
    with pytest.raises(TooLong):
        await small.make(saying(HEAVY["Chinese"]), ZONE)
    await small.close()


async def test_five_hundred_messages_leave_the_event_loop_alone(press: PdfPress) -> None:
    at = [OPENED_AT + timedelta(seconds=n) for n in range(501)]
    entries = [entry(CHAT, n, [Party.CITIZEN, Party.AGENT][n % 2], f"Bericht {n}", at=at[n]) for n in range(1, 501)]
    t = conversation([*entries, seal_entry(CHAT, 501)])
    _, text = read(await press.make(t, ZONE))
    assert all(f"Bericht {n}\n" in text for n in (1, 250, 500))


async def test_too_many_at_once_are_refused(monkeypatch: pytest.MonkeyPatch, gate: asyncio.Event) -> None:
    monkeypatch.setattr(pdf, "MAX_WAITING", 3)
    press, places = PdfPress(), pdf.AT_A_TIME + 3
    chats = [conversation([entry(CHAT, 1)], chat_id=f"chat-{n}") for n in range(places + 4)]
    asked = [asyncio.create_task(press.make(t, ZONE)) for t in chats]
    await until(lambda: sum(task.done() for task in asked) == 4, "those for whom there is no place")
    assert press.workers.under_way == places
    gate.set()
    answers = await asyncio.gather(*asked, return_exceptions=True)
    assert sum(isinstance(a, PressBusy) for a in answers) == 4
    assert sum(isinstance(a, bytes) for a in answers) == places
    await press.close()


async def test_of_one_chat_one_is_made_at_a_time_and_who_asks_for_the_same_gets_the_same(
    press: PdfPress, gate: asyncio.Event, monkeypatch: pytest.MonkeyPatch
) -> None:
    t, later, asked = saying(["a"]), saying(["a", "b"]), list[Transcript]()

    def written(transcript: Transcript) -> bytes:
        asked.append(transcript)
        return as_json(transcript)

    monkeypatch.setattr(pdf, "as_json", written)
    first = asyncio.create_task(press.make(t, ZONE))
    await until(lambda: press.workers.under_way == 1, "the first")
    others = [asyncio.create_task(press.make(which, ZONE)) for which in (*[t] * 9, later)]
    await until(lambda: len(asked) == 11, "the others")
    gate.set()
    answers = await asyncio.gather(first, *others)
    assert len({id(a) for a in answers}) == 2
    assert len(press.workers.pids()) == 1
    assert "b" in read(answers[-1])[1]


async def test_a_reader_who_disconnects_affects_no_other(press: PdfPress) -> None:
    t = saying(["a"])
    gone = asyncio.create_task(press.make(t, ZONE))
    await until(lambda: press.workers.under_way == 1, "the work to begin")
    stays = asyncio.create_task(press.make(t, ZONE))
    gone.cancel()
    assert (await stays).startswith(b"%PDF-")


async def test_an_ordinary_one_does_not_wait_for_long_ones(press: PdfPress, gate: asyncio.Event) -> None:
    heavy = [asyncio.create_task(press.make(saying(HEAVY["Arabic"] * 4, f"chat-{n}"), ZONE)) for n in range(4)]
    await until(lambda: press.workers.heavy_under_way == 4, "the long ones")
    gate.set()
    assert (await press.make(saying(["Dag"]), ZONE)).startswith(b"%PDF-")
    assert not all(h.done() for h in heavy)
    for one in heavy:
        one.cancel()
    await asyncio.gather(*heavy, return_exceptions=True)


async def test_children_are_replaced_and_give_their_memory_back(
    press: PdfPress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pdf, "PER_CHILD", 3)
    few = PdfPress()
    seen = set[int]()
    for n in range(7):
        await few.make(saying([f"{n}"]), ZONE)
        seen.update(few.workers.pids())
    assert len(seen) >= 3
    await until(lambda: len(few.workers.pids()) <= pdf.AT_A_TIME, "the used ones to end")
    await few.close()
    assert not few.workers.pids()


async def test_further_fonts_are_used(tmp_path: Path) -> None:
    missing = "\U00013000"
    press = PdfPress(tmp_path)
    assert "1 teken niet afdrukbaar" in read(await press.make(saying([missing]), ZONE))[1]
    await press.close()
