"""RULES of deliveries to transcripts: which events a broker message holds, and when it is acknowledged. No I/O.

A broker message holds one event, or a batch of events that were published together. It is acknowledged as a whole, when
the last of its events is finished.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from aiormq.abc import DeliveredMessage

from services.common.events.chats import ChatState
from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.events.messages import MessagesPosted
from services.transcripts.log.recorder import Recording, Verdict

PATIENCE = 2.0  # seconds that a message waits for its chat to be opened
STATE_PATIENCE = 15.0  # a state of the chat waits longer, because it is not published again


@dataclass(eq=False, slots=True)
class Delivery:
    """One delivery: an event, or a batch. It is settled when all of its events are finished.

    Attributes:
        message: The message of the broker.
        size: The number of its events.
        finished: The number of events that are finished.
        unreadable: Whether it could not be decoded.
        poison: Events that can never be stored.
        given_back: Whether it is requeued.
    """

    message: DeliveredMessage
    size: int = 1
    finished: int = 0
    unreadable: bool = False
    poison: list[Event] = field(default_factory=list)
    requeued: bool = False

    @property
    def tag(self) -> int:
        """Its number on its channel; a later delivery has a higher one (AMQP 0-9-1, §1.8.3.13)."""
        return self.message.delivery_tag or 0

    @property
    def rejected(self) -> bool:
        """Whether it is rejected rather than acknowledged: it is requeued or dead-lettered."""
        return self.unreadable or self.requeued or bool(self.poison)

    @property
    def headers(self) -> Mapping[str, object]:
        """The headers of the message."""
        return self.message.header.properties.headers or {}

    @property
    def trace(self) -> object:
        """The `traceparent` of the message, if any."""
        return self.headers.get("traceparent")


@dataclass(eq=False, slots=True)
class DeliveredEvent:
    """One event to record, and the delivery that contains it."""

    delivery: Delivery
    recording: Recording


def unpack(delivery: Delivery) -> list[DeliveredEvent]:
    """Return the events of this delivery in order.

    Raises:
        pydantic.ValidationError: It cannot be decoded.
    """
    event, again = decode(delivery.message.body), bool(delivery.message.redelivered)
    if isinstance(event, MessagesPosted) and event.posted:
        delivery.size = len(event.posted)
        traced = itertools.zip_longest(event.posted, event.traces[: delivery.size])
        return [DeliveredEvent(delivery, Recording(posted, again, trace)) for posted, trace in traced]
    return [DeliveredEvent(delivery, Recording(event, again, delivery.trace))]


def finish(deliveries: Iterable[DeliveredEvent]) -> list[Delivery]:
    """Mark these events as finished. Return the deliveries that are complete because of that."""
    complete = []
    for delivered_event in deliveries:
        delivery = delivered_event.delivery
        delivery.finished += 1
        if delivered_event.recording.verdict is Verdict.POISON:
            delivery.poison.append(delivered_event.recording.event)
        if delivery.finished == delivery.size and not delivery.requeued:
            complete.append(delivery)
    return complete


def late(batch: Iterable[DeliveredEvent], now: float) -> list[Recording]:
    """Return the events that have waited too long for their chat."""
    waiting = [d.recording for d in batch if d.recording.verdict is Verdict.LATER]
    return [h for h in waiting if now - h.arrived > (STATE_PATIENCE if isinstance(h.event, ChatState) else PATIENCE)]


def highest_acknowledgeable(done: Iterable[int], unsettled: Iterable[int]) -> int | None:
    """Return the highest tag that one acknowledgement may cover, because no delivery below it is open; or None."""
    lowest = min(unsettled, default=None)
    return max((tag for tag in done if lowest is None or tag < lowest), default=None)


def once_more(batch: Iterable[DeliveredEvent], chance: Callable[[], float]) -> list[DeliveredEvent]:
    """Return redelivered events, to be handled one by one: one of them may have crashed a process.

    The events of a chat keep their order. The order of the chats is random (`chance`), so that events behind one that
    crashes the process are not behind it each time.
    """
    place: defaultdict[str, float] = defaultdict(chance)
    again = [d for d in batch if d.recording.redelivered]
    return sorted(again, key=lambda d: place[getattr(d.recording.event, "chat_id", "")])
