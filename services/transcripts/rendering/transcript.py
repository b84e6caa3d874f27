"""RULES of transcripts: a conversation, and the lines that every format shows of it. No I/O.

No format shows more than the citizen was shown. Internal notes are not entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from zoneinfo import ZoneInfo

from services.common.events.types import Attachment, Entry
from services.common.texts import supported_language
from services.transcripts.rendering.texts import TEXTS


@dataclass(frozen=True, slots=True)
class Transcript:
    """A conversation, complete up to the moment of the request.

    `department_name` is in the chat's language. `last` is the number of the last entry. `code` is that of the signed
    transcript; None: it is not signed.
    """

    chat_id: str
    department: str
    department_name: str
    locale: str
    opened_at: datetime
    closed_at: datetime | None
    entries: Sequence[Entry]
    last: int = 0
    code: str | None = None


class Parts(Protocol):
    """A rendering in parts, for a conversation that is not held in memory as a whole."""

    def before(self) -> str:
        """Return what comes before the entries."""

    def some(self, entries: Iterable[Entry]) -> str:
        """Return the next entries."""

    def after(self) -> str:
        """Return what comes after the entries."""


def whole(parts: Parts, transcript: Transcript) -> str:
    """Return the rendering of a conversation that is held in memory."""
    return "".join((parts.before(), parts.some(transcript.entries), parts.after()))


def utc_time(at: datetime) -> str:
    """Return the time as RFC 3339 in UTC with milliseconds: `2026-11-23T08:00:00.123Z`."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def local_time(at: datetime, zone: ZoneInfo) -> str:
    """Return the time in the time zone, with its offset: `2026-11-23 09:00:00 +01:00`."""
    return at.astimezone(zone).isoformat(sep=" ", timespec="seconds").replace("+", " +")


def file_size(size: int, locale: str) -> str:
    """Return a size for readers: `1,4 MB` (powers of 1,000; comma or point by the language)."""
    if size < 1000:
        return f"{size} B"
    number, unit = (size / 1000, "kB") if size < 1_000_000 else (size / 1_000_000, "MB")
    return f"{number:.1f} {unit}".replace(".", "." if supported_language(locale) == "en" else ",")


def sender_name(entry: Entry, locale: str) -> str:
    """Return the name above a message: the sender's own with the party, or the party alone.

    `perspective.py` may replace the name of the party.
    """
    label: str = getattr(entry, "label", None) or TEXTS.text(locale, f"party.{entry.party}")
    if entry.name is None or entry.party.value == "system":
        return label
    return f"{entry.name} ({label.lower()})"


def attachment_line(attachment: Attachment, locale: str) -> str:
    """Return the line that describes an attachment."""
    return f"{TEXTS.text(locale, 'attachment')}: {attachment.name} ({file_size(attachment.size, locale)})"


def entry_text(entry: Entry, locale: str) -> str:
    """Return the text of an entry, or the line that describes its attachment, or says that both were removed."""
    if entry.attachment:
        return attachment_line(entry.attachment, locale)
    return entry.text or TEXTS.text(locale, "removed")


def heading(transcript: Transcript, zone: ZoneInfo) -> list[tuple[str, str]]:
    """Return what is shown above the messages: labels and values."""
    t, locale = transcript, transcript.locale
    ended = local_time(t.closed_at, zone) if t.closed_at else TEXTS.text(locale, "still_open")
    code = [(TEXTS.text(locale, "code"), t.code)] if t.code else []
    return [
        (TEXTS.text(locale, "department"), t.department_name),
        (TEXTS.text(locale, "chat"), t.chat_id),
        (TEXTS.text(locale, "opened"), local_time(t.opened_at, zone)),
        (TEXTS.text(locale, "closed"), ended),
        *code,
    ]


def notes(transcript: Transcript) -> list[str]:
    """Return the sentences below the heading: what the times are, and what the code is for."""
    code = [TEXTS.text(transcript.locale, "code_use")] if transcript.code else []
    return [TEXTS.text(transcript.locale, "times"), *code]


def one_line(text: str) -> str:
    """Return the text with each run of white space replaced by one space."""
    return " ".join(text.split())


def file_name(transcript: Transcript, ending: str, zone: ZoneInfo) -> str:
    """Return the name of the download, such as `chat-2026-11-22-1b9d6bcd.txt`: date of opening, beginning of the id."""
    return f"chat-{transcript.opened_at.astimezone(zone).date().isoformat()}-{transcript.chat_id[:8]}.{ending}"
