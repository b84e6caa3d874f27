"""Handlers of the ordinary queues of transcripts: internal notes, and citizens who keep their chat open."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from services.common.events.event import Event
from services.common.events.messages import CitizenStayed, NotePosted, NoteStored
from services.common.events.types import is_id
from services.common.messaging.connection import Publisher
from services.transcripts import metrics
from services.transcripts.log.store import Store

log = structlog.get_logger()


def note_handler(
    store: Store, publisher: Publisher, clock: Callable[[], datetime]
) -> Callable[[Event], Awaitable[None]]:
    """Return the handler of `transcripts.notes`. A note is stored once and published at each delivery."""

    async def note_posted(event: Event) -> None:
        if not isinstance(event, NotePosted) or not (is_id(event.chat_id) and is_id(event.id)):
            raise ValueError("not an internal note")
        note = await store.add_note(event, clock())
        await publisher.publish(NoteStored(chat_id=note.chat_id, note=note))

    return note_posted


def stay_handler(store: Store, clock: Callable[[], datetime]) -> Callable[[Event], Awaitable[None]]:
    """Return the handler of `transcripts.silences`.

    The citizen's inactivity counts from now on. A chat that has ended stays ended.
    """

    async def citizen_stayed(event: Event) -> None:
        if not isinstance(event, CitizenStayed) or not is_id(event.chat_id):
            raise ValueError("not a citizen who stayed")
        if await store.stay(event.chat_id, clock()):
            metrics.INACTIVITY.labels("stayed").inc()
            log.info("citizen_stayed", chat_id=event.chat_id)

    return citizen_stayed
