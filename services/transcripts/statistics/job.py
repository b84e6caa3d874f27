"""Job that counts ended chats and left questions. One replica at a time does it (lease).

Two replicas that do it at once are harmless, and so is an interruption: the next round continues.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.common.mongo.leases import Leases
from services.transcripts.jobs.round_job import RoundJob
from services.transcripts.statistics.store import Statistics

log = structlog.get_logger()

AT_A_TIME = 200  # chats, and left questions, in one round


class StatisticsJob(RoundJob):
    """Stores the rows of what has ended since the last round, and of what was stored before there were rows."""

    name = "statistics"

    def __init__(self, statistics: Statistics, leases: Leases, clock: Callable[[], datetime]) -> None:
        super().__init__(leases, clock)
        self._statistics = statistics

    async def note_overlooked(self) -> None:
        """Find what an earlier release has ended, and remove the agents where their figures are off."""
        await self._statistics.note_overlooked(self._clock())
        if removed := await self._statistics.without_agents():
            log.info("agents_removed_from_statistics", chats=removed)

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
