"""Timers of inactivity. They run in every replica, because a repetition is harmless.

A chat that is due stays marked (its `silence_at` is in the past) until the event is published: after a crash in between
the next replica continues. The rules are in `rules.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime

import structlog

from services.common.events.chats import CloseRequested
from services.common.events.event import Event
from services.common.events.messages import CitizenSilent
from services.common.events.types import CloseReason
from services.common.messaging.publisher import Publisher
from services.common.observability.tracing import begin_trace
from services.transcripts import metrics
from services.transcripts.inactivity.rules import Check, Limits, Step, Watched, check
from services.transcripts.jobs.timer_loop import check_for_ever
from services.transcripts.log.store import Store

log = structlog.get_logger()

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
        await check_for_ever("silences", self.check_due)

    async def check_due(self) -> None:
        """Check each chat that is due once, the longest due first."""
        if not await self.well():
            return
        for chat in await self.store.due_chats(self.clock(), AT_A_TIME):
            begin_trace(chat_id=chat.chat_id)
            await self._check(chat)

    async def _check(self, chat: Watched) -> None:
        result = check(await self.store.last(chat.chat_id), chat, self.limits, self.clock())
        if event := _event(chat.chat_id, result):
            await self.publisher.publish(event)
        if await self.store.set_next_check(chat, result.next_at, result.inactivity) and result.step and result.new:
            metrics.INACTIVITY.labels(result.step.value).inc()
            log.info("citizen_silent", step=result.step.value)


def _event(chat_id: str, result: Check) -> Event | None:
    """Return the event of a check, if any."""
    inactivity = result.inactivity
    if result.step is None or inactivity is None:
        return None
    if result.step is Step.CLOSED:
        return CloseRequested(chat_id=chat_id, by=CloseReason.INACTIVE)
    return CitizenSilent(
        chat_id=chat_id, warning=inactivity.warning, since=inactivity.since, closes_at=inactivity.closes_at
    )
