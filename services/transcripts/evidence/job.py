"""Job that signs the ends of chats. One replica at a time does it (lease).

A chat that is downloaded before is signed then. Two replicas that sign one at once are harmless: the first signature
stays.
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
from services.transcripts.evidence.store import Chains

log = structlog.get_logger()

CHECK_EVERY = 5.0  # seconds, spread at random
LEASE = 30.0  # seconds
AT_WORK = 20.0  # seconds for which full rounds follow each other
AT_A_TIME = 100  # chats in one round
OVERLOOKED_EVERY = 3_600.0  # seconds


class SigningJob:
    """Signs what has ended since the last round."""

    def __init__(self, chains: Chains, leases: Leases, clock: Callable[[], datetime]) -> None:
        self._chains, self._leases, self._clock = chains, leases, clock
        self._searched: float | None = None

    async def run(self, prepared: Callable[[], Awaitable[object]]) -> None:
        """Do rounds until cancelled. `prepared` returns when the database has its indexes."""
        await prepared()
        while True:
            await asyncio.sleep(CHECK_EVERY * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, no secret
            begin_trace()
            try:
                if await self._leases.take("signing", LEASE, self._clock()):
                    await self._work()
            except DEPENDENCY_ERRORS as error:
                log.warning("repair_job_failed", job="signing", error=type(error).__name__)
            except Exception:
                log.exception("repair_job_failed", job="signing")

    async def _work(self) -> None:
        began = time.monotonic()
        if self._searched is None or began - self._searched >= OVERLOOKED_EVERY:
            await self._chains.note_overlooked()
            self._searched = began
        while await self.round() and time.monotonic() - began < AT_WORK:
            pass

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
