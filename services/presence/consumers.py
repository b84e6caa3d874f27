"""Handlers of the events that presence consumes: apply a rule, store, publish. Idempotent; returning acknowledges."""

from __future__ import annotations

from datetime import timedelta

import structlog

from services.common.events.agents import StateRequested
from services.common.events.chats import AcceptOverdue, ChatState, QueueChanged
from services.common.events.event import Event
from services.common.events.places import PlaceWanted
from services.common.events.types import AgentState, ChatStatus, ReleaseReason
from services.common.messaging.consumer import Handler
from services.presence.context import Context
from services.presence.publisher import publish_agent, publish_claimed, publish_released, publish_slot
from services.presence.repairs import repaired
from services.presence.slots.agent_selection import Ask
from services.presence.slots.allocator import Allocator
from services.presence.slots.rules import Agent, Slot, is_over

log = structlog.get_logger()

LATE = 10.0  # seconds after which a published state of a chat is not new: it is a repetition


def on_wanted(context: Context, allocator: Allocator) -> Handler:
    """Return the handler of place.wanted: announce the agent who has this attempt again, or find one."""

    async def wanted(event: Event) -> None:
        assert isinstance(event, PlaceWanted)
        outcome = await allocator.seek(Ask(event.chat_id, event.turn, event.department, event.locale, event.agent_id))
        for agent, slot in outcome.again:
            await publish_slot(context, agent, slot)
        if found := outcome.found:
            await publish_claimed(context, found.agent_id, found.agent_name, event.chat_id, event.turn, found.choice)

    return wanted


def on_chat_state(context: Context) -> Handler:
    """Return the handler of chat.state.

    It frees slots that have ended, confirms the slot of the assignment, and reports an assignment without a slot.
    """

    async def chat_state(event: Event) -> None:
        assert isinstance(event, ChatState)
        if event.state is ChatStatus.CLOSED and not _is_late(event):  # no need to read the slots
            departments = await context.stores.agents.departments_holding(event.chat_id)
            if await context.stores.agents.drop_all(event.chat_id, context.clock()):
                context.wake(departments)
            return
        holders = await context.stores.agents.holders(event.chat_id)
        slots = [(agent, slot) for agent in holders for slot in agent.slots if slot.chat_id == event.chat_id]
        for agent, slot in slots:
            if is_over(slot, agent.id, event.state, event.turn, event.agent_id):
                await _drop(context, agent, slot, event)
        right = [(a, s) for a, s in slots if a.id == event.agent_id and s.turn == event.turn]
        if event.state is not ChatStatus.ASSIGNED or not event.agent_id:
            return
        for agent, slot in right:
            if not slot.confirmed:
                await context.stores.agents.confirm(agent.id, slot.chat_id, slot.turn)
        if not right:
            repaired("no_seat", event.agent_id, event.chat_id)
            await publish_released(context, event.agent_id, event.chat_id, event.turn, ReleaseReason.NO_SLOT)

    return chat_state


async def _drop(context: Context, agent: Agent, slot: Slot, event: ChatState) -> None:
    """Free the slot of a chat. It counts as a repair when a confirmed slot is freed late: the first event was lost."""
    if not await context.stores.agents.drop(agent.id, slot.chat_id, slot.turn, context.clock()):
        return
    context.wake(agent.departments)
    if slot.confirmed and not slot.leaving and _is_late(event):
        repaired("reminder", agent.id, slot.chat_id)


def _is_late(event: ChatState) -> bool:
    return event.occurred_at - event.at > timedelta(seconds=LATE)


def on_queue_changed(context: Context) -> Handler:
    """Return the handler of queue.changed: store the number of waiting chats of departments, for their buttons.

    A repetition of what this replica has stored, or has found stored, costs no query.
    """
    known: dict[str, int] = {}  # department → a revision that the database has, or has a later one than

    async def store(department: str, revision: int, order: list[str]) -> None:
        if revision <= known.get(department, -1):
            return
        if await context.stores.queues.set_waiting(department, revision, order):
            context.wake([department])
        known[department] = max(revision, known.get(department, -1))

    async def queue_changed(event: Event) -> None:
        assert isinstance(event, QueueChanged)
        await store(event.department, event.revision, event.order)
        for queue in event.empty or ():
            await store(queue.department, queue.revision, [])

    return queue_changed


def on_state(context: Context) -> Handler:
    """Return the handler of state.requested and accept.overdue: set the agent available or paused.

    A redelivered event changes nothing. An agent who is active in the console is not paused for the first chats that
    they do not accept in time.
    """

    async def state(event: Event) -> None:
        assert isinstance(event, StateRequested | AcceptOverdue)
        if isinstance(event, StateRequested):
            wanted, cause, mark = event.state, "request", event.event_id
        else:
            wanted, cause, mark = AgentState.PAUSED, "accept_overdue", f"{event.chat_id}/{event.turn}"
            if context.at_work(event.agent_id) and await context.stores.agents.spare(
                event.agent_id, mark, context.clock()
            ):
                log.info("agent_not_paused", agent_id=event.agent_id, chat_id=event.chat_id)
                return
        if await context.stores.agents.set_state(event.agent_id, wanted, cause, mark, context.clock()):
            context.wake(await context.stores.agents.departments_of(event.agent_id))
            log.info("agent_state_changed", agent_id=event.agent_id, state=wanted.value, cause=cause)
        await publish_agent(context, event.agent_id)

    return state
