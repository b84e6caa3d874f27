"""What routing does on each fact: the rule, one write, and the facts that follow, before it is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import structlog
from structlog.contextvars import bind_contextvars

from services.contracts import (
    ChatAccepted,
    ChatOpened,
    CitizenArrived,
    CloseReason,
    CloseRequested,
    Fact,
    PlaceClaimed,
    PlaceReleased,
    PlacesChanged,
    TransferRefused,
)
from services.routing import assignment, overflow, transfers
from services.routing.chat import Chat
from services.routing.counting import repaired
from services.routing.desk import Desk

log = structlog.get_logger()
STALE = timedelta(seconds=30)  # a silence that was told so long ago may be over; while it lasts it is told again


def handler(desk: Desk) -> Callable[[Fact], Awaitable[None]]:
    """Handles every fact of both of routing's queues; idempotent, and indifferent to order, repetition and age."""

    async def handle(fact: Fact) -> None:
        if not isinstance(fact, PlacesChanged):
            bind_contextvars(chat_id=getattr(fact, "chat_id", None))
        match fact:
            case ChatOpened():
                await _opened(desk, fact)
            case CitizenArrived():
                await desk.store.change(fact.chat_id, assignment.arrived)
            case ChatAccepted():
                await _accepted(desk, fact)
            case CloseRequested():
                await _close_requested(desk, fact)
            case PlaceClaimed():
                await _claimed(desk, fact)
            case PlaceReleased():
                await _released(desk, fact)
            case TransferRefused():
                await _refused(desk, fact)
            case PlacesChanged():
                await desk.queue.places_changed(fact)
                await overflow.fill(desk, fact.department)
            case _:
                log.warning("fact_not_for_routing", type=fact.type)

    return handle


async def _opened(desk: Desk, fact: ChatOpened) -> None:
    now = desk.clock()
    new = Chat(fact.chat_id)
    before, after = await desk.store.change(
        fact.chat_id, lambda c: assignment.opened(c, fact, now, desk.limits.automatic), known=new
    )
    desk.telling.record(before, after)
    if after.waits and after.rev == 1:
        await asyncio.gather(desk.queue.opened(after), desk.telling.state(after))
    else:
        await _tell_and_ask(desk, after, before.waits or after.waits)


async def _accepted(desk: Desk, fact: ChatAccepted) -> None:
    now = desk.clock()
    before, after = await desk.store.change(
        fact.chat_id, lambda c: assignment.accepted(c, fact.agent_id, now, fact.turn)
    )
    desk.telling.record(before, after)
    await desk.telling.state(after)  # also when nothing changed: the one before may have died before it told it


async def _close_requested(desk: Desk, fact: CloseRequested) -> None:
    if fact.block and fact.by is CloseReason.AGENT:  # first: closing may send the citizen to the button again
        await desk.admission.block(fact.chat_id, fact.agent_id, fact.block, fact.occurred_at)
    before, after = await desk.store.change(fact.chat_id, _closing(fact, desk.clock()))
    desk.telling.record(before, after, why="asked")
    await desk.keep_pace(before, after)
    await _tell_and_ask(desk, after, before.waits)


def _closing(fact: CloseRequested, now: datetime) -> Callable[[Chat], Chat]:
    match fact.by:
        case CloseReason.AGENT:
            return lambda c: assignment.closed_by_agent(c, fact.agent_id, now)
        case CloseReason.INACTIVE if now - fact.occurred_at > STALE:
            return lambda c: c
        case CloseReason.INACTIVE:
            return lambda c: assignment.closed_by_silence(c, now)
        case _:
            return lambda c: assignment.closed(c, fact.by, now)


async def _claimed(desk: Desk, fact: PlaceClaimed) -> None:
    now = desk.clock()
    before, after = await desk.store.change(
        fact.chat_id,
        lambda c: assignment.claimed(
            c, fact.turn, fact.agent_id, fact.agent_name, now, fact.choice, desk.limits.automatic
        ),
    )
    if before.state is None and after.closed:
        repaired("unknown_chat", agent_id=fact.agent_id, turn=fact.turn)
    desk.telling.record(before, after, why="unknown")
    await _tell_and_ask(desk, after, True)


async def _released(desk: Desk, fact: PlaceReleased) -> None:
    now = desk.clock()
    before, after = await desk.store.change(
        fact.chat_id, lambda c: assignment.released(c, fact.turn, fact.agent_id, now)
    )
    if before.state is None and after.closed:
        repaired("unknown_chat", agent_id=fact.agent_id, turn=fact.turn)
    desk.telling.record(before, after, why=fact.reason.value)
    await _tell_and_ask(desk, after, after.waits)


async def _refused(desk: Desk, fact: TransferRefused) -> None:
    now = desk.clock()
    before, after = await desk.store.change(
        fact.chat_id, lambda c: transfers.refused(c, fact.agent_id, fact.event_id, now, desk.limits)
    )
    desk.telling.record(before, after, why="refused")
    await _tell_and_ask(desk, after, after.waits)


async def _tell_and_ask(desk: Desk, chat: Chat, ask: bool) -> None:
    """The state is told whether it changed or not, and who is next in line asks at the same time."""
    if ask and chat.department:
        await asyncio.gather(desk.telling.state(chat), desk.queue.ask(chat.department))
    else:
        await desk.telling.state(chat)
