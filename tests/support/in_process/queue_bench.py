"""A durable queue on a real broker, and the consumers of `services/common/messaging/consumer.py` on it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sized
from dataclasses import dataclass, field

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from faststream.rabbit import RabbitRouter

from services.common.events.codec import encode
from services.common.events.event import Event
from services.common.events.messages import ReadShown
from services.common.events.types import Party
from services.common.messaging import middlewares, retry, topology
from services.common.messaging.consumer import Consumers
from services.common.messaging.declarations import declare_topology
from services.common.messaging.subscribers import PREFETCH, subscribe
from tests.support.conditions import until
from tests.support.event_samples import CHAT
from tests.support.metrics import sample
from tests.support.servers import PATIENCE

QUEUE = topology.Queue("test.events", ("read.shown",))
HURTING = topology.Queue("test.events", ("read.shown",), {"x-delivery-limit": 2})


@dataclass
class Bench:
    """A queue with its dead letters on a virtual host of its own, and the probes of its consumers."""

    channel: AbstractChannel
    url: str
    probe: Callable[[], Awaitable[None]] | None = None
    probes: list[float] = field(default_factory=list)

    def consumers(
        self, handler: Callable[[Event], Awaitable[None]], queue: topology.Queue = QUEUE, prefetch: int = PREFETCH
    ) -> Consumers:
        """Consumers of the queue, which are not started."""
        router = RabbitRouter()
        subscribe(router, queue, handler, prefetch=prefetch)
        return Consumers(self.url, router, self.asked)

    async def asked(self) -> None:
        """What the consumers ask after an outage."""
        self.probes.append(time.monotonic())
        if self.probe:
            await self.probe()

    async def put(self, *bodies: bytes) -> None:
        for body in bodies:
            await self.channel.default_exchange.publish(aio_pika.Message(body), QUEUE.name)

    async def left(self, name: str = QUEUE.name) -> list[AbstractIncomingMessage]:
        """Everything that waits in a queue now, taken out."""
        queue = await self.channel.get_queue(name)
        found = []
        while message := await queue.get(no_ack=True, fail=False, timeout=PATIENCE):
            found.append(message)
        return found

    async def back(self, number: int, name: str = QUEUE.name) -> list[AbstractIncomingMessage]:
        """What waits in a queue, taken out, as soon as there are so many: a queue takes back a moment after a loss."""
        found: list[AbstractIncomingMessage] = []
        async with asyncio.timeout(PATIENCE):
            while len(found) < number:
                found += await self.left(name)
                await asyncio.sleep(0.02)
        return found

    async def letters(self, number: int) -> list[AbstractIncomingMessage]:
        """The dead letters, as soon as there are so many."""
        return await self.back(number, QUEUE.dead_letters)

    async def ready(self) -> int:
        """How many wait to be delivered."""
        declared = await self.channel.declare_queue(QUEUE.name, passive=True)
        return declared.declaration_result.message_count or 0

    async def waiting(self, number: int) -> None:
        """Returns when so many are ready to be delivered."""
        async with asyncio.timeout(PATIENCE):
            while await self.ready() != number:
                await asyncio.sleep(0.02)

    async def all_begun(self, total: int, begun: Sized) -> None:
        """Returns when each of so many messages waits in the queue or has reached the handler: none is on its way."""
        async with asyncio.timeout(PATIENCE):
            while await self.ready() + len(begun) != total:
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def bench(
    url: str,
    queue: topology.Queue = QUEUE,
    probe: Callable[[], Awaitable[None]] | None = None,
    consumers_url: str | None = None,
) -> AsyncIterator[Bench]:
    """The queue and its dead letters.

    `probe`: what the consumers ask after an outage, besides being counted; `consumers_url`: where they connect, if by
    another user.
    """
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await declare_topology(channel)
        await channel.declare_queue(queue.name, durable=True, arguments=queue.declaration)
        letters = await channel.declare_queue(
            queue.dead_letters, durable=True, arguments=topology.DEAD_LETTER_DECLARATION
        )
        await letters.bind(topology.DEAD_EXCHANGE, queue.service)
        yield Bench(channel, consumers_url or url, probe)


@contextlib.asynccontextmanager
async def consumed(
    made: Bench,
    handler: Callable[[Event], Awaitable[None]],
    queue: topology.Queue = QUEUE,
    patience: float = PATIENCE,
    prefetch: int = PREFETCH,
) -> AsyncIterator[Consumers]:
    """The queue is consumed by `handler` while the context is open. What is in hand at its end is finished first.

    `patience`: the seconds for that; few where the handler does not return.
    """
    consumers = made.consumers(handler, queue, prefetch)
    task = asyncio.create_task(consumers.run())
    try:
        await until(lambda: consumers.running or task.done(), "the consumers")
        yield consumers
        assert not task.done(), "consuming ended by itself"
    finally:
        await consumers.drain(patience)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not consumers.running


def events(number: int, first: int = 1) -> list[bytes]:
    return [encode(ReadShown(chat_id=CHAT, party=Party.AGENT, sender_id="an", seq=first + i)) for i in range(number)]


def seq(event: Event) -> int:
    assert isinstance(event, ReadShown)
    return event.seq


def counted(outcome: str) -> float:
    """How many messages of the queue were finished so in this process."""
    labels = {"queue": QUEUE.name, "outcome": outcome}
    return sample("eloket_messages_handled_total", labels) or 0.0


def quicken(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the delays before a message is given back, and quick probes."""
    monkeypatch.setattr(middlewares, "FIRST_DELAY", 0.2)
    monkeypatch.setattr(retry, "PROBE_INTERVAL", 0.05)
