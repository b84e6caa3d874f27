"""Consumer of `transcripts.messages`. It takes batches, which form while the previous batch is being written.

A message passes these modules in this order: `subscription.py` receives it and adds it to a batch, `delivery.py`
decodes its events, `recorder.py` creates their entries (`entry_factory.py`), `writer.py` stores these (`sequencing.py`,
`store.py`), `recorder.py` publishes the events that follow (`publisher.py`), and `delivery.py` acknowledges it.

The guarantees are those of `common/messaging/middlewares.py`: a poison message is dead-lettered alone, outages are
waited out in place, the start is slow, and the acknowledgement comes last.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence

import structlog
from pydantic import ValidationError

from services.common.messaging import topology
from services.common.messaging.errors import UnknownErrors
from services.common.messaging.queue_metrics import HANDLED, Waiting
from services.common.messaging.retry import (
    FIRST_DELAY,
    LONGEST_DELAY,
    DependencyOutage,
    until_probe_succeeds,
)
from services.common.messaging.slow_start import SlowStart
from services.transcripts.log.delivery import DeliveredEvent, Delivery, finish, in_isolation, waiting_too_long
from services.transcripts.log.recorder import Recorder
from services.transcripts.log.sequencing import FAILED, POISON, WAITING
from services.transcripts.log.subscription import Batcher, Subscription

log = structlog.get_logger()

MOST_AT_ONCE = 200  # events that are recorded together
_QUEUE = topology.TRANSCRIPTS_MESSAGES.name


class BatchHandler:
    """Handles batches one after the other. One batch is published while the next is stored."""

    def __init__(self, recorder: Recorder, batcher: Batcher, subscription: Subscription) -> None:
        """Create a handler.

        Args:
            recorder: Records the events.
            batcher: Takes back the events that wait for their chat.
            subscription: Acknowledges the deliveries that are complete.
        """
        self._recorder, self._batcher, self._subscription = recorder, batcher, subscription
        self._handling = False
        self._publishing: asyncio.Task[None] | None = None
        self._outage = asyncio.Event()  # while a batch was published
        self._requeueing: set[asyncio.Task[None]] = set()

    @property
    def at_work(self) -> bool:
        """Whether a batch is being handled or published."""
        return self._handling or (self._publishing is not None and not self._publishing.done())

    async def handle(self, deliveries: Iterable[Delivery]) -> None:
        """Handle these deliveries, and the events that wait for their chat.

        Returns when the events are stored. Their publication may still be in progress.

        Raises:
            DependencyOutage: An outage lasted too long.
        """
        self._handling = True
        try:
            events = await self._decode(deliveries)
            batch = [*self._batcher.take_waiting(), *(d for d in events if not d.delivery.redelivered)]
            for delivered in in_isolation(events, random.random):
                await self._record([delivered])
            for start in range(0, len(batch), MOST_AT_ONCE):
                await self._record(batch[start : start + MOST_AT_ONCE])
        finally:
            self._handling = False

    async def watch(self) -> None:
        """Wait until an outage lasts too long while a batch is published, and raise `DependencyOutage` then."""
        await self._outage.wait()
        raise DependencyOutage

    async def stop(self) -> None:
        """Give up the publication in progress. Its deliveries are delivered again."""
        publishing, self._publishing = self._publishing, None
        if publishing:
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        self._outage.clear()

    async def _decode(self, deliveries: Iterable[Delivery]) -> list[DeliveredEvent]:
        decoded: list[DeliveredEvent] = []
        unreadable: list[Delivery] = []
        for delivery in deliveries:
            try:
                events = delivery.decode()
            except ValidationError as error:
                problem = error.errors(include_input=False)[0]["type"]
                log.error("message_dead_lettered", queue=_QUEUE, problem=problem)
                delivery.result = POISON
                unreadable.append(delivery)
            else:
                self._subscription.queue_age.take(delivery.tag, events[0].event.occurred_at)
                decoded += events
        if unreadable:
            await self._subscription.complete(unreadable)
        return decoded

    async def _record(self, batch: Sequence[DeliveredEvent]) -> None:
        try:
            publication = await self._recorder.record(batch)
        except DependencyOutage:
            raise
        except Exception:
            if len(batch) == 1:
                self._fail(batch[0])
                return
            log.exception("batch_failed", size=len(batch))
            for delivered in batch:  # one of them fails: it must not fail the others
                await self._record([delivered])
            return
        for delivered in waiting_too_long(batch, time.monotonic()):
            await self._recorder.give_up(delivered)
        self._batcher.retry_later(d for d in batch if d.result is WAITING)
        await self._previous_published()
        recorded = [d for d in batch if d.result is not WAITING]
        self._publishing = asyncio.create_task(self._publish(recorded, publication))

    async def _previous_published(self) -> None:
        """Return when the previous batch is published.

        Raises:
            DependencyOutage: An outage lasted too long.
        """
        publishing, self._publishing = self._publishing, None
        if publishing:
            await publishing

    async def _publish(self, recorded: Sequence[DeliveredEvent], publication: asyncio.Task[None]) -> None:
        try:
            await publication
        except DependencyOutage:
            self._outage.set()
            raise
        except Exception:
            log.exception("batch_not_published", size=len(recorded))
            for delivered in recorded:
                await self._record_alone(delivered)
        else:
            await self._finish(recorded)

    async def _record_alone(self, delivered: DeliveredEvent) -> None:
        try:
            await (await self._recorder.record([delivered]))
        except DependencyOutage:
            raise
        except Exception:
            self._fail(delivered)
        else:
            await self._finish([delivered])

    async def _finish(self, events: Iterable[DeliveredEvent]) -> None:
        complete = finish(events)
        for delivery in complete:
            if delivery.poison:
                await self._recorder.requeue_singly(delivery.poison, delivery.traceparent)
        await self._subscription.complete(complete)

    def _fail(self, delivered: DeliveredEvent) -> None:
        """Requeue the delivery of this event after an unexpected error.

        It counts as an attempt, and is delayed by 1, 2, 4 … 30 s up to its limit.
        """
        delivery, delivered.result = delivered.delivery, FAILED
        if delivery.result is FAILED:
            return
        delivery.result, count = FAILED, delivery.attempts
        log.exception("message_failed", queue=_QUEUE, type=delivered.event.type, delivery_count=count)
        HANDLED.labels(_QUEUE, "dead_lettered" if count >= topology.DELIVERY_LIMIT else "given_back").inc()
        task = asyncio.create_task(self._requeue_later(delivery, min(FIRST_DELAY * 2.0**count, LONGEST_DELAY)))
        self._requeueing.add(task)
        task.add_done_callback(self._requeueing.discard)

    async def _requeue_later(self, delivery: Delivery, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._subscription.complete([delivery])


class MessageConsumer:
    """Consumes `transcripts.messages` until it is cancelled."""

    def __init__(self, url: str, recorder: Recorder, probe: Callable[[], Awaitable[object]]) -> None:
        """Create a consumer that is not connected; `run` connects it.

        Args:
            url: The address of the broker.
            recorder: Records the events.
            probe: Succeeds when the dependencies answer again after an outage.
        """
        self._probe = probe
        self._errors = UnknownErrors(_QUEUE)
        self._batcher = Batcher()
        self._subscription = Subscription(url, self._batcher, self._errors)
        self._handler = BatchHandler(recorder, self._batcher, self._subscription)

    @property
    def running(self) -> bool:
        """True while deliveries arrive on a connection that is up."""
        return self._subscription.running

    @property
    def prefetch(self) -> int:
        """The number of deliveries that may be in progress."""
        return self._subscription.prefetch

    @property
    def in_hand(self) -> int:
        """The number of deliveries of the present channel that are neither acknowledged nor rejected."""
        return self._subscription.in_hand

    @property
    def waiting_for_chat(self) -> int:
        """The number of events whose chat is not opened yet."""
        return self._batcher.waiting_for_chat

    @property
    def queue_age(self) -> Waiting:
        """The bound of the age of the oldest message."""
        return self._subscription.queue_age

    @property
    def slow_start(self) -> SlowStart:
        """The progress since this process started to consume the queue."""
        return self._subscription.slow_start

    async def caught_up(self) -> bool:
        """Return whether the queue is empty: all messages are stored, or are being processed by a replica."""
        return await self._subscription.caught_up()

    async def run(self) -> None:
        """Consume until cancelled. Call this after the topology was declared."""
        while True:
            try:
                await self._until_outage()
            except DependencyOutage:
                log.error("consumer_stopped", queue=_QUEUE, reason="dependency_outage")
                await until_probe_succeeds(self._probe)

    async def drain(self, patience: float = 10.0) -> None:
        """Stop deliveries and finish those in progress. Events whose chat is not opened yet return to the queue.

        Args:
            patience: Longest wait, in seconds.
        """
        await self._subscription.stop()
        end = time.monotonic() + patience
        while self._at_work() and time.monotonic() < end:  # noqa: ASYNC110 - a few polls
            await asyncio.sleep(0.02)
        await self._subscription.acknowledge()

    def _at_work(self) -> bool:
        return self._handler.at_work or not self._batcher.is_empty

    async def _until_outage(self) -> None:
        ours = (self._subscription.run(), self._work(), self._handler.watch(), self._errors.watch())
        tasks = [asyncio.create_task(one) for one in ours]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._handler.stop()
            self._subscription.lose()

    async def _work(self) -> None:
        while True:
            await self._handler.handle(await self._batcher.next())
            await self._subscription.widen(waiting_for_chat=self._batcher.waiting_for_chat > 0)
