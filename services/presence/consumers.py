"""Handlers of the events that presence consumes: rule, store, publish. Idempotent; returning acknowledges."""

from __future__ import annotations

from datetime import timedelta

import structlog

from services.common.events.agents import StateRequested
from services.common.events.chats import AcceptOverdue, ChatState, QueueChanged
from services.common.events.event import Event
from services.common.events.places import PlaceWanted
from services.common.events.types import AgentState, ChatStatus, ReleaseReason
from services.common.messaging.consumer import Handler
from services.presence.agents import store
from services.presence.button import queue_store
from services.presence.publisher import Context, tell_agent, tell_claimed, tell_released, tell_seat
from services.presence.repairs import repaired
from services.presence.seats.agent_selection import Ask
from services.presence.seats.allocator import Claims
from services.presence.seats.rules import Agent, Seat, is_over

log = structlog.get_logger()

LATE = 10.0  # seconds after which a state that is told of a chat is no news: something told it again


def on_wanted(context: Context, claims: Claims) -> Handler:
    """place.wanted: the agent who holds this turn is told again, or one is found."""

    async def wanted(event: Event) -> None:
        assert isinstance(event, PlaceWanted)
        outcome = await claims.seek(Ask(event.chat_id, event.turn, event.department, event.locale, event.agent_id))
        for agent, seat in outcome.again:
            await tell_seat(context, agent, seat)
        if found := outcome.found:
            await tell_claimed(context, found.agent_id, found.agent_name, event.chat_id, event.turn, found.choice)

    return wanted


def on_chat_state(context: Context) -> Handler:
    """chat.state: seats that are over go, the one that it confirms is marked, an agent without a seat is said to be."""

    async def chat_state(event: Event) -> None:
        assert isinstance(event, ChatState)
        if event.state is ChatStatus.CLOSED and not _is_late(event):  # no need to see who has them
            if await store.drop_all(context.db, event.chat_id, context.clock()):
                context.wake()
            return
        holders = await store.holders(context.db, event.chat_id)
        seats = [(agent, seat) for agent in holders for seat in agent.seats if seat.chat_id == event.chat_id]
        for agent, seat in seats:
            if is_over(seat, agent.id, event.state, event.turn, event.agent_id):
                await _drop(context, agent, seat, event)
        right = [(a, s) for a, s in seats if a.id == event.agent_id and s.turn == event.turn]
        if event.state is not ChatStatus.ASSIGNED or not event.agent_id:
            return
        for agent, seat in right:
            if not seat.confirmed:
                await store.confirm(context.db, agent.id, seat.chat_id, seat.turn)
        if not right:
            repaired("no_seat", event.agent_id, event.chat_id)
            await tell_released(context, event.agent_id, event.chat_id, event.turn, ReleaseReason.NO_SEAT)

    return chat_state


async def _drop(context: Context, agent: Agent, seat: Seat, event: ChatState) -> None:
    """The seat of a chat that is over goes. That a confirmed one goes so late is a repair: the news itself was lost."""
    if not await store.drop(context.db, agent.id, seat.chat_id, seat.turn, context.clock()):
        return
    context.wake()
    if seat.confirmed and not seat.leaving and _is_late(event):
        repaired("reminder", agent.id, seat.chat_id)


def _is_late(event: ChatState) -> bool:
    return event.occurred_at - event.at > timedelta(seconds=LATE)


def on_queue_changed(context: Context) -> Handler:
    """queue.changed: how many wait in a department, for its button."""

    async def queue_changed(event: Event) -> None:
        assert isinstance(event, QueueChanged)
        if await queue_store.set_waiting(context.db, event.department, event.revision, event.order):
            context.wake()

    return queue_changed


def on_state(context: Context) -> Handler:
    """state.requested and accept.overdue: the agent is available or paused. An event delivered again changes nothing.

    An agent who uses their console is not paused for the first chats that they do not accept in time: they are there.
    """

    async def state(event: Event) -> None:
        assert isinstance(event, StateRequested | AcceptOverdue)
        if isinstance(event, StateRequested):
            wanted, cause, mark = event.state, "request", event.event_id
        else:
            wanted, cause, mark = AgentState.PAUSED, "accept_overdue", f"{event.chat_id}/{event.turn}"
            if context.at_work(event.agent_id) and await store.spare(context.db, event.agent_id, mark, context.clock()):
                log.info("agent_not_paused", agent_id=event.agent_id, chat_id=event.chat_id)
                return
        if await store.set_state(context.db, event.agent_id, wanted, cause, mark, context.clock()):
            context.wake()
            log.info("agent_state_changed", agent_id=event.agent_id, state=wanted.value, cause=cause)
        await tell_agent(context, event.agent_id)

    return state
