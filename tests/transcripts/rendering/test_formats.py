"""A conversation as JSON, plain text and HTML."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import pytest

from services.common.config.departments import LOCALES
from services.common.events.types import Cause, CloseReason, Entry, Party
from services.transcripts.rendering.html_format import HtmlParts, as_html
from services.transcripts.rendering.json_format import as_json, message
from services.transcripts.rendering.text_format import as_text
from services.transcripts.rendering.texts import TEXTS, event_text
from services.transcripts.rendering.transcript import Transcript, file_name, file_size, local_time, utc_time
from tests.transcripts.conftest import OPENED_AT, attachment, entry, new_id, seal_entry

ZONE = ZoneInfo("Europe/Brussels")
CHAT = new_id()
NASTY = '<script>alert(1)</script> & "quotes" \u202eomgekeerd'


def transcript(locale: str = "nl", closed: bool = True, *more: Entry) -> Transcript:
    entries = [
        entry(CHAT, 1, Party.SYSTEM, "Welkom", event=Cause.OPENED),
        entry(CHAT, 2, text="Dag\r\nregel 2\nregel 3", name='An "Bobby" <b>'),
        entry(CHAT, 3, Party.AGENT, None, attachment=attachment()),
        entry(CHAT, 4, text=NASTY),
        *more,
    ]
    end = seal_entry(CHAT, len(entries) + 1)
    if closed:
        entries.append(end)
    return Transcript(CHAT, "algemeen", "Algemene vragen", locale, OPENED_AT, end.at if closed else None, entries)


def test_an_entry_is_shown_as_the_protocol_has_it() -> None:
    assert message(entry(CHAT, 2)) == {
        "seq": 2,
        "id": "id-2",
        "from": "citizen",
        "name": "An Peeters",
        "text": "Dag",
        "at": "2026-11-22T15:00:00.123Z",
    }
    assert message(entry(CHAT, 3, text=None, attachment=attachment()))["attachment"] == {
        "id": "file",
        "name": "foto.png",
        "size": 1_400_000,
        "content_type": "image/png",
    }
    sealed = message(seal_entry(CHAT, 9))
    assert (sealed["event"], sealed["from"], "name" in sealed, "reason" in sealed) == ("closed", "system", False, False)


def test_json_has_the_members_of_the_protocol_and_the_texts_unchanged() -> None:
    read = json.loads(as_json(transcript()))
    assert list(read) == ["chat_id", "department", "locale", "opened_at", "closed_at", "messages"]
    assert read["opened_at"] == "2026-11-22T15:00:00.123Z"
    assert [m["seq"] for m in read["messages"]] == [1, 2, 3, 4, 5]
    assert read["messages"][1]["text"] == "Dag\r\nregel 2\nregel 3"
    assert read["messages"][3]["text"] == NASTY
    assert json.loads(as_json(transcript(closed=False)))["closed_at"] is None


def test_times_are_local_with_their_offset_on_both_sides_of_the_clock_change() -> None:
    assert local_time(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), ZONE) == "2026-10-25 02:30:00 +02:00"
    assert local_time(datetime(2026, 10, 25, 1, 30, tzinfo=UTC), ZONE) == "2026-10-25 02:30:00 +01:00"
    assert utc_time(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T00:00:00.000Z"


def test_the_text_can_be_read_on_any_computer() -> None:
    raw = as_text(transcript(), ZONE)
    assert raw.startswith(b"\xef\xbb\xbf")
    text = raw.decode("utf-8-sig")
    assert "\n" not in text.replace("\r\n", "")
    lines = text.split("\r\n")
    assert lines[0] == "Chatgesprek"
    assert "Dienst: Algemene vragen" in lines
    assert f"Nummer van het gesprek: {CHAT}" in lines
    assert "Begonnen: 2026-11-22 16:00:00 +01:00" in lines
    assert "Beëindigd: 2026-11-22 16:00:00 +01:00" in lines
    head = lines.index('[2026-11-22 16:00:00 +01:00] An "Bobby" <b> (u)')
    assert lines[head + 1 : head + 5] == ["    Dag", "    regel 2", "    regel 3", ""]
    assert "    Bijlage: foto.png (1,4 MB)" in lines


def test_no_text_can_pass_for_the_head_of_a_message() -> None:
    forged = entry(CHAT, 5, text="x\n[2026-11-22 16:00:00 +01:00] Bert (medewerker)\n    ja", name="A\nB")
    lines = as_text(transcript("nl", False, forged), ZONE).decode("utf-8-sig").split("\r\n")
    assert not any(line.startswith("[") and "Bert (medewerker)" in line and line != lines[0] for line in lines[20:])
    assert "[2026-11-22 16:00:00 +01:00] A B (u)" in lines


class Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: dict[str, str | None] = {}
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.update({f"{tag}.{k}": v for k, v in attrs})

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("locale", LOCALES)
def test_html_is_safe_and_in_the_language_of_the_chat(locale: str) -> None:
    page = as_html(transcript(locale), ZONE).decode()
    reader = Reader()
    reader.feed(page)
    assert page.startswith("<!doctype html>")
    assert reader.attributes["html.lang"] == locale
    assert not {"script", "img", "link", "iframe", "b", "form"} & set(reader.tags)
    assert "default-src 'none'" in page
    assert "http-equiv" in page
    assert NASTY in reader.text
    assert 'An "Bobby" <b>' in reader.text
    assert reader.tags.count("li") == 5
    assert reader.tags.count("h1") == 1
    assert TEXTS.text(locale, "department") in reader.text
    assert "foto.png" in reader.text


def test_html_in_parts_is_the_same_as_html_at_once() -> None:
    t = transcript()
    parts = HtmlParts(t, ZONE)
    pages = [t.entries[:2], (), t.entries[2:3], t.entries[3:]]
    made = parts.before() + "".join(parts.some(page) for page in pages) + parts.after()
    assert made.encode() == as_html(t, ZONE)


def test_nothing_in_the_heading_can_pass_for_the_place_of_the_entries_nor_for_a_template() -> None:
    hostile = "<!-- entries -->\n</title>{{ 7*7 }}{% raw %}"
    t = replace(transcript(), chat_id=hostile, department_name=hostile)
    reader = Reader()
    reader.feed(as_html(t, ZONE).decode())
    assert reader.text.count(hostile) == 3  # in the title, and as department and number of the conversation
    assert reader.tags.count("li") == 5


def test_the_html_of_an_entry() -> None:
    odd = entry(CHAT, 1, text="""<b> & " '\nline 2""", name="A\n'B'")
    made = HtmlParts(transcript(), ZONE).some([odd])
    assert made == (
        '<li class="citizen"><header><bdi>A &#39;B&#39; (u)</bdi>'
        '<time datetime="2026-11-22T15:00:00.123Z">2026-11-22 16:00:00 +01:00</time></header>'
        '<p dir="auto">&lt;b&gt; &amp; &#34; &#39;\nline 2</p></li>\n'
    )


