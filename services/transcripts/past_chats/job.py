"""Job that makes the rows of chats that have ended. One replica at a time does it (lease).

Two replicas that do it at once are harmless, and so is an interruption: the next round continues.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.common.mongo.leases import Leases
from services.transcripts.jobs.round_job import RoundJob
from services.transcripts.past_chats.store import PastChats

log = structlog.get_logger()

AT_A_TIME = 200  # chats in one round


class PastChatsJob(RoundJob):
    """Stores the rows of what has ended since the last round, and of what was stored before there were rows."""

    name = "past_chats"

    def __init__(self, past_chats: PastChats, leases: Leases, clock: Callable[[], datetime]) -> None:
        super().__init__(leases, clock)
        self._past_chats = past_chats

    async def note_overlooked(self) -> None:
        """Find the chats that an earlier release has ended, and rows of another policy."""
        await self._past_chats.note_overlooked(self._clock())

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
