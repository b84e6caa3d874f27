"""Consumer of `transcripts.messages`. It takes batches, which form while the previous batch is being written.

A message passes these modules in this order: `subscription.py` receives it, `batcher.py` adds it to a batch,
`batch_handler.py` decodes its events (`delivery.py`), `recorder.py` creates their entries (`entry_factory.py`),
`writer.py` stores these (`sequencing.py`, `store.py`), `recorder.py` publishes the events that follow
(`publisher.py`), and `acknowledger.py` acknowledges it.

The guarantees are those of `common/messaging/consumer.py`: a poison message is dead-lettered alone, outages are waited
out in place, the start is slow, and the acknowledgement comes last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from services.common.messaging.consumer import DependencyOutage, until_probe_succeeds
from services.common.messaging.errors import UnknownErrors
from services.common.messaging.queue_metrics import Waiting
from services.common.messaging.slow_start import SlowStart
from services.transcripts.log.batch_handler import BatchHandler
from services.transcripts.log.batcher import Batcher
from services.transcripts.log.recorder import Recorder
from services.transcripts.log.subscription import QUEUE, Subscription

log = structlog.get_logger()


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
        self._errors = UnknownErrors(QUEUE.name)
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
                log.error("consumer_stopped", queue=QUEUE.name, reason="dependency_outage")
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
