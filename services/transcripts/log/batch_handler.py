"""Handler of a batch: decode, record, publish, finish. One event that fails affects no other event."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterable, Sequence

import structlog
from pydantic import ValidationError

from services.common.messaging import topology
from services.common.messaging.consumer import FIRST_DELAY, HANDLED, LONGEST_DELAY, DependencyOutage
from services.transcripts.log.batcher import Batcher
from services.transcripts.log.delivery import DeliveredEvent, Delivery, finish, in_isolation, waiting_too_long
from services.transcripts.log.recorder import Recorder
from services.transcripts.log.results import FAILED, POISON, WAITING
from services.transcripts.log.subscription import Subscription

log = structlog.get_logger()

MOST_AT_ONCE = 200  # events that are recorded together
QUEUE = topology.TRANSCRIPTS_MESSAGES.name


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
                log.error("message_dead_lettered", queue=QUEUE, problem=problem)
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
        log.exception("message_failed", queue=QUEUE, type=delivered.event.type, delivery_count=count)
        HANDLED.labels(QUEUE, "dead_lettered" if count >= topology.DELIVERY_LIMIT else "given_back").inc()
        task = asyncio.create_task(self._requeue_later(delivery, min(FIRST_DELAY * 2.0**count, LONGEST_DELAY)))
        self._requeueing.add(task)
        task.add_done_callback(self._requeueing.discard)

    async def _requeue_later(self, delivery: Delivery, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._subscription.complete([delivery])
