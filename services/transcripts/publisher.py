"""RULES of the events that transcripts publishes for a batch, and which of them share a broker message. No I/O."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime
from uuid import uuid4

from services.common.clock import utcnow
from services.common.events.event import Event
from services.common.events.messages import MessageRefused, MessagesStored, MessageStored
from services.common.events.types import Entry, RefusalCode
from services.common.observability.tracing import is_kept

Told = tuple[Event, object]  # an event, and the traceparent of what led to it


def stored_event(entry: Entry, posted_at: datetime | None = None) -> MessageStored:
    """The event that tells this entry; built by hand, since validating what is trusted costs a third of the hot path.

    `posted_at`: when its sender's gateway took it, which is not kept.
    """
    if posted_at:
        entry = entry.model_copy(update={"posted_at": posted_at})
    return MessageStored.model_construct(
        type="message.stored",
        event_id=str(uuid4()),
        occurred_at=utcnow(),
        chat_id=entry.chat_id,
        entry=entry,
    )


def in_messages(events: Sequence[Told], most: int) -> Iterator[Told]:
    """The events as they go to the broker: neighbours that tell what was stored in one message, at most `most`."""
    for stored, several in itertools.groupby(events, lambda told: isinstance(told[0], MessageStored)):
        left, size = list(several), most if stored else 1
        for part in (left[i : i + size] for i in range(0, len(left), size)):
            yield part[0] if len(part) == 1 else _together(part)


def _together(told: Sequence[Told]) -> Told:
    entries = [event.entry for event, _ in told if isinstance(event, MessageStored)]
    event = MessagesStored.model_construct(
        type="messages.stored",
        event_id=str(uuid4()),
        occurred_at=utcnow(),
        chat_id=entries[0].chat_id,
        entries=entries,
    )
    return event, next((trace for _, trace in told if is_kept(trace)), told[0][1])


def refused(chat_id: str, id_: str, sender_id: str, code: RefusalCode) -> MessageRefused:
    """The event that tells its sender that this is not, and never will be, in the log."""
    return MessageRefused(chat_id=chat_id, id=id_, sender_id=sender_id, code=code)
