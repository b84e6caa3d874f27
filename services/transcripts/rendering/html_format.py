"""RULES of the conversation as HTML. No I/O after the import."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from services.common.events.types import Entry
from services.common.templates import load_template
from services.common.texts import supported_language
from services.transcripts.rendering.texts import TEXTS
from services.transcripts.rendering.transcript import (
    Transcript,
    entry_text,
    heading,
    local_time,
    notes,
    one_line,
    sender_name,
    utc_time,
    whole,
)

_HERE = Path(__file__).parent
_PAGE = load_template(_HERE / "transcript.html")
_ENTRIES = load_template(_HERE / "entries.html")
# Where the entries go in the page. No value of the page contains it, since `<` is escaped.
_MARK = "<!-- entries -->\n"


def as_html(transcript: Transcript, zone: ZoneInfo) -> bytes:
    """Return one file without scripts and without external resources. Everything that participants wrote is escaped."""
    return whole(HtmlParts(transcript, zone), transcript).encode("utf-8", "replace")


class HtmlParts:
    """HTML in parts; see `as_html`."""

    def __init__(self, transcript: Transcript, zone: ZoneInfo) -> None:
        self._zone, self._language = zone, supported_language(transcript.locale)
        page = _PAGE.render(
            t=partial(TEXTS.text, self._language),
            locale=self._language,
            chat_id=transcript.chat_id,
            heading=heading(transcript, zone),
            notes=notes(transcript),
        )
        self._before, self._after = page.split(_MARK)

    def before(self) -> str:
        """Return the page up to the list of entries."""
        return self._before

    def some(self, entries: Iterable[Entry]) -> str:
        """Return the next entries."""
        return _ENTRIES.render(
            entries=(
                (
                    entry.party.value,
                    one_line(sender_name(entry, self._language)),
                    utc_time(entry.at),
                    local_time(entry.at, self._zone),
                    entry_text(entry, self._language),
                )
                for entry in entries
            )
        )

    def after(self) -> str:
        """Return the end of the page."""
        return self._after
