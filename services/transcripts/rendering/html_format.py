"""RULES of the conversation as HTML. No I/O."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from zoneinfo import ZoneInfo

from services.common.events.types import Entry
from services.common.texts import supported_language
from services.transcripts.rendering.texts import TEXTS
from services.transcripts.rendering.transcript import (
    Transcript,
    entry_text,
    heading,
    local_time,
    one_line,
    sender_name,
    utc_time,
    whole,
)

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


def as_html(transcript: Transcript, zone: ZoneInfo) -> bytes:
    """Return one file without scripts and without external resources. Everything that participants wrote is escaped."""
    return whole(HtmlParts(transcript, zone), transcript).encode("utf-8", "replace")


class HtmlParts:
    """HTML in parts; see `as_html`."""

    def __init__(self, transcript: Transcript, zone: ZoneInfo) -> None:
        self._transcript, self._zone, self._language = transcript, zone, supported_language(transcript.locale)
        self._begun = False

    def before(self) -> str:
        """Return the head of the page, up to the list of messages."""
        language, title = self._language, escape(TEXTS.text(self._language, "title"))
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
<p>{escape(TEXTS.text(language, "times"))}</p>
<h2>{escape(TEXTS.text(language, "messages"))}</h2>
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
    time = f'<time datetime="{utc_time(entry.at)}">{escape(local_time(entry.at, zone))}</time>'
    head = f"<header><bdi>{escape(one_line(sender_name(entry, locale)))}</bdi>{time}</header>"
    return f'<li class="{entry.party.value}">{head}<p dir="auto">{escape(entry_text(entry, locale))}</p></li>'
