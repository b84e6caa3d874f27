"""Job that signs the ends of chats. One replica at a time does it (lease).

A chat that is downloaded before is signed then. Two replicas that sign one at once are harmless: the first signature
stays.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog

from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.common.mongo.leases import Leases
from services.transcripts import metrics
from services.transcripts.evidence.store import Chains
from services.transcripts.jobs.round_job import RoundJob

log = structlog.get_logger()

AT_A_TIME = 100  # chats in one round


class SigningJob(RoundJob):
    """Signs what has ended since the last round."""

    name = "signing"
    check_every = 5.0

    def __init__(self, chains: Chains, leases: Leases, clock: Callable[[], datetime]) -> None:
        super().__init__(leases, clock)
        self._chains = chains

    async def measure(self) -> None:
        """Export since when the chat has ended that waits longest for its signature."""
        oldest = await self._chains.unsigned_since()
        metrics.UNSIGNED_AGE.set(max(0.0, (self._clock() - oldest).total_seconds()) if oldest else 0.0)

    async def note_overlooked(self) -> None:
        """Find the chats that an earlier release has ended."""
        await self._chains.note_overlooked()

    async def round(self) -> bool:
        """Sign what is not signed. Return whether there may be more."""
        chats = await self._chains.unsigned(AT_A_TIME)
        for chat_id in chats:
            try:
                await self._chains.sign(chat_id)
            except DEPENDENCY_ERRORS:
                raise
            except Exception:  # one that cannot be signed does not keep the others from it
                log.exception("not_signed", chat_id=chat_id)
        return len(chats) == AT_A_TIME
