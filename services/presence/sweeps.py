"""What is told again because nothing else would: a timer's change, or a fact that was lost, has no redelivery.

Every replica sweeps; twice is harmless. A repair that the ordinary way should have made is counted and logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog
from prometheus_client import Counter

from services.consuming import BAD_DAY_ERRORS
from services.presence import sessions, store
from services.presence.availability import Agent, Seat, due
from services.presence.telling import Desk, close_session, tell_agent, tell_seat, utcnow

log = structlog.get_logger()

MARKS = 2.0  # seconds after which a mark is told again
UNCONFIRMED = 5.0  # seconds after which a claim that routing has not answered is told again
REMINDER = 60.0  # seconds between two times that every seat is told
REPAIRED = Counter("eloket_presence_repairs_total", "Things told again by a sweep", ["reason"])


async def every(seconds: float, sweep: Callable[[], Awaitable[None]]) -> None:
    """Sweeps each so many seconds until cancelled; on a bad day the next time does."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await sweep()
        except BAD_DAY_ERRORS as error:
            log.warning("sweep_failed", error=type(error).__name__)


async def run(desk: Desk) -> None:
    """All sweeps, until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(every(MARKS, lambda: tell_leaving(desk)))
        group.create_task(every(MARKS, lambda: tell_changes(desk)))
        group.create_task(every(MARKS, lambda: close_sessions(desk)))
        group.create_task(every(UNCONFIRMED, lambda: tell_unconfirmed(desk)))
        group.create_task(every(REMINDER, lambda: remind(desk)))


async def tell_leaving(desk: Desk, age: float = MARKS) -> None:
    """place.released for each seat that has been leaving for so long."""
    await _tell(desk, "leaving", age, lambda seat: seat.leaving is not None)


async def tell_unconfirmed(desk: Desk, age: float = UNCONFIRMED) -> None:
    """place.claimed for each seat that routing has not confirmed for so long."""
    await _tell(desk, "unconfirmed", age, lambda seat: seat.leaving is None and not seat.confirmed)


async def remind(desk: Desk) -> None:
    """place.claimed for each seat that is held: routing answers with the chat's state, which frees one that is over."""
    for agent in await store.seated(desk.db):
        for seat in agent.seats:
            await tell_seat(desk, agent, seat)


async def tell_changes(desk: Desk, age: float = MARKS) -> None:
    """agent.changed for each change that is marked as untold for so long."""
    for agent in await store.untold(desk.db, utcnow() - timedelta(seconds=age)):
        _repaired("untold", agent)
        await tell_agent(desk, agent.id)


async def close_sessions(desk: Desk, age: float = MARKS) -> None:
    """What follows from the end of each session that ended or expired so long ago."""
    for session in await sessions.over(desk.db, utcnow(), age):
        REPAIRED.labels("session_over").inc()
        log.info("session_closed_by_sweep", agent_id=session.agent_id)
        await close_session(desk, session)


async def _tell(desk: Desk, reason: str, age: float, concerned: Callable[[Seat], bool]) -> None:
    for agent in await store.seated(desk.db):
        for seat in due(filter(concerned, agent.seats), utcnow(), age):
            _repaired(reason, agent, seat.chat_id)
            await tell_seat(desk, agent, seat)


def _repaired(reason: str, agent: Agent, chat_id: str | None = None) -> None:
    REPAIRED.labels(reason).inc()
    log.info("told_again_by_sweep", reason=reason, agent_id=agent.id, chat_id=chat_id)
