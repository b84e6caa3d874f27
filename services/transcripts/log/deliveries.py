"""RULES of deliveries to transcripts: which events a broker message holds, and when it is acknowledged. No I/O.

A broker message holds one event, or several that were published together. It is acknowledged as a whole, when the last
of its events is finished.
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
from services.transcripts.log.recorder import Heard, Verdict

PATIENCE = 2.0  # seconds that a message waits for its chat to become known
STATE_PATIENCE = 15.0  # a state of the chat waits longer: there is nobody who would tell it again


@dataclass(eq=False, slots=True)
class Parcel:
    """One message of the broker: an event, or several that came together. Settled when all of them are finished."""

    message: DeliveredMessage
    size: int = 1
    finished: int = 0
    unreadable: bool = False
    poison: list[Event] = field(default_factory=list)
    given_back: bool = False

    @property
    def tag(self) -> int:
        """Its number on its channel: what came later has a higher one (AMQP 0-9-1, §1.8.3.13)."""
        return self.message.delivery_tag or 0

    @property
    def rejected(self) -> bool:
        """It is not acknowledged: it goes back to the queue, or to the dead letters."""
        return self.unreadable or self.given_back or bool(self.poison)

    @property
    def headers(self) -> Mapping[str, object]:
        return self.message.header.properties.headers or {}

    @property
    def trace(self) -> object:
        return self.headers.get("traceparent")


@dataclass(eq=False, slots=True)
class Delivery:
    """One event to be recorded, and what it came in."""

    parcel: Parcel
    heard: Heard


def unpack(parcel: Parcel) -> list[Delivery]:
    """The events of this message, in their order. Raises `pydantic.ValidationError` when it cannot be read."""
    event, again = decode(parcel.message.body), bool(parcel.message.redelivered)
    if isinstance(event, MessagesPosted) and event.posted:
        parcel.size = len(event.posted)
        traced = itertools.zip_longest(event.posted, event.traces[: parcel.size])
        return [Delivery(parcel, Heard(posted, again, trace)) for posted, trace in traced]
    return [Delivery(parcel, Heard(event, again, parcel.trace))]


def finish(deliveries: Iterable[Delivery]) -> list[Parcel]:
    """These events are done or poison; the parcels of which that was the last one."""
    complete = []
    for delivery in deliveries:
        parcel = delivery.parcel
        parcel.finished += 1
        if delivery.heard.verdict is Verdict.POISON:
            parcel.poison.append(delivery.heard.event)
        if parcel.finished == parcel.size and not parcel.given_back:
            complete.append(parcel)
    return complete


def late(batch: Iterable[Delivery], now: float) -> list[Heard]:
    """Those that have waited for their chat for too long."""
    waiting = [d.heard for d in batch if d.heard.verdict is Verdict.LATER]
    return [h for h in waiting if now - h.arrived > (STATE_PATIENCE if isinstance(h.event, ChatState) else PATIENCE)]


def acknowledged_together(done: Iterable[int], unsettled: Iterable[int]) -> int | None:
    """Of tags that are done, the one up to which one acknowledgement may go: below it nothing is open. Or None."""
    lowest = min(unsettled, default=None)
    return max((tag for tag in done if lowest is None or tag < lowest), default=None)


def once_more(batch: Iterable[Delivery], chance: Callable[[], float]) -> list[Delivery]:
    """What was delivered before, which may have killed a process: one by one, those of a chat in their order.

    The chats come in an order of `chance`, so that what stands behind a killer does not do so each time.
    """
    place: defaultdict[str, float] = defaultdict(chance)
    again = [d for d in batch if d.heard.redelivered]
    return sorted(again, key=lambda d: place[getattr(d.heard.event, "chat_id", "")])
