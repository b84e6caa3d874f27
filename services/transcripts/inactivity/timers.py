"""Timers of inactivity. They run in every replica, because a repetition is harmless.

A chat that is due stays marked (its `silence_at` is in the past) until the event is published: after a crash in between
the next replica continues. The rules are in `rules.py`.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from services.common.events.chats import CloseRequested
from services.common.events.event import Event
from services.common.events.messages import CitizenSilent
from services.common.events.types import CloseReason
from services.common.messaging.connection import Publisher
from services.common.messaging.consumer import DEPENDENCY_ERRORS
from services.common.observability.tracing import begin_trace
from services.transcripts import metrics
from services.transcripts.inactivity.rules import Limits, Look, Step, Watched, look
from services.transcripts.log.store import Store

log = structlog.get_logger()

LOOK_EVERY = 1.0  # seconds
AT_A_TIME = 200  # chats in one round


@dataclass(frozen=True)
class InactivityTimers:
    """Warns inactive citizens, then requests the closing. `well`: whether all messages until now are being stored."""

    store: Store
    publisher: Publisher
    limits: Limits
    clock: Callable[[], datetime]
    well: Callable[[], Awaitable[bool]]

    async def run(self) -> None:
        """Check until cancelled. A round that fails because of an outage is repeated."""
        while True:
            await asyncio.sleep(LOOK_EVERY * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
            begin_trace()
            try:
                await self.check_due()
            except DEPENDENCY_ERRORS as error:
                log.warning("repair_job_failed", job="silences", error=type(error).__name__)
            except Exception:
                log.exception("repair_job_failed", job="silences")

    async def check_due(self) -> None:
        """Check each chat that is due once, the longest due first."""
        if not await self.well():
            return
        for chat in await self.store.due_chats(self.clock(), AT_A_TIME):
            begin_trace(chat_id=chat.chat_id)
            await self._look(chat)

    async def _look(self, chat: Watched) -> None:
        found = look(await self.store.last(chat.chat_id), chat, self.limits, self.clock())
        if event := _event(chat.chat_id, found):
            await self.publisher.publish(event)
        if await self.store.look_again(chat, found.again, found.told) and found.step and found.new:
            metrics.SILENCES.labels(found.step.value).inc()
            log.info("citizen_silent", step=found.step.value)


def _event(chat_id: str, found: Look) -> Event | None:
    """Return the event of a check, if any."""
    if found.step is None or found.told is None:
        return None
    if found.step is Step.CLOSED:
        return CloseRequested(chat_id=chat_id, by=CloseReason.INACTIVE)
    told = found.told
    return CitizenSilent(chat_id=chat_id, warning=told.warning, since=told.since, closes_at=told.closes_at)
