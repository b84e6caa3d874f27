"""Deliveries of `transcripts.messages`: their events, the events' results, and the acknowledgement.

A broker message holds one event, or a batch of events that were published together. It is decoded into its events; each
event is recorded and gets its result; the delivery is complete when the last of its events is finished, and is then
acknowledged or rejected as a whole.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import aiormq
import structlog

from services.common.events.chats import ChatState
from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.events.messages import MessagesPosted
from services.common.messaging import topology
from services.common.messaging.errors import BROKER_ERRORS, UnknownErrors, given_up_is_failure
from services.common.messaging.queue_metrics import HANDLED
from services.common.observability.tracing import Span
from services.transcripts.log.sequencing import FAILED, POISON, WAITING, NewEntry, Result, Unstored

PATIENCE = 2.0  # seconds that a message waits for its chat to be opened
STATE_PATIENCE = 15.0  # a state of the chat waits longer, because it is not published again
log = structlog.get_logger()
ACKNOWLEDGE_AFTER = 0.02  # seconds that an acknowledgement waits for others
_DONE = HANDLED.labels(topology.TRANSCRIPTS_MESSAGES.name, "done")
_DEAD_LETTERED = HANDLED.labels(topology.TRANSCRIPTS_MESSAGES.name, "dead_lettered")


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


class Acknowledger:
    """Acknowledges and rejects the deliveries of one channel. After a loss of the channel there is a new instance.

    Each acknowledgement is an entry in the log of a quorum queue and costs the broker as much as a message. An
    acknowledgement therefore waits a short time for others, and covers as many deliveries as possible with one frame.
    What a crash redelivers meanwhile is recognised as done.
    """

    def __init__(self, channel: aiormq.Channel, unknown: UnknownErrors) -> None:
        """Start with no deliveries.

        Args:
            channel: The channel of the deliveries.
            unknown: Counter of unexpected errors, over all channels of one consumer.
        """
        self._channel, self._unknown = channel, unknown
        self._open: set[int] = set()  # tags that are neither acknowledged nor rejected, nor about to be
        self._done: list[int] = []
        self._acknowledging: asyncio.Task[None] | None = None

    @property
    def in_hand(self) -> int:
        """The number of deliveries that are neither acknowledged nor rejected."""
        return len(self._open) + len(self._done)

    def delivered(self, tag: int) -> None:
        """Record a delivery."""
        self._open.add(tag)

    async def complete(self, deliveries: Sequence[Delivery], at_once: bool) -> list[Delivery]:
        """Reject the deliveries that are poison or have failed, and acknowledge the others.

        Args:
            deliveries: Deliveries that are finished; those of another channel are ignored.
            at_once: Whether to acknowledge now instead of soon.

        Returns:
            The deliveries that are handled. When the channel is lost the list is empty: all of them are delivered
            again and recognised as done.
        """
        mine = [d for d in deliveries if d.channel is self._channel]
        rejected, done = [d for d in mine if d.result], [d for d in mine if not d.result]
        self._open.difference_update(d.tag for d in mine)
        try:
            with given_up_is_failure():
                for delivery in rejected:
                    await self._channel.basic_reject(delivery.tag, requeue=delivery.result is FAILED, wait=False)
        except BROKER_ERRORS as error:
            log.info("not_rejected", error=type(error).__name__)
            return []
        except Exception as error:
            await self._begin_anew(error)
            return []
        handled = [d for d in mine if d.result is not FAILED]
        _DONE.inc(sum(d.size for d in done))
        _DEAD_LETTERED.inc(len(handled) - len(done))
        self._done += [d.tag for d in done]
        if at_once:
            await self.acknowledge()
        elif done and self._acknowledging is None:
            self._acknowledging = asyncio.create_task(self._acknowledge_soon())
        return handled

    async def acknowledge(self) -> None:
        """Acknowledge the finished deliveries. One frame covers all tags below which no delivery is open."""
        done, self._done = self._done, []
        try:
            with given_up_is_failure():
                if up_to := highest_acknowledgeable(done, self._open):
                    await self._channel.basic_ack(up_to, multiple=True, wait=False)
                for tag in done:
                    if tag > (up_to or 0):
                        await self._channel.basic_ack(tag, wait=False)
            self._unknown.clear()
        except BROKER_ERRORS as error:
            log.info("not_acknowledged", error=type(error).__name__)
        except Exception as error:
            await self._begin_anew(error)

    async def _begin_anew(self, error: Exception) -> None:
        """Close the channel after an unexpected error.

        Its open deliveries are delivered again on a new channel, and recognised as done.
        """
        self._unknown.note(error)
        try:
            with given_up_is_failure():
                await self._channel.close()
        except BROKER_ERRORS:
            pass
        except Exception:
            log.exception("channel_not_closed")

    async def _acknowledge_soon(self) -> None:
        await asyncio.sleep(ACKNOWLEDGE_AFTER)
        self._acknowledging = None
        await self.acknowledge()
