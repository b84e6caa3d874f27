"""Metrics of durable queues: how many messages wait, and an upper bound of the age of the oldest.

RabbitMQ does not publish the age of a message. Each replica of the consumer computes a bound: the greater of the ages
of the messages that it processes and, while the queue is not empty, the time within which all its messages have
arrived. The bound grows while a message is retried, while a consumer is stuck, and while the broker does not answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Iterable
from datetime import datetime, timedelta

import structlog
from aio_pika.abc import AbstractChannel
from prometheus_client import Counter, Gauge

from services.common.clock import utcnow
from services.common.messaging.connection import BrokerConnection, underlay
from services.common.messaging.errors import BROKER_ERRORS, UnknownErrors, given_up_is_failure

log = structlog.get_logger()

LOOK_EVERY = 5.0  # seconds
STALE = timedelta(seconds=3 * LOOK_EVERY)  # after which a queue that was not checked counts as not empty
OLDEST = Gauge(
    "eloket_queue_oldest_seconds",
    "No message of this durable queue has stood there, or is in hand, for longer",
    ["queue"],
)
READY = Gauge("eloket_queue_messages", "Messages in this durable queue that no consumer has in hand", ["queue"])
HANDLED = Counter("eloket_messages_handled_total", "Messages that a consumer finished", ["queue", "outcome"])
LETTERS = Gauge("eloket_dead_letters", "Messages set aside that nobody could handle", ["service"])


class Waiting:
    """RULES of one queue, seen by one of its consumers. Times are of the shared clock (`services/common/clock.py`)."""

    def __init__(self, queue: str, clock: Callable[[], datetime] = utcnow) -> None:
        self.queue = queue
        self._hand: dict[Hashable, datetime] = {}
        self._since = self._looked = clock()  # every waiting message has arrived since then; time of the last check
        self._back: list[datetime] = []  # messages that were requeued here and may wait again
        self._empty = True

    def take(self, key: Hashable, occurred_at: datetime) -> None:
        """Record a delivery. Messages that still wait arrived after it, because a queue keeps its order.

        A requeued message is delivered first: the delivery of any other message shows that none is left.
        """
        self._hand[key] = occurred_at
        if occurred_at in self._back:
            self._back.remove(occurred_at)
        else:
            self._back.clear()
            self._since = max(self._since, occurred_at)

    def finish(self, key: Hashable, done: bool = True) -> None:
        """Record the end of a delivery. When it is not `done` the message is in the queue again, with its age."""
        occurred_at = self._hand.pop(key, None)
        if occurred_at and not done:
            self._back.append(occurred_at)
            self._empty = False

    def lose(self) -> None:
        """Return all deliveries to the queue, because their channel is lost."""
        for key in tuple(self._hand):
            self.finish(key, done=False)

    def look(self, ready: int, asked: datetime) -> None:
        """Record how many messages waited at the time `asked`."""
        self._empty, self._looked = not ready, asked
        if not ready:
            self._back.clear()
            self._since = max(self._since, asked)

    def seconds(self, now: datetime) -> float:
        """Return the bound: no message has waited in this queue, or been processed here, for longer."""
        ages = list(self._hand.values())
        if not self._empty or now - self._looked > STALE:
            ages += [self._since, *self._back]
        return max(0.0, (now - min(ages, default=now)).total_seconds())


class Backlog:
    """Checks a service's queues every 5 s, on a connection of its own, which works while publishers are blocked."""

    def __init__(
        self, url: str, service: str, queues: Iterable[Waiting], clock: Callable[[], datetime] = utcnow
    ) -> None:
        self._service, self._queues, self._clock = service, {w.queue: w for w in queues}, clock
        self._link = BrokerConnection(url, f"{service}.backlog", self._prepare)
        self._channel: AbstractChannel | None = None
        for name, waiting in self._queues.items():
            OLDEST.labels(name).set_function(lambda w=waiting: w.seconds(clock()))  # type: ignore[misc]

    async def run(self, declared: asyncio.Event) -> None:
        """Check until cancelled, from when the queues are `declared`."""
        await declared.wait()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._link.run())
            group.create_task(self._look_for_ever())

    async def _prepare(self, channel: AbstractChannel) -> None:
        self._channel = channel

    async def _look_for_ever(self) -> None:
        unknown = UnknownErrors(f"{self._service}.backlog")
        while True:
            await self._link.up.wait()
            try:
                with given_up_is_failure():
                    await self.look()
                unknown.clear()
            except BROKER_ERRORS as error:
                log.info("queues_not_seen", error=type(error).__name__)
            except Exception as error:
                unknown.note(error)
                unknown.check()
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Read how many messages wait in each queue. Raises one of `BROKER_ERRORS` when the broker does not answer."""
        assert self._channel is not None
        channel = await underlay(self._channel)
        # Without timeouts: a declaration that is given up half-way would leave its channel in an unknown state.
        for name, waiting in self._queues.items():
            asked = self._clock()
            ready = (await channel.queue_declare(name, passive=True)).message_count or 0
            waiting.look(ready, asked)
            READY.labels(name).set(ready)
        letters = await channel.queue_declare(f"{self._service}.dead-letters", passive=True)
        LETTERS.labels(self._service).set(letters.message_count or 0)
