"""Courier of one target: claims its deliveries, attempts them, and notes what came of each.

All replicas share the work: each claims what is due. Every target has a courier of its own, so that a slow one delays
no other. Deliveries to one target overlap, and a failed one is tried later: their order is not kept.

How a delivery is made is for the sender of the target: a webhook, a register of contacts, or mail. One that takes
several deliveries in one attempt gets what waits together, from one replica at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.common.observability.tracing import begin_trace
from services.transcripts import metrics
from services.transcripts.outbox.rules import Circuit, Outcome, Verdict, pause_after
from services.transcripts.outbox.store import Delivery, Outbox

log = structlog.get_logger()

LOOKED_UP = 50  # deliveries
AT_ONCE = 4  # deliveries of one target in this process
CHECK_EVERY = 3.0  # seconds, spread at random: another replica may have added something, or a pause has ended
MEASURE_EVERY = 30.0  # seconds
DRAIN_LIMIT = 3.0  # seconds
LEASES = 3  # attempts' time for which a delivery is claimed
TURN = 5.0  # seconds for which one replica alone claims what goes together
Turn = Callable[[float], Awaitable[bool]]


class Sender(Protocol):
    """Attempts deliveries to one target."""

    async def send(self, deliveries: Sequence[Delivery]) -> Outcome:
        """Send these deliveries. Return what came of all of them.

        Raises:
            PyMongoError: The database, from which a sender may read, does not answer.
        """
        ...


class Courier:
    """Delivers to one target."""

    def __init__(
        self,
        target: str,
        outbox: Outbox,
        sender: Sender,
        limit: float,
        clock: Callable[[], datetime],
        together: int = 1,
        turn: Turn | None = None,
    ) -> None:
        """Create a courier.

        Args:
            target: The target.
            outbox: The outbox.
            sender: Attempts deliveries.
            limit: Seconds that an attempt takes at most.
            clock: Returns the present in whole milliseconds.
            together: So many deliveries go into one attempt, at most.
            turn: Returns whether this replica may claim deliveries that go together, for so many seconds.
        """
        self.target = target
        self._outbox, self._sender, self._clock = outbox, sender, clock
        self._together, self._turn = together, turn
        self._lease = timedelta(seconds=LEASES * limit)
        self._circuit = Circuit()
        self._free = asyncio.Semaphore(AT_ONCE if together == 1 else 1)
        self._claiming = asyncio.Lock()  # until what was claimed is in `_running`
        self._running: set[asyncio.Task[None]] = set()
        self._candidates: deque[str] = deque()
        self._wake = asyncio.Event()
        self._measured: float | None = None
        self._stopping = False

    def wake(self) -> None:
        """Note that something may be due."""
        self._wake.set()

    async def run(self, prepared: Callable[[], Awaitable[object]]) -> None:
        """Deliver until cancelled. `prepared` returns when the database has its indexes."""
        await prepared()
        metrics.OUTBOX_CIRCUIT.labels(self.target).set(0)
        try:
            while True:
                self._wake.clear()
                begin_trace()
                await self._round()
                await self._pause()
        finally:
            for task in self._running:
                task.cancel()  # what it delivers is due again when its claim ends

    async def _round(self) -> None:
        try:
            await self._measure()
            while not self._stopping and await self.deliver_next():
                pass
        except DEPENDENCY_ERRORS as error:
            log.warning("repair_job_failed", job="outbox", error=type(error).__name__)
        except Exception:
            log.exception("repair_job_failed", job="outbox")

    async def _pause(self) -> None:
        seconds = max(CHECK_EVERY * random.uniform(0.5, 1.5), self._rest())  # noqa: S311 - jitter, no secret
        if self._circuit.is_open:
            await asyncio.sleep(seconds)
            return
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return

    def _rest(self) -> float:
        return self._circuit.rests_for(time.monotonic())

    async def deliver_next(self) -> bool:
        """Claim a delivery and begin to attempt it. Return False when none is due, or the target rests.

        While the circuit is open one attempt is made at a time, and waited for.
        """
        if self._rest():
            return False
        await self._free.acquire()
        async with self._claiming:
            try:
                # meanwhile a failure may have opened the circuit, or the process may end
                deliveries = [] if self._rest() or self._stopping else await self._claim()
            except BaseException:
                self._free.release()
                raise
            if not deliveries:
                self._free.release()
                return False
            task = asyncio.create_task(self._attempt(deliveries))
            self._running.add(task)
            task.add_done_callback(self._ended)
        if self._circuit.is_open:
            await asyncio.wait([task])
        return True

    async def _claim(self) -> list[Delivery]:
        """Claim what is due the longest, and what goes with it. Return nothing when nothing is due.

        Several are looked up at a time; other replicas look up the same.
        """
        while True:
            if not self._candidates:
                self._candidates.extend(await self._outbox.due(self.target, self._clock(), LOOKED_UP))
            if not self._candidates:
                return []
            if self._turn and not await self._turn(TURN):
                self._candidates.clear()
                return []
            first = await self._outbox.claim(self._candidates.popleft(), self._clock(), self._lease)
            if first is None:
                continue
            found = [first]
            if self._together > 1:
                self._candidates.clear()
                found += await self._outbox.claim_waiting(self.target, self._clock(), self._lease, self._together - 1)
            return found

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._free.release()

    async def _attempt(self, deliveries: Sequence[Delivery]) -> None:
        begin_trace()
        try:
            await self._note(deliveries, await self._sender.send(deliveries))
        except DEPENDENCY_ERRORS as error:  # they are due again when their claim ends
            notices = [delivery.notice for delivery in deliveries]
            log.warning("outbox_not_noted", target=self.target, notices=notices, error=type(error).__name__)
        except Exception:
            log.exception("outbox_attempt_crashed", target=self.target, notices=[d.notice for d in deliveries])

    async def _note(self, deliveries: Sequence[Delivery], outcome: Outcome) -> None:
        if outcome.verdict is Verdict.DELIVERED:
            if self._circuit.delivered():
                metrics.OUTBOX_CIRCUIT.labels(self.target).set(0)
                log.info("outbox_circuit_closed", target=self.target)
                self.wake()
        elif self._circuit.failed(time.monotonic(), random.random()):  # noqa: S311 - jitter, no secret
            metrics.OUTBOX_CIRCUIT.labels(self.target).set(1)
            log.warning("outbox_circuit_opened", target=self.target, cause=outcome.cause)
        attempts = max(delivery.attempts for delivery in deliveries)
        pause = pause_after(attempts, random.random(), outcome.retry_after)  # noqa: S311 - jitter, no secret
        for delivery in deliveries:
            await self._note_one(delivery, outcome, pause)

    async def _note_one(self, delivery: Delivery, outcome: Outcome, pause: timedelta) -> None:
        about = {"target": self.target, "type": delivery.type, "notice": delivery.notice}
        now = self._clock()
        if outcome.verdict is Verdict.DELIVERED:
            await self._outbox.delivered(delivery, now)
            metrics.OUTBOX_ATTEMPTS.labels(self.target, "delivered").inc()
            log.info("outbox_delivered", **about, attempts=delivery.attempts)
            return
        if outcome.verdict is Verdict.HOPELESS or self._outbox.is_late(delivery, now):
            await self._outbox.give_up(delivery, outcome.cause, now)
            metrics.OUTBOX_ATTEMPTS.labels(self.target, "dead").inc()
            log.error("outbox_gave_up", **about, cause=outcome.cause, attempts=delivery.attempts)
            return
        await self._outbox.failed(delivery, outcome.cause, now + pause, now)
        metrics.OUTBOX_ATTEMPTS.labels(self.target, "failed").inc()
        log.warning("outbox_attempt_failed", **about, cause=outcome.cause, attempts=delivery.attempts)

    async def _measure(self) -> None:
        """Set the metrics of what waits, and give up what is too old, from time to time."""
        began = time.monotonic()
        if self._measured is not None and began - self._measured < MEASURE_EVERY:
            return
        self._measured, now, target = began, self._clock(), self.target
        if dead := await self._outbox.give_up_old(target, now):
            metrics.OUTBOX_ATTEMPTS.labels(target, "dead").inc(dead)
            log.error("outbox_gave_up", target=target, deliveries=dead)
        backlog = await self._outbox.backlog(target)
        age = (now - backlog.oldest).total_seconds() if backlog.oldest else 0.0
        metrics.OUTBOX_DUE.labels(target).set(backlog.due)
        metrics.OUTBOX_AGE.labels(target).set(max(0.0, age))
        metrics.OUTBOX_DEAD.labels(target).set(backlog.dead)

    async def drain(self) -> None:
        """Claim nothing more, and let the attempts that were begun end, for a short time."""
        self._stopping = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DRAIN_LIMIT):
                async with self._claiming:
                    pass
                if self._running:
                    await asyncio.wait(set(self._running))
