"""RULES of transcripts: what the citizen sees of an entry, and the conversation as JSON, plain text and HTML. No I/O.

Every rendering is built from `shown`, so none can contain more than the citizen was shown. Internal notes are no
entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any, Protocol
from zoneinfo import ZoneInfo

import orjson

from services.common.events.types import Attachment, Entry
from services.transcripts.rendering.texts import locale_of, word

_BOM = "\ufeff"
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
:root{color-scheme:light dark}
body{font:1rem/1.5 system-ui,sans-serif;max-width:46rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.5rem}h2{font-size:1.15rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem}dt{font-weight:600}
dd{margin:0;overflow-wrap:anywhere}
ol{list-style:none;padding:0}
li{border-left:.25rem solid #767676;padding:.25rem 0 .25rem .75rem;margin:0 0 1rem;break-inside:avoid}
li.agent{border-color:#0b6b3a}li.citizen{border-color:#1b4f9c}li.system{border-style:dotted}
li header{font-weight:600}time{font-weight:400;margin-left:.5rem}
p{margin:.15rem 0 0;white-space:pre-wrap;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none;font-size:11pt}}
""".strip()


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation, complete up to the moment of the request. `department_name` is in the chat's language."""

    chat_id: str
    department: str
    department_name: str
    locale: str
    opened_at: datetime
    closed_at: datetime | None
    entries: Sequence[Entry]


def shown(entry: Entry) -> dict[str, Any]:
    """Return the entry as the citizen was shown it: the protocol's message frame.

    Members without a value are left out.
    """
    made: dict[str, Any] = {"seq": entry.seq, "id": entry.id, "from": entry.party.value}
    if entry.name is not None:
        made["name"] = entry.name
    if entry.text is not None:
        made["text"] = entry.text
    if entry.attachment is not None:
        made["attachment"] = entry.attachment.model_dump()
    if entry.event is not None:
        made["event"] = entry.event.value
    made["at"] = utc(entry.at)
    return made


def utc(at: datetime) -> str:
    """Return the time as RFC 3339 in UTC with milliseconds: `2026-11-23T08:00:00.123Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local(at: datetime, zone: ZoneInfo) -> str:
    """Return the time in the time zone, with its offset: `2026-11-23 09:00:00 +01:00`."""
    return at.astimezone(zone).isoformat(sep=" ", timespec="seconds").replace("+", " +")


def file_size(size: int, locale: str) -> str:
    """Return a size for readers: `1,4 MB` (powers of 1,000; comma or point by the language)."""
    if size < 1000:
        return f"{size} B"
    number, unit = (size / 1000, "kB") if size < 1_000_000 else (size / 1_000_000, "MB")
    return f"{number:.1f} {unit}".replace(".", "." if locale_of(locale) == "en" else ",")


def who(entry: Entry, locale: str) -> str:
    """Return the name above a message: the sender's own, else that of the party (`perspective.py` may replace it)."""
    label: str = getattr(entry, "label", None) or word(locale, entry.party.value)
    if entry.name is None or entry.party.value == "system":
        return label
    return f"{entry.name} ({label.lower()})"


def attachment_line(attachment: Attachment, locale: str) -> str:
    """Return the line that describes an attachment."""
    return f"{word(locale, 'attachment')}: {attachment.name} ({file_size(attachment.size, locale)})"


def said(entry: Entry, locale: str) -> str:
    """Return the text of an entry, or the line that describes its attachment."""
    return attachment_line(entry.attachment, locale) if entry.attachment else entry.text or ""


def heading(transcript: Transcript, zone: ZoneInfo) -> list[tuple[str, str]]:
    """Return what is shown above the messages: labels and values."""
    t, locale = transcript, transcript.locale
    ended = local(t.closed_at, zone) if t.closed_at else word(locale, "still_open")
    return [
        (word(locale, "department"), t.department_name),
        (word(locale, "chat"), t.chat_id),
        (word(locale, "opened"), local(t.opened_at, zone)),
        (word(locale, "closed"), ended),
    ]


def as_json(transcript: Transcript) -> bytes:
    """Return the conversation as data, as the protocol has it."""
    return "".join(_whole(JsonParts(transcript), transcript)).encode()


def as_text(transcript: Transcript, zone: ZoneInfo) -> bytes:
    """Return UTF-8 with a byte order mark and CRLF line ends, which old and new text editors show correctly."""
    return "".join(_whole(TextParts(transcript, zone), transcript)).encode("utf-8", "replace")


def as_html(transcript: Transcript, zone: ZoneInfo) -> bytes:
    """Return one file without scripts and without external resources. Everything that participants wrote is escaped."""
    return "".join(_whole(HtmlParts(transcript, zone), transcript)).encode("utf-8", "replace")


