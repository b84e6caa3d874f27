"""What becomes of an internal note and of a citizen who stays: one fact at a time (`services/consuming.py`)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from services.broker import Publisher
from services.contracts import CitizenStayed, Fact, NotePosted, NoteStored, is_id
from services.transcripts import counting
from services.transcripts.store import Store

log = structlog.get_logger()


def note_handler(
    store: Store, publisher: Publisher, clock: Callable[[], datetime]
) -> Callable[[Fact], Awaitable[None]]:
    """Handles `transcripts.notes`: the note is stored once, and told each time that it comes."""

    async def note_posted(fact: Fact) -> None:
        if not isinstance(fact, NotePosted) or not (is_id(fact.chat_id) and is_id(fact.id)):
            raise ValueError("not an internal note")
        note = await store.add_note(fact, clock())
        await publisher.tell(NoteStored(chat_id=note.chat_id, note=note))

    return note_posted


def stay_handler(store: Store, clock: Callable[[], datetime]) -> Callable[[Fact], Awaitable[None]]:
    """Handles `transcripts.silences`: the citizen's silence counts anew from now; a chat that is over stays over."""

    async def citizen_stayed(fact: Fact) -> None:
        if not isinstance(fact, CitizenStayed) or not is_id(fact.chat_id):
            raise ValueError("not a citizen who stayed")
        if await store.stay(fact.chat_id, clock()):
            counting.SILENCES.labels("stayed").inc()
            log.info("citizen_stayed", chat_id=fact.chat_id)

    return citizen_stayed
