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

TracedEvent = tuple[Event, object]  # an event, and the traceparent of its origin


def stored_event(entry: Entry, posted_at: datetime | None = None) -> MessageStored:
    """Return the event of a stored entry.

    It is built without validation, which would cost a third of the hot path.

    Args:
        entry: The entry, which is trusted.
        posted_at: When the sender's gateway took the message; the log does not store it.
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


def in_messages(events: Sequence[TracedEvent], most: int) -> Iterator[TracedEvent]:
    """Yield the events as they are published: up to `most` consecutive `message.stored` in one broker message."""
    for stored, several in itertools.groupby(events, lambda one: isinstance(one[0], MessageStored)):
        left, size = list(several), most if stored else 1
        for part in (left[i : i + size] for i in range(0, len(left), size)):
            yield part[0] if len(part) == 1 else _batch_of(part)


def _batch_of(events: Sequence[TracedEvent]) -> TracedEvent:
    entries = [event.entry for event, _ in events if isinstance(event, MessageStored)]
    event = MessagesStored.model_construct(
        type="messages.stored",
        event_id=str(uuid4()),
        occurred_at=utcnow(),
        chat_id=entries[0].chat_id,
        entries=entries,
    )
    return event, next((trace for _, trace in events if is_kept(trace)), events[0][1])


def refused(chat_id: str, id_: str, sender_id: str, code: RefusalCode) -> MessageRefused:
    """Return the event for a sender whose message is not in the log and never will be."""
    return MessageRefused(chat_id=chat_id, id=id_, sender_id=sender_id, code=code)
