"""Job that counts ended chats and left questions. One replica at a time does it (lease).

Two replicas that do it at once are harmless, and so is an interruption: the next round continues.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.common.mongo.leases import Leases
from services.common.observability.tracing import begin_trace
from services.transcripts.statistics.store import Statistics

log = structlog.get_logger()

CHECK_EVERY = 15.0  # seconds, spread at random
LEASE = 30.0  # seconds
AT_WORK = 20.0  # seconds for which full rounds follow each other
AT_A_TIME = 200  # chats, and left questions, in one round
OVERLOOKED_EVERY = 3_600.0  # seconds


class StatisticsJob:
    """Stores the rows of what has ended since the last round, and of what was stored before there were rows."""

    def __init__(self, statistics: Statistics, leases: Leases, clock: Callable[[], datetime]) -> None:
        self._statistics, self._leases, self._clock = statistics, leases, clock
        self._searched: float | None = None

    async def run(self, prepared: Callable[[], Awaitable[object]]) -> None:
        """Do rounds until cancelled. `prepared` returns when the database has its indexes."""
        await prepared()
        while True:
            await asyncio.sleep(CHECK_EVERY * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            begin_trace()
            try:
                if await self._leases.take("statistics", LEASE, self._clock()):
                    await self._work()
            except DEPENDENCY_ERRORS as error:
                log.warning("repair_job_failed", job="statistics", error=type(error).__name__)
            except Exception:
                log.exception("repair_job_failed", job="statistics")

    async def _work(self) -> None:
        began = time.monotonic()
        if self._searched is None or began - self._searched >= OVERLOOKED_EVERY:
            await self._statistics.note_overlooked(self._clock())
            if removed := await self._statistics.without_agents():
                log.info("agents_removed_from_statistics", chats=removed)
            self._searched = began
        while await self.round() and time.monotonic() - began < AT_WORK:
            pass

    async def round(self) -> bool:
        """Count what is not counted. Return whether there may be more."""
        chats, questions = await self._statistics.uncounted(AT_A_TIME)
        for chat_id in chats:
            await self._alone(chat_id, self._statistics.count_chat(chat_id))
        for question in questions:
            await self._alone(question["_id"], self._statistics.count_question(question))
        if chats or questions:
            log.debug("statistics_counted", chats=len(chats), questions=len(questions))
        return AT_A_TIME in (len(chats), len(questions))

    async def _alone(self, number: str, counting: Awaitable[None]) -> None:
        """Count one. What cannot be counted does not keep the others from it."""
        try:
            await counting
        except DEPENDENCY_ERRORS:
            raise
        except Exception:
            log.exception("not_counted", chat_id=number)
