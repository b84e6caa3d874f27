"""The conversation as a PDF for archives and screen readers: PDF/A-3a and PDF/UA-1, with its JSON attached.

The conversation decides how much memory and time a PDF needs. Its length is therefore bounded before it is made, and it
is made in a worker process that is limited in both (`worker_process.py`, `pdf_worker.py`), one at a time for a chat.
Long ones never use all workers: an ordinary one waits for ordinary ones only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import orjson

from services.common.events.types import Entry
from services.common.runtime.worker_process import MIB, JobFailed, NotStarted, Workers, WorkersBusy
from services.common.texts import supported_language
from services.transcripts.rendering.font_selection import reads_from_right
from services.transcripts.rendering.json_format import as_json
from services.transcripts.rendering.texts import TEXTS
from services.transcripts.rendering.transcript import (
    Transcript,
    entry_text,
    heading,
    local_time,
    notes,
    one_line,
    sender_name,
)

MAX_CHARACTERS = 400_000
MAX_LINES = 20_000  # about 400 pages
HEAVY_LINES, HEAVY_CHARACTERS = 2_000, 60_000  # beyond either, a PDF may need seconds, or more than 100 MiB
MEMORY = 256 * MIB  # of one worker process; an ordinary PDF needs a quarter
SECONDS = 30.0
AT_A_TIME = 2
MAX_WAITING = 20
PER_CHILD = 40  # PDFs that one worker process makes
_LINE = 90  # characters on a line of the page
_COLOURS = {"citizen": "#1b4f9c", "agent": "#0b6b3a", "system": "#767676"}


class PressBusy(Exception):
    """Too many PDFs are waited for, or none can be made now."""


class TooLong(Exception):
    """The conversation is longer than a PDF may be."""


class Length:
    """Estimates the length of the PDF while entries are read."""

    def __init__(self) -> None:
        self.characters = self.lines = 0

    @property
    def heavy(self) -> bool:
        """Whether it is longer than most; see `Workers.run`."""
        return self.lines > HEAVY_LINES or self.characters > HEAVY_CHARACTERS

    def add(self, entry: Entry) -> None:
        """Count an entry.

        Raises:
            TooLong: The PDF would be too long.
        """
        text = entry.text or ""
        self.characters += len(text)
        # Lines of the text, lines by its number of characters, and two for sender and time.
        self.lines += 2 + text.count("\n") + len(text) // _LINE
        if self.characters > MAX_CHARACTERS or self.lines > MAX_LINES:
            raise TooLong


class PdfPress:
    """Makes PDFs in worker processes, which start with the first one and end when there is nothing to do."""

    def __init__(self, more_fonts: Path | None = None) -> None:
        self._fonts = str(more_fonts.resolve()) if more_fonts else ""
        self.workers = Workers(
            "services.transcripts.rendering.pdf_worker:begin",
            memory=MEMORY,
            seconds=SECONDS,
            size=AT_A_TIME,
            jobs=PER_CHILD,
            waiting=MAX_WAITING,
        )
        self._making: dict[str, tuple[bytes, asyncio.Task[bytes]]] = {}

    async def make(self, transcript: Transcript, zone: ZoneInfo, attached: Callable[[], bytes] | None = None) -> bytes:
        """Make a PDF, in which the JSON that `attached` returns is embedded; without it, that of the transcript.

        Requests for the same PDF share one job. A request for a later state of the same chat waits for the job before
        it.

        Raises:
            PressBusy: Too many requests wait.
            TooLong: It is too long, or needs too much memory or time.
        """
        length = Length()
        for entry in transcript.entries:
            length.add(entry)
        job = await asyncio.to_thread(self._job, transcript, zone, attached)
        which = sha256(job).digest()  # the agent's PDF differs from the citizen's
        while under_way := self._making.get(transcript.chat_id):
            key, task = under_way
            if key == which:
                return await asyncio.shield(task)
            await asyncio.wait([task])
        task = asyncio.create_task(self._make(job, length.heavy))
        self._making[transcript.chat_id] = which, task
        task.add_done_callback(lambda done: self._made(transcript.chat_id, done))
        return await asyncio.shield(task)

    def _made(self, chat_id: str, task: asyncio.Task[bytes]) -> None:
        del self._making[chat_id]
        if not task.cancelled():
            task.exception()  # marks it as retrieved: the client may have disconnected

    async def _make(self, job: bytes, heavy: bool) -> bytes:
        try:
            return await self.workers.run(job, heavy)
        except (WorkersBusy, NotStarted) as error:
            raise PressBusy from error
        except JobFailed as failed:
            if failed.reason in ("time", "memory", "ended"):
                raise TooLong from failed
            raise

    def _job(self, transcript: Transcript, zone: ZoneInfo, attached: Callable[[], bytes] | None) -> bytes:
        return orjson.dumps(
            {
                "fonts": self._fonts,
                "at": _stamp(transcript).isoformat(),
                "data": _data(transcript, zone),
                "json": (attached() if attached else as_json(transcript)).decode(),
            }
        )

    async def close(self) -> None:
        """End the worker processes."""
        await self.workers.close()


def _data(transcript: Transcript, zone: ZoneInfo) -> dict[str, Any]:
    t, locale = transcript, supported_language(transcript.locale)
    title = TEXTS.text(locale, "title")
    return {
        "title": title,
        "chat_id": t.chat_id,
        "locale": locale,
        "description": f"{title}, {t.department_name}",
        "heading": heading(t, zone),
        "notes": notes(t),
        "messages_title": TEXTS.text(locale, "messages"),
        "data_description": TEXTS.text(locale, "data"),
        "page": TEXTS.text(locale, "page"),
        "unprintable": TEXTS.text(locale, "unprintable"),
        "unprintable_characters": TEXTS.forms(locale, "unprintable_characters"),
        "messages": list(_messages(t.entries, locale, zone)),
    }


def _messages(entries: Iterable[Entry], locale: str, zone: ZoneInfo) -> Iterable[dict[str, Any]]:
    for entry in entries:
        text = entry_text(entry, locale)
        yield {
            "who": one_line(sender_name(entry, locale)),
            "at": local_time(entry.at, zone),
            "said": text,
            "rtl": reads_from_right(text),
            "system": entry.party.value == "system",
            "colour": _COLOURS[entry.party.value],
        }


def _stamp(transcript: Transcript) -> datetime:
    """Return the time of the last entry: the same conversation then gives the same bytes."""
    last = transcript.entries[-1].at if transcript.entries else transcript.opened_at
    return last.replace(microsecond=0)
