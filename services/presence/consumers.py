"""What presence does with the facts that it hears: rule, store, publish. Idempotent; returning acknowledges."""

from __future__ import annotations

from datetime import timedelta

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
from services.presence import lines, store
from services.presence.availability import Agent, Seat, is_over
from services.presence.choice import Ask
from services.presence.claims import Claims
from services.presence.sweeps import repaired
from services.presence.telling import Desk, tell_agent, tell_claimed, tell_released, tell_seat

log = structlog.get_logger()

LATE = 10.0  # seconds after which a state that is told of a chat is no news: something told it again


def on_wanted(desk: Desk, claims: Claims) -> Handler:
    """place.wanted: the agent who holds this turn is told again, or one is found."""

    async def wanted(fact: Fact) -> None:
        assert isinstance(fact, PlaceWanted)
        outcome = await claims.seek(Ask(fact.chat_id, fact.turn, fact.department, fact.locale, fact.agent_id))
        for agent, seat in outcome.again:
            await tell_seat(desk, agent, seat)
        if found := outcome.found:
            await tell_claimed(desk, found.agent_id, found.agent_name, fact.chat_id, fact.turn, found.choice)

    return wanted


def on_chat_state(desk: Desk) -> Handler:
    """chat.state: seats that are over go, the one that it confirms is marked, an agent without a seat is said to be."""

    async def chat_state(fact: Fact) -> None:
        assert isinstance(fact, ChatState)
        if fact.state is ChatStatus.CLOSED and not _is_late(fact):  # no need to see who has them
            if await store.drop_all(desk.db, fact.chat_id, desk.clock()):
                desk.wake()
            return
        holders = await store.holders(desk.db, fact.chat_id)
        seats = [(agent, seat) for agent in holders for seat in agent.seats if seat.chat_id == fact.chat_id]
        for agent, seat in seats:
            if is_over(seat, agent.id, fact.state, fact.turn, fact.agent_id):
                await _drop(desk, agent, seat, fact)
        right = [(a, s) for a, s in seats if a.id == fact.agent_id and s.turn == fact.turn]
        if fact.state is not ChatStatus.ASSIGNED or not fact.agent_id:
            return
        for agent, seat in right:
            if not seat.confirmed:
                await store.confirm(desk.db, agent.id, seat.chat_id, seat.turn)
        if not right:
            repaired("no_seat", fact.agent_id, fact.chat_id)
            await tell_released(desk, fact.agent_id, fact.chat_id, fact.turn, ReleaseReason.NO_SEAT)

    return chat_state


async def _drop(desk: Desk, agent: Agent, seat: Seat, fact: ChatState) -> None:
    """The seat of a chat that is over goes. That a confirmed one goes so late is a repair: the news itself was lost."""
    if not await store.drop(desk.db, agent.id, seat.chat_id, seat.turn, desk.clock()):
        return
    desk.wake()
    if seat.confirmed and not seat.leaving and _is_late(fact):
        repaired("reminder", agent.id, seat.chat_id)


def _is_late(fact: ChatState) -> bool:
    return fact.occurred_at - fact.at > timedelta(seconds=LATE)


def on_queue_changed(desk: Desk) -> Handler:
    """queue.changed: how many wait in a department, for its button."""

    async def queue_changed(fact: Fact) -> None:
        assert isinstance(fact, QueueChanged)
        if await lines.set_waiting(desk.db, fact.department, fact.revision, fact.order):
            desk.wake()

    return queue_changed


def on_state(desk: Desk) -> Handler:
    """state.requested and accept.overdue: the agent is available or paused. A fact delivered again changes nothing.

    An agent who uses their console is not paused for the first chats that they do not accept in time: they are there.
    """

    async def state(fact: Fact) -> None:
        assert isinstance(fact, StateRequested | AcceptOverdue)
        if isinstance(fact, StateRequested):
            wanted, cause, mark = fact.state, "request", fact.event_id
        else:
            wanted, cause, mark = AgentState.PAUSED, "accept_overdue", f"{fact.chat_id}/{fact.turn}"
            if desk.at_work(fact.agent_id) and await store.spare(desk.db, fact.agent_id, mark, desk.clock()):
                log.info("agent_not_paused", agent_id=fact.agent_id, chat_id=fact.chat_id)
                return
        if await store.set_state(desk.db, fact.agent_id, wanted, cause, mark, desk.clock()):
            desk.wake()
            log.info("agent_state_changed", agent_id=fact.agent_id, state=wanted.value, cause=cause)
        await tell_agent(desk, fact.agent_id)

    return state
