"""Acts on left questions and the access log: each act is logged once it is stored, by the request or by the job.

A process that dies between the two leaves the entry with the question, where the job finds it. An entry that was
logged and not removed is logged twice, which is harmless.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from services.common.mongo.leases import Leases
from services.transcripts.access_log.store import AccessLog
from services.transcripts.jobs.round_job import RoundJob
from services.transcripts.questions.store import Questions

log = structlog.get_logger()

AT_A_TIME = 100  # questions in one round
LATE = timedelta(seconds=10)  # after an act; its request is over by then


async def log_act(questions: Questions, access_log: AccessLog, question_id: str, entry_id: str) -> None:
    """Log the act on a question with which this entry was stored, unless the log has it.

    Raises:
        PyMongoError: The database does not answer; the job logs the act later.
    """
    if (entry := await questions.unlogged(question_id, entry_id)) is not None:
        await access_log.record(entry.access)
        await questions.logged(question_id, entry_id)


class UnloggedActs(RoundJob):
    """Logs acts on left questions whose requests were interrupted before they were logged."""

    name = "question acts"

    def __init__(
        self, questions: Questions, access_log: AccessLog, leases: Leases, clock: Callable[[], datetime]
    ) -> None:
        super().__init__(leases, clock)
        self._questions, self._access_log = questions, access_log

    async def note_overlooked(self) -> None:
        """Do nothing: an earlier release stores no such entries."""

    async def round(self) -> bool:
        """Log what is late. Return whether there may be more."""
        late = await self._questions.overdue(self._clock() - LATE, AT_A_TIME)
        for question_id, entry in late:
            await self._access_log.record(entry.access)
            await self._questions.logged(question_id, entry.id)
            log.warning("question_act_logged_late", chat_id=question_id, act=entry.access.act)
        return len({question_id for question_id, _ in late}) == AT_A_TIME
