"""Handlers of the events that presence consumes: apply a rule, store, publish. Idempotent; returning acknowledges."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from datetime import timedelta

import structlog
from faststream.rabbit import RabbitRouter

from services.common.events.agents import StateRequested, WrapUpDone
from services.common.events.chats import AcceptOverdue, ChatState, QueueChanged
from services.common.events.places import PlaceWanted
from services.common.events.types import AgentState, ChatStatus, ReleaseReason
from services.common.messaging import topology
from services.common.messaging.subscribers import subscribe
from services.presence.context import Context
from services.presence.publisher import publish_agent, publish_claimed, publish_released, publish_slot
from services.presence.repairs import repaired
from services.presence.slots.agent_selection import Ask
from services.presence.slots.allocator import Allocator
from services.presence.slots.rules import Agent, Slot, is_over
from services.presence.slots.wrap_ups import begin_wrap_up, end_wrap_up

log = structlog.get_logger()

LATE = 10.0  # seconds after which a published state of a chat is not new: it is a repetition


def create_router(handlers: Handlers) -> RabbitRouter:
    """Return the subscribers of presence's queues."""
    router = RabbitRouter()
    subscribe(router, topology.PRESENCE_WANTED, handlers.place_wanted)
    subscribe(router, topology.PRESENCE_CHATS, handlers.chat_state)
    subscribe(router, topology.PRESENCE_QUEUES, handlers.queue_changed)
    subscribe(
        router,
        topology.PRESENCE_STATES,
        handlers.state_requested,
        handlers.accept_overdue,
        prefetch=1,  # keeps the order of requests
    )
    subscribe(router, topology.PRESENCE_WRAPUPS, handlers.wrap_up_done)
    return router


class Handlers:
    """Handlers of presence's events."""

    def __init__(
        self,
        context: Context,
        allocator: Allocator,
        wrap_ups: Mapping[str, float] | None = None,
        pause_reasons: Callable[[Iterable[str]], Collection[str]] = lambda departments: (),
    ) -> None:
        """Create the handlers.

        Args:
            context: Dependencies of the service.
            allocator: Reserves slots.
            wrap_ups: For how many seconds agents wrap up the chats of these departments.
            pause_reasons: Returns the ids of the pause reasons of departments.
        """
        self._context, self._allocator, self._wrap_ups = context, allocator, wrap_ups or {}
        self._pause_reasons = pause_reasons
        # department → a revision of its queue that the database has, or has a later one than
        self._revisions: dict[str, int] = {}

    async def place_wanted(self, event: PlaceWanted) -> None:
        """Announce the agent who has this attempt again, or find one."""
        outcome = await self._allocator.seek(
            Ask(event.chat_id, event.turn, event.department, event.locale, event.agent_id, event.not_agent_id)
        )
        for agent, slot in outcome.again:
            await publish_slot(self._context, agent, slot)
        if found := outcome.found:
            await publish_claimed(
                self._context, found.agent_id, found.agent_name, event.chat_id, event.turn, found.choice
            )

    async def chat_state(self, event: ChatState) -> None:
        """Free slots that have ended, confirm the slot of the assignment, and report an assignment without a slot."""
        context = self._context
        if event.state is ChatStatus.CLOSED:
            await begin_wrap_up(context, event, self._wrap_ups.get(event.department, 0.0))
        if event.state is ChatStatus.CLOSED and not _is_late(event):  # no need to read the slots
            departments = await context.stores.agents.departments_holding(event.chat_id)
            if await context.stores.agents.drop_all(event.chat_id, context.clock()):
                context.wake(departments)
            return
        holders = await context.stores.agents.holders(event.chat_id)
        held = [(agent, slot) for agent in holders for slot in agent.slots if slot.chat_id == event.chat_id]
        slots = [(agent, slot) for agent, slot in held if not slot.wrap_up]
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

    async def queue_changed(self, event: QueueChanged) -> None:
        """Store the number of waiting chats of departments, for their buttons.

        A repetition of what this replica has stored, or has found stored, costs no query.
        """
        await self._store_queue(event.department, event.revision, event.order)
        for queue in event.empty or ():
            await self._store_queue(queue.department, queue.revision, [])

    async def state_requested(self, event: StateRequested) -> None:
        """Set the agent available or paused. A redelivered event changes nothing.

        A reason that the agent's departments do not have (any more) is none: the pause begins all the same.
        """
        reason = event.reason if event.state is AgentState.PAUSED else None
        if reason is not None:
            departments = await self._context.stores.agents.departments_of(event.agent_id)
            reason = reason if reason in self._pause_reasons(departments) else None
        await self._set_state(event.agent_id, event.state, "request", event.event_id, reason)

    async def accept_overdue(self, event: AcceptOverdue) -> None:
        """Pause the agent, who did not accept a chat in time. A redelivered event changes nothing.

        An agent who is active in the console is not paused for the first chats that they miss.
        """
        context, mark = self._context, f"{event.chat_id}/{event.turn}"
        agents = context.stores.agents
        if context.at_work(event.agent_id) and await agents.spare(event.agent_id, mark, context.clock()):
            log.info("agent_not_paused", agent_id=event.agent_id, chat_id=event.chat_id)
            return
        await self._set_state(event.agent_id, AgentState.PAUSED, "accept_overdue", mark)

    async def wrap_up_done(self, event: WrapUpDone) -> None:
        """End the wrap-up of this chat by its agent. Nothing happens when it has ended already."""
        agent = await self._context.stores.agents.agent(event.agent_id)
        for slot in agent.slots if agent else ():
            if agent and slot.wrap_up and slot.chat_id == event.chat_id:
                await end_wrap_up(self._context, agent, slot, "done")

    async def _store_queue(self, department: str, revision: int, order: list[str]) -> None:
        if revision <= self._revisions.get(department, -1):
            return
        if await self._context.stores.queues.set_waiting(department, revision, order):
            self._context.wake([department])
        self._revisions[department] = max(revision, self._revisions.get(department, -1))

    async def _set_state(
        self, agent_id: str, wanted: AgentState, cause: str, mark: str, reason: str | None = None
    ) -> None:
        context = self._context
        if await context.stores.agents.set_state(agent_id, wanted, cause, mark, context.clock(), reason):
            context.wake(await context.stores.agents.departments_of(agent_id))
            log.info("agent_state_changed", agent_id=agent_id, state=wanted.value, cause=cause, reason=reason)
        await publish_agent(context, agent_id)


async def _drop(context: Context, agent: Agent, slot: Slot, event: ChatState) -> None:
    """Free the slot of a chat. It counts as a repair when a confirmed slot is freed late: the first event was lost."""
    if not await context.stores.agents.drop(agent.id, slot.chat_id, slot.turn, context.clock()):
        return
    context.wake(agent.departments)
    if slot.confirmed and not slot.leaving and _is_late(event):
        repaired("reminder", agent.id, slot.chat_id)


def _is_late(event: ChatState) -> bool:
    return event.occurred_at - event.at > timedelta(seconds=LATE)
