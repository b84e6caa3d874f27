"""Consumer of `transcripts.messages`. It takes batches, which form while the previous batch is being written.

It uses aiormq, the library under aio-pika, on a connection of its own: a batch needs the deliveries themselves, and one
acknowledgement for all of them. The guarantees are those of `messaging/consumer.py`: a poison message is dead-lettered
alone, outages are waited out in place, the start is slow, and the acknowledgement comes last.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

import aiormq
import structlog
from aio_pika.abc import AbstractChannel
from aiormq.abc import DeliveredMessage
from pamqp.common import FieldTable
from pydantic import ValidationError

from services.common.messaging import topology
from services.common.messaging.connection import BrokerConnection, underlay
from services.common.messaging.consumer import (
    FIRST_DELAY,
    HANDLED,
    LONGEST_DELAY,
    SLOW_START,
    DependencyOutage,
    until_probe_succeeds,
)
from services.common.messaging.errors import BROKER_ERRORS, UnknownErrors, given_up_is_failure
from services.common.messaging.queue_metrics import Waiting
from services.common.messaging.slow_start import SlowStart
from services.transcripts.log.acknowledgements import Acknowledgements
from services.transcripts.log.deliveries import DeliveredEvent, Delivery, finish, late, once_more, unpack
from services.transcripts.log.recorder import Recorder, Verdict

log = structlog.get_logger()

PREFETCH = 200
LOOK_AGAIN = 0.1
QUEUE = topology.TRANSCRIPTS_MESSAGES


class MessageConsumer:
    """Consumes `transcripts.messages` until it is cancelled."""

    def __init__(self, url: str, recorder: Recorder, probe: Callable[[], Awaitable[object]]) -> None:
        self._url, self._recorder, self._probe = url, recorder, probe
        self.standing, self.beginning = Waiting(QUEUE.name), SlowStart()
        # One replica gets all that it has capacity for, the next one the rest (RabbitMQ manual, consumer priorities):
        # two replicas that alternate in a chat collide on its sequence numbers.
        self._priority = random.randrange(1, 1 << 31)  # noqa: S311 - a priority, no secret
        self._unknown = UnknownErrors(QUEUE.name)
        self._link: BrokerConnection | None = None
        self._channel: aiormq.Channel | None = None
        self._tag: str | None = None
        self._prefetch = 1
        self._inbox: asyncio.Queue[DeliveredMessage | None] = asyncio.Queue()
        self._finishing: asyncio.Task[None] | None = None
        self._acknowledgements: Acknowledgements | None = None
        self._waiting: list[DeliveredEvent] = []  # events whose chat is not opened yet
        self._done = 0
        self._busy = self._draining = False
        self._returning: set[asyncio.Task[None]] = set()

    @property
    def running(self) -> bool:
        """True while deliveries arrive on a connection that is up."""
        return self._link is not None and self._link.up.is_set() and self._tag is not None

    @property
    def prefetch(self) -> int:
        """The number of deliveries that may be in progress: one until the slow start has ended, then `PREFETCH`."""
        return self._prefetch

    @property
    def in_hand(self) -> int:
        """The number of deliveries of the present channel that are neither acknowledged nor rejected."""
        return self._acknowledgements.in_hand if self._acknowledgements else 0

    @property
    def waiting_for_chat(self) -> int:
        """The number of events whose chat is not opened yet."""
        return len(self._waiting)

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
        """Consume until cancelled. Call this after the topology was declared."""
        while True:
            try:
                await self._until_outage()
            except DependencyOutage:
                log.error("consumer_stopped", queue=QUEUE.name, reason="dependency_outage")
                await until_probe_succeeds(self._probe)

    async def drain(self, patience: float = 10.0) -> None:
        """Stop deliveries and finish those in progress. Events whose chat is not opened yet return to the queue.

        Args:
            patience: Longest wait, in seconds.
        """
        self._draining = True
        await self._cancel()
        end = time.monotonic() + patience
        while (self._at_work() or not self._inbox.empty()) and time.monotonic() < end:  # noqa: ASYNC110 - a few polls
            await asyncio.sleep(0.02)
        if self._acknowledgements:
            await self._acknowledgements.acknowledge()

    async def _until_outage(self) -> None:
        self._link = BrokerConnection(self._url, QUEUE.name, self._prepare, self._lost)
        ours = (self._link.run(), self._work(), self._unknown.watch())
        tasks = [asyncio.create_task(one) for one in ours]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            tasks += [self._finishing] if self._finishing else []
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._finishing = None
            self._lost()

    def _at_work(self) -> bool:
        return self._busy or (self._finishing is not None and not self._finishing.done())

    # ── the channel ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _prepare(self, channel: AbstractChannel) -> None:
        self._lost()
        if self._draining:
            return
        async with asyncio.timeout(30):
            self._channel = await underlay(channel)
            self._acknowledgements = Acknowledgements(self._channel, self._unknown)
            await self._consume(PREFETCH if self._done >= SLOW_START else 1)
        self.beginning.begun()

    def _lost(self) -> None:
        """Forget the deliveries of the lost channel; they are delivered again."""
        self._channel, self._tag = None, None
        self._waiting.clear()
        self.standing.lose()
        self.beginning.lost()
        self._acknowledgements = None
        while not self._inbox.empty():
            self._inbox.get_nowait()

    async def _consume(self, prefetch: int) -> None:
        channel = self._channel
        assert channel is not None
        await channel.basic_qos(prefetch_count=prefetch)
        self._prefetch = prefetch
        first: FieldTable = {"x-priority": self._priority}
        self._tag = (await channel.basic_consume(QUEUE.name, self._take, arguments=first)).consumer_tag

    async def _take(self, message: DeliveredMessage) -> None:
        if self._acknowledgements and message.channel is self._channel:
            self._acknowledgements.delivered(message.delivery_tag or 0)
            self.beginning.took()
            self._inbox.put_nowait(message)

    async def _cancel(self) -> None:
        channel, tag, self._tag = self._channel, self._tag, None
        if channel and tag:
            try:
                with given_up_is_failure():
                    await channel.basic_cancel(tag)
            except BROKER_ERRORS as error:
                log.info("cancel_failed", error=type(error).__name__)

    async def _widen(self) -> None:
        """End the slow start when five deliveries are done, or when one waits for its chat.

        The event for which it waits is behind it in the queue.
        """
        slow = self._done < SLOW_START and not self._waiting
        if slow or self._prefetch == PREFETCH or self._draining or self._tag is None:
            return
        await self._cancel()
        try:
            with given_up_is_failure():
                await self._consume(PREFETCH)
        except (*BROKER_ERRORS, AssertionError) as error:
            log.info("widen_failed", error=type(error).__name__)  # channel lost: the next one starts wide

    # ── the batches ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def _work(self) -> None:
        while True:
            fresh = await self._next()
            self._busy = True
            try:
                decoded = await self._decoded(fresh)
                batch, self._waiting = [*self._waiting, *(d for d in decoded if not d.recording.redelivered)], []
                for delivered_event in once_more(decoded, random.random):
                    await self._handle([delivered_event])
                for start in range(0, len(batch), PREFETCH):
                    await self._handle(batch[start : start + PREFETCH])
                await self._widen()
            finally:
                self._busy = False

    async def _next(self) -> list[DeliveredMessage]:
        """Return all deliveries that have arrived, at least one.

        The list is empty when it is time to retry the events that wait for their chat.
        """
        got: list[DeliveredMessage | None] = []
        try:
            async with asyncio.timeout(LOOK_AGAIN if self._waiting else None):
                got.append(await self._inbox.get())
        except TimeoutError:
            return []
        while len(got) < PREFETCH and not self._inbox.empty():
            got.append(self._inbox.get_nowait())
        if None in got:
            await self._told()
        return [message for message in got if message and message.channel is self._channel]

    async def _decoded(self, fresh: Iterable[DeliveredMessage]) -> list[DeliveredEvent]:
        batch: list[DeliveredEvent] = []
        for message in fresh:
            delivery = Delivery(message)
            try:
                batch += unpack(delivery)
                self.standing.take(delivery.tag, batch[-delivery.size].recording.event.occurred_at)
            except ValidationError as error:
                problem = error.errors(include_input=False)[0]["type"]
                log.error("message_dead_lettered", queue=QUEUE.name, problem=problem)
                delivery.unreadable = True
                await self._complete([delivery])
        return batch

    async def _handle(self, batch: Sequence[DeliveredEvent]) -> None:
        try:
            publishing = await self._recorder.record([d.recording for d in batch])
        except DependencyOutage:
            raise
        except Exception:
            if len(batch) == 1:
                self._requeue(batch[0])
                return
            log.exception("batch_failed", size=len(batch))
            for delivered_event in batch:  # one of them fails: it must not fail the others
                await self._handle([delivered_event])
            return
        for recording in late(batch, time.monotonic()):
            await self._recorder.give_up(recording)
        self._waiting += [d for d in batch if d.recording.verdict is Verdict.LATER]
        await self._told()
        stored = [d for d in batch if d.recording.verdict is not Verdict.LATER]
        self._finishing = asyncio.create_task(self._finish_published(stored, publishing))

    async def _told(self) -> None:
        """Return when the previous batch is published; one batch is published while the next is stored.

        Raises:
            DependencyOutage: An outage lasted too long.
        """
        finishing, self._finishing = self._finishing, None
        if finishing:
            await finishing

    async def _finish_published(self, stored: Sequence[DeliveredEvent], publishing: asyncio.Task[None]) -> None:
        try:
            await publishing
        except DependencyOutage:
            self._inbox.put_nowait(None)  # wakes up `_next`, which raises it
            raise
        except Exception:
            log.exception("batch_not_published", size=len(stored))
            for delivered_event in stored:
                await self._record_alone(delivered_event)
        else:
            await self._finish(stored)

    async def _record_alone(self, delivered_event: DeliveredEvent) -> None:
        try:
            await (await self._recorder.record([delivered_event.recording]))
        except DependencyOutage:
            raise
        except Exception:
            self._requeue(delivered_event)
        else:
            await self._finish([delivered_event])

    async def _finish(self, deliveries: Iterable[DeliveredEvent]) -> None:
        complete = finish(deliveries)
        for delivery in complete:
            if delivery.poison and delivery.size > 1:  # the other events of the batch must not be dead-lettered with it
                await self._recorder.requeue_singly(delivery.poison, delivery.trace)
                delivery.poison = []
        await self._complete(complete)

    async def _complete(self, finished: Sequence[Delivery]) -> None:
        if self._acknowledgements is None:
            return
        handled = await self._acknowledgements.complete(finished, at_once=self._prefetch == 1 or self._draining)
        for delivery in finished:
            if delivery.message.channel is self._channel:
                self.standing.finish(delivery.tag, done=not delivery.requeued)
                self.beginning.done(bool(delivery.message.redelivered))
        # Redelivered messages do not count: they stay one at a time until all that a crashed process had is done.
        self._done += sum(not p.message.redelivered for p in handled)

    def _requeue(self, delivered_event: DeliveredEvent) -> None:
        """Requeue a delivery after an unexpected error.

        It counts as an attempt, and is delayed by 1, 2, 4 … 30 s up to its limit.
        """
        delivery = delivered_event.delivery
        if delivery.requeued:
            return
        delivery.requeued = True
        count = int(str(delivery.headers.get("x-delivery-count") or 0))
        log.exception(
            "message_failed", queue=QUEUE.name, type=delivered_event.recording.event.type, delivery_count=count
        )
        HANDLED.labels(QUEUE.name, "dead_lettered" if count >= topology.DELIVERY_LIMIT else "given_back").inc()
        task = asyncio.create_task(self._return_later(delivery, min(FIRST_DELAY * 2.0**count, LONGEST_DELAY)))
        self._returning.add(task)
        task.add_done_callback(self._returning.discard)

    async def _return_later(self, delivery: Delivery, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._complete([delivery])
