"""What routing does on each fact: the rule, one write, and the facts that follow, before it is acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

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
)
from services.routing import assignment
from services.routing.chat import Chat
from services.routing.queue import Queue
from services.routing.store import Store
from services.routing.telling import Telling

log = structlog.get_logger()


@dataclass(frozen=True)
class Desk:
    """What handling a fact needs."""

    store: Store
    queue: Queue
    telling: Telling
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)


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
            case PlacesChanged():
                await desk.queue.places_changed(fact)
            case _:
                log.warning("fact_not_for_routing", type=fact.type)

    return handle


async def _opened(desk: Desk, fact: ChatOpened) -> None:
    now = desk.clock()
    new = Chat(fact.chat_id)
    before, after = await desk.store.change(fact.chat_id, lambda c: assignment.opened(c, fact, now), known=new)
    desk.telling.record(before, after)
    if after.waits and after.rev == 1:
        await asyncio.gather(desk.queue.opened(after), desk.telling.state(after))
    else:
        await _tell_and_ask(desk, after, after.waits)


async def _accepted(desk: Desk, fact: ChatAccepted) -> None:
    _, after = await desk.store.change(fact.chat_id, lambda c: assignment.accepted(c, fact.agent_id))
    if after.agent_id != fact.agent_id:
        await desk.telling.state(after)  # his console still shows a chat that is not his


async def _close_requested(desk: Desk, fact: CloseRequested) -> None:
    now = desk.clock()
    if fact.by is CloseReason.AGENT:
        before, after = await desk.store.change(
            fact.chat_id, lambda c: assignment.closed_by_agent(c, fact.agent_id, now)
        )
    else:
        before, after = await desk.store.change(fact.chat_id, lambda c: assignment.closed(c, fact.by, now))
    desk.telling.record(before, after, why="asked")
    await _tell_and_ask(desk, after, before.waits)


async def _claimed(desk: Desk, fact: PlaceClaimed) -> None:
    now = desk.clock()
    before, after = await desk.store.change(
        fact.chat_id, lambda c: assignment.claimed(c, fact.turn, fact.agent_id, fact.agent_name, now)
    )
    if before.rev == 0:
        log.warning("claim_of_unknown_chat", agent_id=fact.agent_id, turn=fact.turn)
    desk.telling.record(before, after, why="unknown")
    await _tell_and_ask(desk, after, True)


async def _released(desk: Desk, fact: PlaceReleased) -> None:
    now = desk.clock()
    before, after = await desk.store.change(
        fact.chat_id, lambda c: assignment.released(c, fact.turn, fact.agent_id, now)
    )
    desk.telling.record(before, after, why=fact.reason.value)
    await _tell_and_ask(desk, after, after.waits)


async def _tell_and_ask(desk: Desk, chat: Chat, ask: bool) -> None:
    """The state is told whether it changed or not, and who is next in line asks at the same time."""
    if ask and chat.department:
        await asyncio.gather(desk.telling.state(chat), desk.queue.ask(chat.department))
    else:
        await desk.telling.state(chat)
