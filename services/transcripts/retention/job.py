"""Job that deletes what is older than its retention period. One replica at a time does it (lease).

Two replicas that do it at once are harmless, and so is an interruption: the next round continues. A round deletes a
bounded number, and the next one follows soon when it was not enough.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from services.common.config.departments import Departments
from services.common.config.retention import PARTS
from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.common.mongo.leases import Leases
from services.common.observability.tracing import begin_trace
from services.transcripts import metrics
from services.transcripts.access_log.store import AccessLog
from services.transcripts.retention.store import Erasures

log = structlog.get_logger()

CHECK_EVERY = 600.0  # seconds, spread at random
CONTINUE_AFTER = 5.0  # seconds, when the last round was full
LEASE = 60.0  # seconds
AT_A_TIME = 200  # chats of one department and category in one round


class RetentionJob:
    """Deletes expired conversations, parts of conversations, left questions and counts."""

    def __init__(
        self,
        erasures: Erasures,
        leases: Leases,
        departments: Departments,
        clock: Callable[[], datetime],
        access_log: AccessLog,
    ) -> None:
        self._access_log = access_log
        self._erasures, self._leases, self._departments, self._clock = erasures, leases, departments, clock

    async def run(self, prepared: Callable[[], Awaitable[object]]) -> None:
        """Do rounds until cancelled. `prepared` returns when the database has its indexes."""
        self.announce()
        await prepared()
        pause = CONTINUE_AFTER
        while True:
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            begin_trace()
            pause = CHECK_EVERY
            try:
                if await self._leases.take("retention", LEASE, self._clock()) and await self.round():
                    pause = LEASE + CONTINUE_AFTER
                if last := await self._erasures.last_run():
                    metrics.RETENTION_RUN.set(last.timestamp())
            except DEPENDENCY_ERRORS as error:
                log.warning("repair_job_failed", job="retention", error=type(error).__name__)
            except Exception:
                log.exception("repair_job_failed", job="retention")

    def announce(self) -> None:
        """Log a warning for the departments whose periods are not confirmed, and set their metric."""
        confirmed = {d.id: self._departments.periods(d.id).confirmed for d in self._departments.departments}
        metrics.RETENTION_CONFIRMED.clear()  # a department may be gone
        for department, is_confirmed in confirmed.items():
            metrics.RETENTION_CONFIRMED.labels(department).set(is_confirmed)
        if open_ := [department for department, is_confirmed in confirmed.items() if not is_confirmed]:
            log.warning("retention_not_confirmed", departments=open_)

    async def round(self) -> bool:
        """Delete what is due, and record the round. Return whether there may be more."""
        now, deleted, full = self._clock(), dict[str, int](), False
        for chat_id in await self._erasures.interrupted(AT_A_TIME):
            await self._erasures.erase(chat_id, "period", now)
        for chat_id in await self._erasures.late(now, AT_A_TIME):
            if late := await self._erasures.erase_again(chat_id, now):
                log.warning("late_writes_deleted", chat_id=chat_id, documents=late)
        for department in await self._erasures.departments():
            for category, number in (await self._of_department(department, now)).items():
                deleted[category] = deleted.get(category, 0) + number
                full = full or number >= AT_A_TIME
        if (general := self._departments.general_periods()).confirmed:
            deleted["statistics"] = await self._erasures.forget(now - general.statistics)
            await self._erasures.without_agents_of_pauses(now - general.conversation)
            deleted["access_log"] = await self._access_log.prune(now - general.access_log)
        head = await self._access_log.head()
        log.info("access_log_head", seq=head.seq, hash=head.hash)
        await self._erasures.ran(now)
        for category, number in deleted.items():
            metrics.RETENTION_DELETED.labels(category).inc(number)
        if any(deleted.values()):
            log.info("retention_deleted", **{category: n for category, n in deleted.items() if n})
        return full

    async def _of_department(self, department: str, now: datetime) -> dict[str, int]:
        """Delete what is due in a department. Return how many chats lost something, by category."""
        erasures, periods = self._erasures, self._departments.periods(department)
        left_before, done_before = now - periods.questions, now - periods.answered_questions
        questions = await erasures.delete_questions(department, left_before, done_before, now, AT_A_TIME)
        deleted = {"questions": questions}
        if not periods.confirmed:
            return deleted
        for part in PARTS:
            if periods.of_part(part) < periods.conversation:
                chats = await erasures.expired_part(part, department, now - periods.of_part(part), now, AT_A_TIME)
                for chat_id in chats:
                    await erasures.delete_part(part, chat_id, department, now)
                deleted[part] = len(chats)
        chats = await erasures.expired(department, now - periods.conversation, now, AT_A_TIME)
        for chat_id in chats:
            await erasures.erase(chat_id, "period", now)
        deleted["conversation"] = len(chats)
        return deleted
