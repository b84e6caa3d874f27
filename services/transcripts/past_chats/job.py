"""Job that makes the rows of chats that have ended. One replica at a time does it (lease).

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
from services.transcripts.past_chats.store import PastChats

log = structlog.get_logger()

CHECK_EVERY = 15.0  # seconds, spread at random
LEASE = 30.0  # seconds
AT_WORK = 20.0  # seconds for which full rounds follow each other
AT_A_TIME = 200  # chats in one round
OVERLOOKED_EVERY = 3_600.0  # seconds


class PastChatsJob:
    """Stores the rows of what has ended since the last round, and of what was stored before there were rows."""

    def __init__(self, past_chats: PastChats, leases: Leases, clock: Callable[[], datetime]) -> None:
        self._past_chats, self._leases, self._clock = past_chats, leases, clock
        self._searched: float | None = None

    async def run(self, prepared: Callable[[], Awaitable[object]]) -> None:
        """Do rounds until cancelled. `prepared` returns when the database has its indexes."""
        await prepared()
        while True:
            await asyncio.sleep(CHECK_EVERY * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            begin_trace()
            try:
                if await self._leases.take("past_chats", LEASE, self._clock()):
                    await self._work()
            except DEPENDENCY_ERRORS as error:
                log.warning("repair_job_failed", job="past_chats", error=type(error).__name__)
            except Exception:
                log.exception("repair_job_failed", job="past_chats")

    async def _work(self) -> None:
        began = time.monotonic()
        if self._searched is None or began - self._searched >= OVERLOOKED_EVERY:
            await self._past_chats.note_overlooked(self._clock())
            self._searched = began
        while await self.round() and time.monotonic() - began < AT_WORK:
            pass

    async def round(self) -> bool:
        """Make the rows that are missing. Return whether there may be more."""
        chats = await self._past_chats.unlisted(AT_A_TIME)
        for chat_id in chats:
            try:
                await self._past_chats.add(chat_id)
            except DEPENDENCY_ERRORS:
                raise
            except Exception:
                log.exception("not_listed", chat_id=chat_id)
                await self._past_chats.failed(chat_id)
        if chats:
            log.debug("past_chats_listed", chats=len(chats))
        return len(chats) == AT_A_TIME
