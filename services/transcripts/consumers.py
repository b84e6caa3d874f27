"""Handlers of the ordinary queues: notes, citizens who keep their chat open, wrap-ups, pauses, the outbox.

`identifications.py` and `outbox/announcer.py` have handlers of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from faststream.rabbit import RabbitRouter

from services.common.events.agents import PauseEnded, WrapUpEnded
from services.common.events.messages import CitizenStayed, NotePosted, NoteStored
from services.common.events.types import is_id
from services.common.messaging import topology
from services.common.messaging.publisher import Publisher
from services.common.messaging.subscribers import subscribe
from services.transcripts import metrics
from services.transcripts.identifications import Identifications
from services.transcripts.log.store import Store
from services.transcripts.outbox.announcer import Announcer
from services.transcripts.statistics.store import Statistics

log = structlog.get_logger()


def create_router(handlers: Handlers, announcer: Announcer, identifications: Identifications) -> RabbitRouter:
    """Return the subscribers of the ordinary queues of transcripts."""
    router = RabbitRouter()
    subscribe(router, topology.TRANSCRIPTS_NOTES, handlers.note_posted)
    subscribe(router, topology.TRANSCRIPTS_SILENCES, handlers.citizen_stayed)
    subscribe(
        router,
        topology.TRANSCRIPTS_OUTBOX,
        announcer.chat_opened,
        announcer.chat_changed,
        announcer.button_changed,
    )
    subscribe(router, topology.TRANSCRIPTS_STATISTICS, handlers.wrap_up_ended, handlers.pause_ended)
    subscribe(
        router,
        topology.TRANSCRIPTS_IDENTIFICATIONS,
        identifications.asked,
        identifications.declined,
        identifications.ended,
    )
    return router


class Handlers:
    """Handlers of internal notes, of citizens who stay, of wrap-ups, and of pauses."""

    def __init__(
        self, store: Store, publisher: Publisher, clock: Callable[[], datetime], statistics: Statistics
    ) -> None:
        self._store, self._publisher, self._clock, self._statistics = store, publisher, clock, statistics

    async def note_posted(self, event: NotePosted) -> None:
        """Store a note once, and publish it at each delivery."""
        if not (is_id(event.chat_id) and is_id(event.id)):
            raise ValueError("not an internal note")
        if await self._store.erased([event.chat_id]):
            log.info("late_event_of_erased_chat", type=event.type, chat_id=event.chat_id)
            return
        note = await self._store.add_note(event, self._clock())
        await self._publisher.publish(NoteStored(chat_id=note.chat_id, note=note))

    async def citizen_stayed(self, event: CitizenStayed) -> None:
        """Let the citizen's inactivity count from now on. A chat that has ended stays ended."""
        if not is_id(event.chat_id):
            raise ValueError("not a citizen who stayed")
        if await self._store.stay(event.chat_id, self._clock()):
            metrics.INACTIVITY.labels("stayed").inc()
            log.info("citizen_stayed", chat_id=event.chat_id)

    async def wrap_up_ended(self, event: WrapUpEnded) -> None:
        """Note in the statistics how long the wrap-up of a chat took. A redelivered event changes nothing."""
        if not is_id(event.chat_id):
            raise ValueError("not a wrap-up")
        await self._statistics.wrapped_up(event.chat_id, max(0, event.seconds), self._clock())

    async def pause_ended(self, event: PauseEnded) -> None:
        """Note in the statistics how long a pause of an agent took. A redelivered event changes nothing."""
        if not is_id(event.pause_id):
            raise ValueError("not a pause")
        await self._statistics.paused(event)
