"""What presence does with the facts that it hears: rule, store, publish. Idempotent; returning acknowledges."""

from __future__ import annotations

import asyncio
from datetime import datetime

import structlog

from services.consuming import Handler
from services.contracts import (
    AcceptOverdue,
    AgentState,
    ChatState,
    ChatStatus,
    Fact,
    PlaceWanted,
    QueueChanged,
    ReleaseReason,
    StateRequested,
)
from services.presence import button, store
from services.presence.availability import Candidate, in_order, is_over, weigh
from services.presence.telling import Desk, tell_agent, tell_claimed, tell_released, utcnow

log = structlog.get_logger()

FRESH = 0.1  # seconds for which the candidates of a department need not be read again: claims are compare-and-set


class Claims:
    """Finds agents for chats: one after the other in this process, in the order of asking; replicas race harmlessly."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._turn = asyncio.Lock()
        self._known: dict[str, tuple[float, list[Candidate]]] = {}

    async def seek(self, wish: PlaceWanted, now: datetime) -> Candidate | None:
        """The agent who has a seat for this turn of the chat now, or None when nobody could take it."""
        async with self._turn:
            if wish.agent_id:
                return await self._first(await store.candidates(self._desk.db, None, wish.agent_id), wish, now)
            read_at, known = self._known.get(wish.department, (0.0, []))
            fresh = asyncio.get_running_loop().time() - read_at < FRESH
            found = await self._first(known, wish, now) if fresh else None
            if found is None:
                read_at = asyncio.get_running_loop().time()
                known = in_order(await store.candidates(self._desk.db, wish.department, None))
                found = await self._first(known, wish, now)
            self._known[wish.department] = (read_at, [c for c in known if c is not found])
            return found

    async def _first(self, candidates: list[Candidate], wish: PlaceWanted, now: datetime) -> Candidate | None:
        for candidate in candidates:
            if await store.claim(self._desk.db, candidate.id, wish.chat_id, wish.turn, now):
                return candidate
        return None


def on_wanted(desk: Desk) -> Handler:
    """place.wanted: the agent who holds this turn is told again, or one is found."""
    claims = Claims(desk)

    async def wanted(fact: Fact) -> None:
        assert isinstance(fact, PlaceWanted)
        wish = weigh(fact.chat_id, fact.turn, await store.holders(desk.db, fact.chat_id))
        for agent in wish.again:
            await tell_claimed(desk, agent.id, agent.name, fact.chat_id, fact.turn)
        if not wish.open:
            return
        found = await claims.seek(fact, utcnow())
        if found:
            desk.wake()
            log.info("place_claimed", chat_id=fact.chat_id, turn=fact.turn, agent_id=found.id)
            await tell_claimed(desk, found.id, found.name, fact.chat_id, fact.turn)

    return wanted


def on_chat_state(desk: Desk) -> Handler:
    """chat.state: seats that are over go, the one that it confirms is marked, an agent without a seat is said to be."""

    async def chat_state(fact: Fact) -> None:
        assert isinstance(fact, ChatState)
        confirmed = False
        for agent in await store.holders(desk.db, fact.chat_id):
            for seat in agent.seats:
                if seat.chat_id != fact.chat_id:
                    continue
                if is_over(seat, agent.id, fact.state, fact.turn, fact.agent_id):
                    if await store.drop(desk.db, agent.id, seat.chat_id, seat.turn, utcnow()):
                        desk.wake()
                elif fact.state is ChatStatus.ASSIGNED and seat.turn == fact.turn:
                    confirmed = True
                    if not seat.confirmed:
                        await store.confirm(desk.db, agent.id, seat.chat_id, seat.turn)
        if fact.state is ChatStatus.ASSIGNED and fact.agent_id and not confirmed:
            await tell_released(desk, fact.agent_id, fact.chat_id, fact.turn, ReleaseReason.NO_SEAT)

    return chat_state


def on_queue_changed(desk: Desk) -> Handler:
    """queue.changed: how many wait in a department, for its button."""

    async def queue_changed(fact: Fact) -> None:
        assert isinstance(fact, QueueChanged)
        if await button.set_waiting(desk.db, fact.department, fact.revision, len(fact.order)):
            desk.wake()

    return queue_changed


def on_state(desk: Desk) -> Handler:
    """state.requested and accept.overdue: the agent is available or paused. A fact delivered again changes nothing."""

    async def state(fact: Fact) -> None:
        assert isinstance(fact, StateRequested | AcceptOverdue)
        if isinstance(fact, StateRequested):
            wanted, cause, mark = fact.state, "request", fact.event_id
        else:
            wanted, cause, mark = AgentState.PAUSED, "accept_overdue", f"{fact.chat_id}/{fact.turn}"
        if await store.set_state(desk.db, fact.agent_id, wanted, cause, mark, utcnow()):
            desk.wake()
            log.info("agent_state_changed", agent_id=fact.agent_id, state=wanted.value, cause=cause)
        await tell_agent(desk, fact.agent_id)

    return state
