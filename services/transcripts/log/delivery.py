"""RULES of a delivery of `transcripts.messages`: its events, their results, and when it is acknowledged. No I/O.

A broker message holds one event, or a batch of events that were published together. It is decoded into its events; each
event is recorded and gets its result; the delivery is complete when the last of its events is finished, and is then
acknowledged or rejected as a whole.
"""

from __future__ import annotations

import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from services.common.events.chats import ChatState
from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.events.messages import MessagesPosted
from services.common.observability.tracing import Span
from services.transcripts.log.results import FAILED, POISON, WAITING, Result, Unstored
from services.transcripts.log.sequencing import NewEntry

PATIENCE = 2.0  # seconds that a message waits for its chat to be opened
STATE_PATIENCE = 15.0  # a state of the chat waits longer, because it is not published again


@dataclass(eq=False, slots=True)
class Delivery:
    """A broker message as this consumer received it.

    Attributes:
        body: The encoded event, or the encoded batch of events.
        tag: Its number on its channel; a later delivery has a higher one (AMQP 0-9-1, §1.8.3.13).
        channel: The channel that it was received on, and that it is acknowledged on.
        redelivered: Whether a consumer had it before.
        headers: The headers of the message.
        size: The number of its events.
        unfinished: The number of its events that are not finished.
        poison: Events of a batch that can never be stored. They are published again, each alone, because the other
            events of the batch must not be dead-lettered with them.
        result: `POISON`: it is dead-lettered. `FAILED`: it is requeued. None: it is acknowledged once it is complete.
    """

    body: bytes
    tag: int = 0
    channel: object = None
    redelivered: bool = False
    headers: Mapping[str, object] = field(default_factory=dict)
    size: int = 1
    unfinished: int = 1
    poison: list[Event] = field(default_factory=list)
    result: Unstored | None = None

    @property
    def traceparent(self) -> object:
        """The `traceparent` of the message, if any."""
        return self.headers.get("traceparent")

    @property
    def attempts(self) -> int:
        """The number of attempts before this one, counted by the broker."""
        return int(str(self.headers.get("x-delivery-count") or 0))

    def decode(self) -> list[DeliveredEvent]:
        """Return the events of this delivery in order.

        Raises:
            pydantic.ValidationError: It cannot be decoded.
        """
        event = decode(self.body)
        if isinstance(event, MessagesPosted) and event.posted:
            self.size = self.unfinished = len(event.posted)
            traced = itertools.zip_longest(event.posted, event.traces[: self.size])
            return [DeliveredEvent(posted, self, trace) for posted, trace in traced]
        return [DeliveredEvent(event, self, self.traceparent)]


@dataclass(eq=False, slots=True)
class DeliveredEvent:
    """One event of a delivery. Recording it sets its entries and its result.

    Attributes:
        event: The event.
        delivery: The delivery that contains it.
        traceparent: Its position in its trace.
        arrived: When it was decoded, on the monotonic clock.
        entries: The entries that it adds to the log, each with its own result.
        result: Its result, where that is not the one of its entries.
        span: From its arrival until the events that follow are published.
    """

    event: Event
    delivery: Delivery
    traceparent: object = None
    arrived: float = field(default_factory=time.monotonic)
    entries: list[NewEntry] = field(default_factory=list)
    result: Result | None = None
    span: Span | None = None

    @property
    def is_done(self) -> bool:
        """Whether each of its entries is stored or refused. Before they are stored: whether all of them can be."""
        return not isinstance(self.result, Unstored)


def finish(events: Iterable[DeliveredEvent]) -> list[Delivery]:
    """Mark these events as finished. Return the deliveries that are complete because of that."""
    complete = []
    for delivered in events:
        delivery = delivered.delivery
        delivery.unfinished -= 1
        if delivered.result is POISON and delivery.size > 1:
            delivery.poison.append(delivered.event)
        elif delivered.result is POISON:
            delivery.result = POISON
        if not delivery.unfinished and delivery.result is not FAILED:
            complete.append(delivery)
    return complete


def waiting_too_long(events: Iterable[DeliveredEvent], now: float) -> list[DeliveredEvent]:
    """Return those of these events that have waited too long for their chat."""
    waiting = (d for d in events if d.result is WAITING)
    return [d for d in waiting if now - d.arrived > (STATE_PATIENCE if isinstance(d.event, ChatState) else PATIENCE)]


def highest_acknowledgeable(done: Iterable[int], open_: Iterable[int]) -> int | None:
    """Return the highest tag that one acknowledgement may cover, because no delivery below it is open; or None."""
    lowest = min(open_, default=None)
    return max((tag for tag in done if lowest is None or tag < lowest), default=None)


def in_isolation(events: Iterable[DeliveredEvent], chance: Callable[[], float]) -> list[DeliveredEvent]:
    """Return the redelivered events, to be handled one by one: one of them may have crashed a process.

    The events of a chat keep their order. The order of the chats is random (`chance`), so that events behind one that
    crashes the process are not behind it each time.
    """
    place: defaultdict[str, float] = defaultdict(chance)
    again = [d for d in events if d.delivery.redelivered]
    return sorted(again, key=lambda d: place[getattr(d.event, "chat_id", "")])
