"""Subscription to `transcripts.messages`: the connection to the broker, and the deliveries that arrived.

How many deliveries the broker may send at a time is limited. The deliveries that arrive while a batch is being written
form the next batch; there is no timed wait. The connection uses aiormq, the library under aio-pika, and is one of its
own: a batch needs the deliveries themselves, and one acknowledgement for all of them.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence

import aiormq
import structlog
from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage
from pamqp.common import FieldTable

from services.common.messaging import topology
from services.common.messaging.connection import BrokerConnection, underlay
from services.common.messaging.errors import BROKER_ERRORS, UnknownErrors, given_up_is_failure
from services.common.messaging.queue_metrics import Waiting
from services.common.messaging.slow_start import SLOW_START, SlowStart
from services.transcripts.log.delivery import Acknowledger, DeliveredEvent, Delivery
from services.transcripts.log.sequencing import FAILED

RETRY_AFTER = 0.1  # seconds after which events that wait for their chat are tried again
log = structlog.get_logger()
PREFETCH = 200
CONSUME_LIMIT = 30.0  # seconds
QUEUE = topology.TRANSCRIPTS_MESSAGES


class Batcher:
    """Holds the deliveries that arrived, and the events whose chat is not opened yet."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[Delivery] = asyncio.Queue()
        self._waiting: list[DeliveredEvent] = []

    @property
    def is_empty(self) -> bool:
        """Whether no delivery has arrived since the last batch."""
        return self._arrived.empty()

    @property
    def waiting_for_chat(self) -> int:
        """The number of events whose chat is not opened yet."""
        return len(self._waiting)

    def add(self, delivery: Delivery) -> None:
        """Add a delivery that arrived."""
        self._arrived.put_nowait(delivery)

    def retry_later(self, events: Iterable[DeliveredEvent]) -> None:
        """Add events to a later batch, because their chat is not opened yet."""
        self._waiting += events

    def take_waiting(self) -> list[DeliveredEvent]:
        """Return the events whose chat was not opened; the batcher forgets them."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def clear(self) -> None:
        """Forget everything, because the broker delivers it again."""
        self._waiting.clear()
        while not self._arrived.empty():
            self._arrived.get_nowait()

    async def next(self) -> list[Delivery]:
        """Return all deliveries that have arrived, at least one.

        The list is empty when it is time to retry the events that wait for their chat.
        """
        try:
            async with asyncio.timeout(RETRY_AFTER if self._waiting else None):
                batch = [await self._arrived.get()]
        except TimeoutError:
            return []
        while not self._arrived.empty():
            batch.append(self._arrived.get_nowait())
        return batch


class Subscription:
    """Puts each delivery into the batcher, and acknowledges it when it is complete.

    After a loss of the connection everything is delivered again on a new channel.
    """

    def __init__(self, url: str, batcher: Batcher, errors: UnknownErrors) -> None:
        """Create a subscription that is not connected; `run` connects it.

        Args:
            url: The address of the broker.
            batcher: Receives the deliveries.
            errors: Counter of unexpected errors in acknowledgements, over all channels.
        """
        self._url, self._batcher, self._errors = url, batcher, errors
        self.queue_age, self.slow_start = Waiting(QUEUE.name), SlowStart()
        # One replica gets all that it has capacity for, the next one the rest (RabbitMQ manual, consumer priorities):
        # two replicas that alternate in a chat collide on its sequence numbers.
        self._priority = random.randrange(1, 1 << 31)  # noqa: S311 - a priority, no secret
        self._connection: BrokerConnection | None = None
        self._channel: aiormq.Channel | None = None
        self._acknowledger: Acknowledger | None = None  # of this channel
        self._tag: str | None = None
        self._prefetch = 1
        self._handled = 0  # first deliveries that are acknowledged or dead-lettered
        self._stopped = False

    @property
    def running(self) -> bool:
        """True while deliveries arrive on a connection that is up."""
        return self._connection is not None and self._connection.up.is_set() and self._tag is not None

    @property
    def prefetch(self) -> int:
        """The number of deliveries that may be in progress: one until the slow start has ended, then `PREFETCH`."""
        return self._prefetch

    @property
    def in_hand(self) -> int:
        """The number of deliveries of the present channel that are neither acknowledged nor rejected."""
        return self._acknowledger.in_hand if self._acknowledger else 0

    async def caught_up(self) -> bool:
        """Return whether the queue is empty: all messages are stored, or are being processed by a replica."""
        channel = self._channel
        if channel is None or not self.running:
            return False
        try:  # without a timeout: a declaration that is given up half-way would leave its channel in an unknown state
            with given_up_is_failure():
                found = await channel.queue_declare(QUEUE.name, passive=True)
        except BROKER_ERRORS as error:
            log.info("queue_not_seen", error=type(error).__name__)
            return False
        return not found.message_count

    async def run(self) -> None:
        """Maintain the connection until cancelled. Call this after the topology was declared."""
        self._connection = BrokerConnection(self._url, QUEUE.name, self._prepare, self.lose)
        await self._connection.run()

    async def stop(self) -> None:
        """Stop deliveries for good. Those in progress may still be completed, and are then acknowledged at once."""
        self._stopped = True
        await self._cancel()

    async def widen(self, waiting_for_chat: bool) -> None:
        """End the slow start when five deliveries are done, or when one waits for its chat.

        The event for which it waits is behind it in the queue.
        """
        slow = self._handled < SLOW_START and not waiting_for_chat
        if slow or self._prefetch == PREFETCH or self._stopped or self._tag is None:
            return
        await self._cancel()
        try:
            with given_up_is_failure():
                await self._consume(PREFETCH)
        except (*BROKER_ERRORS, AssertionError) as error:
            log.info("widen_failed", error=type(error).__name__)  # channel lost: the next one starts wide

    async def complete(self, deliveries: Sequence[Delivery]) -> None:
        """Acknowledge, dead-letter or requeue deliveries by their result. Those of a lost channel are ignored."""
        if self._acknowledger is None:
            return
        handled = await self._acknowledger.complete(deliveries, at_once=self._prefetch == 1 or self._stopped)
        for delivery in deliveries:
            if delivery.channel is self._channel:
                self.queue_age.finish(delivery.tag, done=delivery.result is not FAILED)
                self.slow_start.done(delivery.redelivered)
        # Redelivered messages do not count: they stay one at a time until all that a crashed process had is done.
        self._handled += sum(not delivery.redelivered for delivery in handled)

    async def acknowledge(self) -> None:
        """Acknowledge now what is complete."""
        if self._acknowledger:
            await self._acknowledger.acknowledge()

    def lose(self) -> None:
        """Forget the deliveries of the lost channel; they are delivered again."""
        self._channel, self._acknowledger, self._tag = None, None, None
        self._batcher.clear()
        self.queue_age.lose()
        self.slow_start.lost()

    async def _prepare(self, channel: AbstractChannel) -> None:
        self.lose()
        if self._stopped:
            return
        async with asyncio.timeout(CONSUME_LIMIT):
            self._channel = await underlay(channel)
            self._acknowledger = Acknowledger(self._channel, self._errors)
            await self._consume(PREFETCH if self._handled >= SLOW_START else 1)
        self.slow_start.begun()

    async def _consume(self, prefetch: int) -> None:
        channel = self._channel
        assert channel is not None
        await channel.basic_qos(prefetch_count=prefetch)
        self._prefetch = prefetch
        first: FieldTable = {"x-priority": self._priority}
        self._tag = (await channel.basic_consume(QUEUE.name, self._receive, arguments=first)).consumer_tag
        if self._stopped:  # meanwhile, when there was no tag to cancel
            await self._cancel()

    async def _receive(self, message: DeliveredMessage) -> None:
        if self._acknowledger and message.channel is self._channel:
            delivery = Delivery(
                message.body,
                message.delivery_tag or 0,
                message.channel,
                bool(message.redelivered),
                message.header.properties.headers or {},
            )
            self._acknowledger.delivered(delivery.tag)
            self.slow_start.took()
            self._batcher.add(delivery)

    async def _cancel(self) -> None:
        channel, tag, self._tag = self._channel, self._tag, None
        if channel and tag:
            try:
                with given_up_is_failure():
                    await channel.basic_cancel(tag)
            except BROKER_ERRORS as error:
                log.info("cancel_failed", error=type(error).__name__)
