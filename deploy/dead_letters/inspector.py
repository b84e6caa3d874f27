"""The dead letters of one service, on the broker. A letter that is only read keeps its place in the queue.

Required rights on the broker: read on `<service>.dead-letters`, configure on `eloket.operator.*` (the lock below), and,
to replay, write on `amq.default`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError
from aiormq.exceptions import ChannelLockedResource
from yarl import URL

from deploy.dead_letters.message import Letter, read_letter

CONNECT_LIMIT = 10.0
ANSWER_LIMIT = 10.0
LOCK_LIMIT = 30.0
BACK_LIMIT = 5.0
DEATH_HEADERS = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count", "x-acquired-count", "CC", "BCC")


class Busy(Exception):
    """Another operator has been reading the same letters for too long."""


@dataclass(frozen=True)
class Found:
    """A letter that this program holds until it is settled or the channel is closed."""

    letter: Letter
    message: AbstractIncomingMessage


class Pile:
    """A service's dead letters, held exclusively while `opened` is open."""

    def __init__(self, connection: aio_pika.abc.AbstractConnection, channel: AbstractChannel, name: str, count: int):
        self._connection, self._channel = connection, channel
        self.name, self.count = name, count
        self.held = self.settled = 0  # letters that were only read; letters that were removed
        self.cut_short = False  # there are more than may be held at a time
        self.looked_at = 0  # the highest number of earlier reads of one letter

    @property
    def wears_out(self) -> bool:
        """Whether letters are about to be dropped.

        By default RabbitMQ 4 drops a message that was requeued 20 times.
        """
        version = str(self._connection.transport.connection.server_properties.get("version", ""))  # type: ignore[union-attr]
        return version.partition(".")[0].isdigit() and int(version.partition(".")[0]) >= 4 and self.looked_at >= 10

    async def letters(self, most: int) -> AsyncIterator[Found]:
        """Yield each letter that was there at the beginning, the oldest first.

        Ends when `most` of them are neither replayed nor discarded.

        Raises:
            TimeoutError: The broker does not answer any more.
        """
        inbox: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        queue = await self._channel.get_queue(self.name, ensure=False)
        await self._channel.set_qos(prefetch_count=most)
        await queue.consume(inbox.put)  # one consumer: when its channel ends the queue gets all letters back in order
        for _ in range(self.count):
            if self.held >= most:
                self.cut_short = True
                return
            async with asyncio.timeout(ANSWER_LIMIT):
                message = await inbox.get()
            self.looked_at = max(self.looked_at, int(str(message.headers.get("x-delivery-count") or 0)))
            yield Found(read_letter(message.body, message.headers, message.message_id), message)
            self.held += not message.processed

    async def replay(self, found: Found) -> str | None:
        """Publish a letter to the queue that it came from, and remove it after the broker's confirm.

        An interruption in between leaves two copies, which is harmless because handlers are idempotent. The letter's
        deliveries are counted from zero.

        Returns:
            None when it was replayed, else why not.
        """
        message, queue = found.message, found.letter.queue
        if queue is None:
            return "it does not say which queue it came from"
        kept = {k: v for k, v in message.headers.items() if not k.startswith(DEATH_HEADERS)}
        again = aio_pika.Message(
            message.body,
            headers=kept,
            content_type=message.content_type,
            message_id=message.message_id,
            type=message.type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
        )
        try:
            async with asyncio.timeout(ANSWER_LIMIT):
                await self._channel.default_exchange.publish(again, queue, mandatory=True)
        except PublishError:
            return f"there is no queue {queue}"
        except DeliveryError:
            return f"{queue} takes no more"
        await self.discard(found)
        return None

    async def discard(self, found: Found) -> None:
        """Remove a letter for good."""
        await found.message.ack()
        self.settled += 1


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[aio_pika.abc.AbstractConnection]:
    """Provide a connection to the broker.

    Raises TimeoutError, or an error of aio-pika for a broker that cannot be reached.
    """
    connection = aio_pika.Connection(URL(url), client_properties={"connection_name": "dead-letters"})
    async with asyncio.timeout(CONNECT_LIMIT):
        await connection.connect()
    try:
        yield connection
    finally:
        await connection.close()


@contextlib.asynccontextmanager
async def opened(connection: aio_pika.abc.AbstractConnection, service: str) -> AsyncIterator[Pile | None]:
    """Provide the service's dead letters exclusively; None when it has no such queue yet.

    Raises:
        Busy: Another operator reads them.
    """
    name = f"{service}.dead-letters"
    async with locked(connection, f"eloket.operator.{service}"):
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        try:
            count = await _ready(channel, name)
        except ChannelNotFoundEntity:
            yield None
            return
        pile = Pile(connection, channel, name, count)
        try:
            yield pile
        finally:
            await _put_back(connection, channel, pile)


async def _put_back(connection: aio_pika.abc.AbstractConnection, held: AbstractChannel, pile: Pile) -> None:
    """Return the letters that were only read, in order.

    A quorum queue without a delivery limit requeues at its end, a moment after the channel is closed. The letters that
    were not read are therefore taken too, by a second channel, and returned after the first ones.
    """
    async with connection.channel() as rest, connection.channel() as view:
        queue = await rest.get_queue(pile.name, ensure=False)
        tag = await queue.consume(_pass)
        await _until(view, pile.name, lambda ready: ready == 0)
        await queue.cancel(tag)
        await held.close()
        await _until(view, pile.name, lambda ready: ready >= pile.held)
        await rest.close()
        await _until(view, pile.name, lambda ready: ready >= pile.count - pile.settled)


async def _pass(_: AbstractIncomingMessage) -> None:
    return


async def _until(channel: AbstractChannel, name: str, enough: Callable[[int], bool]) -> None:
    """Return when so many letters are ready, or after `BACK_LIMIT`; they are safe then too, in another order."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(BACK_LIMIT):
            while not enough(await _ready(channel, name)):  # noqa: ASYNC110 - the broker sends no notification
                await asyncio.sleep(0.02)


async def _ready(channel: AbstractChannel, name: str) -> int:
    declared = await channel.declare_queue(name, passive=True)
    return declared.declaration_result.message_count or 0


@contextlib.asynccontextmanager
async def locked(connection: aio_pika.abc.AbstractConnection, name: str) -> AsyncIterator[None]:
    """Hold a lock over all operators: an exclusive queue, which ends with its connection.

    Letters that one operator holds are invisible to another, who would see too few.
    """
    try:
        async with asyncio.timeout(LOCK_LIMIT):
            channel, lock = await _lock(connection, name)
    except TimeoutError:
        raise Busy from None
    try:
        yield
    finally:
        await lock.delete()
        await channel.close()


async def _lock(
    connection: aio_pika.abc.AbstractConnection, name: str
) -> tuple[AbstractChannel, aio_pika.abc.AbstractQueue]:
    while True:
        channel = await connection.channel()
        try:
            return channel, await channel.declare_queue(name, exclusive=True, auto_delete=True)
        except ChannelLockedResource:
            await asyncio.sleep(0.2)
