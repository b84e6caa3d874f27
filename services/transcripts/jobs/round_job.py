"""Job that works in rounds, such as counting or signing what has ended. One replica at a time does it (lease).

Two replicas that do it at once are harmless, and so is an interruption: the next round continues.
"""

from __future__ import annotations

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.common.mongo.leases import Leases
from services.common.observability.tracing import begin_trace

log = structlog.get_logger()

LEASE = 30.0  # seconds
AT_WORK = 20.0  # seconds for which full rounds follow each other
OVERLOOKED_EVERY = 3_600.0  # seconds


class RoundJob(ABC):
    """Does rounds until cancelled, and each hour looks for what an earlier release has left out.

    Attributes:
        name: The name of the lease, and of the job in the log.
        check_every: Seconds between two looks for work, spread at random.
    """

    name: str
    check_every: float = 15.0

    def __init__(self, leases: Leases, clock: Callable[[], datetime]) -> None:
        self._leases, self._clock = leases, clock
        self._searched: float | None = None

    async def run(self, prepared: Callable[[], Awaitable[object]]) -> None:
        """Do rounds until cancelled. `prepared` returns when the database has its indexes."""
        await prepared()
        while True:
            await asyncio.sleep(self.check_every * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            begin_trace()
            try:
                await self.measure()
                if await self._leases.take(self.name, LEASE, self._clock()):
                    await self._work()
            except DEPENDENCY_ERRORS as error:
                log.warning("repair_job_failed", job=self.name, error=type(error).__name__)
            except Exception:
                log.exception("repair_job_failed", job=self.name)

    async def _work(self) -> None:
        began = time.monotonic()
        if self._searched is None or began - self._searched >= OVERLOOKED_EVERY:
            await self.note_overlooked()
            self._searched = began
        while await self.round() and time.monotonic() - began < AT_WORK:
            pass

    async def measure(self) -> None:
        """Export how far the job is behind. Every replica does it, so that one that stands still is noticed too."""
        return None

    @abstractmethod
    async def note_overlooked(self) -> None:
        """Find what an earlier release has ended or stored during a rolling update."""

    @abstractmethod
    async def round(self) -> bool:
        """Do what is not done yet, at most so much. Return whether there may be more."""