class Parts(Protocol):
    """A rendering in parts, for a conversation that is not held in memory as a whole."""

    def before(self) -> str:
        """Return what comes before the entries."""

    def some(self, entries: Iterable[Entry]) -> str:
        """Return the next entries."""

    def after(self) -> str:
        """Return what comes after the entries."""


def _whole(parts: Parts, transcript: Transcript) -> tuple[str, str, str]:
    return parts.before(), parts.some(transcript.entries), parts.after()


class JsonParts:
    """JSON in parts; see `as_json`."""

    def __init__(self, transcript: Transcript) -> None:
        self._transcript, self._begun = transcript, False

    def before(self) -> str:
        """Return the beginning of the object, up to its list of messages."""
        t = self._transcript
        head: dict[str, Any] = {
            "chat_id": t.chat_id,
            "department": t.department,
            "locale": t.locale,
            "opened_at": utc(t.opened_at),
            "closed_at": utc(t.closed_at) if t.closed_at else None,
            "messages": [],
        }
        return orjson.dumps(head).decode().removesuffix("]}")

    def some(self, entries: Iterable[Entry]) -> str:
        """Return the next messages."""
        said = ",".join(orjson.dumps(shown(e)).decode() for e in entries)
        comma = "," if said and self._begun else ""
        self._begun = self._begun or bool(said)
        return comma + said

    def after(self) -> str:
        """Return the end of the object."""
        return "]}"


class TextParts:
    """Plain text in parts; see `as_text`."""

    def __init__(self, transcript: Transcript, zone: ZoneInfo) -> None:
        self._transcript, self._zone = transcript, zone

    def before(self) -> str:
        """Return the heading."""
        t = self._transcript
        lines = [word(t.locale, "title"), ""]
        lines += [f"{label}: {value}" for label, value in heading(t, self._zone)]
        lines += ["", word(t.locale, "times"), ""]
        return _BOM + "\r\n".join(lines)

    def some(self, entries: Iterable[Entry]) -> str:
        """Return the next messages."""
        lines = []
        for entry in entries:
            lines.append(f"[{local(entry.at, self._zone)}] {one_line(who(entry, self._transcript.locale))}")
            # Indented, so that no text can look like the head of another message.
            lines += [f"    {line}".rstrip() for line in said(entry, self._transcript.locale).splitlines() or [""]]
            lines.append("")
        return "".join("\r\n" + line for line in lines)

    def after(self) -> str:
        """Return nothing."""
        return ""


class HtmlParts:
    """HTML in parts; see `as_html`."""

    def __init__(self, transcript: Transcript, zone: ZoneInfo) -> None:
        self._transcript, self._zone, self._language = transcript, zone, locale_of(transcript.locale)
        self._begun = False

    def before(self) -> str:
        """Return the head of the page, up to the list of messages."""
        language, title = self._language, escape(word(self._language, "title"))
        events = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in heading(self._transcript, self._zone))
        return f"""<!doctype html>
<html lang="{language}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{title} {escape(self._transcript.chat_id)}</title>
<style>{_STYLE}</style>
</head>
<body>
<main>
<h1>{title}</h1>
<dl>{events}</dl>
<p>{escape(word(language, "times"))}</p>
<h2>{escape(word(language, "messages"))}</h2>
<ol>
"""

    def some(self, entries: Iterable[Entry]) -> str:
        """Return the next messages."""
        items = "\n".join(_item(e, self._language, self._zone) for e in entries)
        line = "\n" if items and self._begun else ""
        self._begun = self._begun or bool(items)
        return line + items

    def after(self) -> str:
        """Return the end of the page."""
        return """
</ol>
</main>
</body>
</html>
"""


def _item(entry: Entry, locale: str, zone: ZoneInfo) -> str:
    time = f'<time datetime="{utc(entry.at)}">{escape(local(entry.at, zone))}</time>'
    head = f"<header><bdi>{escape(one_line(who(entry, locale)))}</bdi>{time}</header>"
    return f'<li class="{entry.party.value}">{head}<p dir="auto">{escape(said(entry, locale))}</p></li>'


def one_line(text: str) -> str:
    """Return the text with each run of white space replaced by one space."""
    return " ".join(text.split())


def file_name(transcript: Transcript, ending: str, zone: ZoneInfo) -> str:
    """Return the name of the download, such as `chat-2026-11-22-1b9d6bcd.txt`: date of opening, beginning of the id."""
    return f"chat-{transcript.opened_at.astimezone(zone).date().isoformat()}-{transcript.chat_id[:8]}.{ending}"
