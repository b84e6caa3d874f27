"""RULES of the conversation as plain text. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from zoneinfo import ZoneInfo

from services.common.events.types import Entry
from services.transcripts.rendering.texts import TEXTS
from services.transcripts.rendering.transcript import (
    Transcript,
    entry_text,
    heading,
    local_time,
    notes,
    one_line,
    sender_name,
    whole,
)

_BOM = "\ufeff"


def as_text(transcript: Transcript, zone: ZoneInfo) -> bytes:
    """Return UTF-8 with a byte order mark and CRLF line ends, which old and new text editors show correctly."""
    return whole(TextParts(transcript, zone), transcript).encode("utf-8", "replace")


class TextParts:
    """Plain text in parts; see `as_text`."""

    def __init__(self, transcript: Transcript, zone: ZoneInfo) -> None:
        self._transcript, self._zone = transcript, zone

    def before(self) -> str:
        """Return the heading."""
        locale = self._transcript.locale
        lines = [TEXTS.text(locale, "title"), ""]
        lines += [f"{label}: {value}" for label, value in heading(self._transcript, self._zone)]
        lines += ["", *notes(self._transcript), ""]
        return _BOM + "\r\n".join(lines)

    def some(self, entries: Iterable[Entry]) -> str:
        """Return the next messages."""
        lines, locale = [], self._transcript.locale
        for entry in entries:
            lines.append(f"[{local_time(entry.at, self._zone)}] {one_line(sender_name(entry, locale))}")
            # Indented, so that no text can look like the head of another message.
            lines += [f"    {line}".rstrip() for line in entry_text(entry, locale).splitlines() or [""]]
            lines.append("")
        return "".join("\r\n" + line for line in lines)

    def after(self) -> str:
        """Return nothing."""
        return ""