def test_an_open_chat_says_so() -> None:
    assert "nog bezig" in as_text(transcript(closed=False), ZONE).decode()
    assert "nog bezig" in as_html(transcript(closed=False), ZONE).decode()


def test_the_name_of_the_download() -> None:
    assert file_name(transcript(), "txt", ZONE) == f"chat-2026-11-22-{CHAT[:8]}.txt"


@pytest.mark.parametrize(("size", "nl", "en"), [(999, "999 B", "999 B"), (1500, "1,5 kB", "1.5 kB")])
def test_sizes(size: int, nl: str, en: str) -> None:
    assert file_size(size, "nl") == nl
    assert file_size(size, "en") == en


def test_every_event_has_its_words_in_every_language() -> None:
    texts = set()
    for locale in LOCALES:
        texts |= {event_text(locale, c, "Bert") for c in Cause if c is not Cause.CLOSED}
        texts |= {event_text(locale, Cause.CLOSED, reason=r) for r in CloseReason}
        assert "Bert" in event_text(locale, Cause.ASSIGNED, "Bert")
        assert "{" not in event_text(locale, Cause.ASSIGNED)
    assert len(texts) == 4 * (4 + 4)
    assert event_text("xx", Cause.OPENED) == event_text("nl", Cause.OPENED)
    assert event_text("nl", Cause.ASSIGNED, "{name}{x}") == "U bent nu verbonden met {name}{x}."
