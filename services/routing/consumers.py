"""Handlers of the events that routing consumes: apply a rule, write once, publish, then acknowledge."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import structlog
from faststream import BaseMiddleware
from faststream.message import StreamMessage
from faststream.rabbit import RabbitRouter
from structlog.contextvars import bind_contextvars

from services.common.batches import gather_limited
from services.common.events.chats import (
    AnswerOverdue,
    ChatAccepted,
    ChatOpened,
    CitizenArrived,
    CloseRequested,
    TransferRefused,
)
from services.common.events.event import Event
from services.common.events.places import PlaceClaimed, PlaceReleased, PlacesChanged
from services.common.events.types import CloseReason
from services.common.messaging import topology
from services.common.messaging.subscribers import subscribe
from services.routing.chats import rules, transfer_rules
from services.routing.chats.chat import Chat
from services.routing.context import Context
from services.routing.metrics import repaired
from services.routing.queues import overflow

log = structlog.get_logger()
AT_ONCE = 20  # departments of a digest whose chats request slots at a time
STALE = timedelta(seconds=30)  # inactivity that was published so long ago may be over; if not, the event is repeated


def create_router(handlers: Handlers) -> RabbitRouter:
    """Return the subscribers of routing's queues."""
    router = RabbitRouter(middlewares=[ChatInLogs])
    subscribe(
        router,
        topology.ROUTING_CHATS,
        handlers.chat_opened,
        handlers.citizen_arrived,
        handlers.chat_accepted,
        handlers.close_requested,
        handlers.transfer_refused,
        handlers.other,
    )
    subscribe(
        router,
        topology.ROUTING_PLACES,
        handlers.place_claimed,
        handlers.place_released,
        handlers.places_changed,
        handlers.other,
    )
    subscribe(router, topology.ROUTING_ANSWERS, handlers.answer_overdue)
    return router


class ChatInLogs(BaseMiddleware):
    """Add the chat of the event to the log lines of its handler."""

    async def consume_scope(self, call_next: Callable[[Any], Awaitable[Any]], msg: StreamMessage[Any]) -> Any:
        """Bind `chat_id`, then go on."""
        event = await msg.decode()
        if not isinstance(event, PlacesChanged):
            bind_contextvars(chat_id=getattr(event, "chat_id", None))
        return await call_next(msg)


class Handlers:
    """Handlers of routing's events. They are idempotent, and independent of order, repetition and age."""

    def __init__(self, context: Context, is_writing: Callable[[str], bool] = lambda chat_id: False) -> None:
        """Create the handlers. `is_writing`: whether the agent of a chat has typed in it within the last seconds."""
        self._context, self._is_writing = context, is_writing

    async def chat_opened(self, event: ChatOpened) -> None:
        """Let the chat wait; its first attempt requests a slot."""
        context, now = self._context, self._context.clock()
        new = Chat(event.chat_id)
        before, after = await context.store.change(
            event.chat_id, lambda c: rules.opened(c, event, now, context.limits.automatic), known=new
        )
        context.chat_publisher.record(before, after)
        if after.waits and after.rev == 1:
            await asyncio.gather(context.slot_requests.opened(after), context.chat_publisher.state(after))
        else:
            await self._publish_and_request(after, before.waits or after.waits)

    async def citizen_arrived(self, event: CitizenArrived) -> None:
        """Note that the citizen's page has said hello, and the citizen's name when they gave one."""
        await self._context.store.change(event.chat_id, lambda c: rules.arrived(c, event.name))

    async def chat_accepted(self, event: ChatAccepted) -> None:
        """Note that the agent has accepted the chat.

        The state is published also when nothing changed: an earlier try may have crashed before this.
        """
        context, now = self._context, self._context.clock()
        before, after = await context.store.change(
            event.chat_id, lambda c: rules.accepted(c, event.agent_id, now, event.turn)
        )
        context.chat_publisher.record(before, after)
        await context.chat_publisher.state(after)

    async def close_requested(self, event: CloseRequested) -> None:
        """Close the chat; block the citizen, and revoke their token, when it is asked for."""
        context = self._context
        if event.block and event.by is CloseReason.AGENT:  # first: closing may send the citizen back to the button
            await context.admission.block(event.chat_id, event.agent_id, event.block, event.occurred_at)
        before, after = await context.store.change(event.chat_id, _closing(event, context.clock()))
        context.chat_publisher.record(before, after, why="asked")
        await context.record_handling_time(before, after)
        await self._publish_and_request(after, before.waits)

    async def transfer_refused(self, event: TransferRefused) -> None:
        """Let the chat wait again when the agent refuses the transfer to them."""
        context, now = self._context, self._context.clock()
        before, after = await context.store.change(
            event.chat_id, lambda c: transfer_rules.refused(c, event.agent_id, event.event_id, now, context.limits)
        )
        context.chat_publisher.record(before, after, why="refused")
        await self._publish_and_request(after, after.waits)

    async def answer_overdue(self, event: AnswerOverdue) -> None:
        """Give the chat to another agent when a slot seems to be free, and nothing has changed meanwhile.

        A late event does nothing: it is published again while the citizen waits. The change is marked by the write, so
        that it is published after a crash too.
        """
        context, now = self._context, self._context.clock()
        if now - event.occurred_at > STALE:
            return
        before = await context.store.load(event.chat_id)
        if not context.slot_requests.free(before.department or ""):
            return
        writes = self._is_writing(event.chat_id)
        before, after = await context.store.change(
            event.chat_id, lambda c: transfer_rules.taken_from_silent(c, event, writes, now, context.limits)
        )
        if after == before:
            return
        log.info("chat_taken_from_silent_agent", agent_id=before.agent_id, department=before.department)
        context.chat_publisher.record(before, after, why="agent_silent")
        await context.record_handling_time(before, after)
        await context.chat_publisher.marked(after)
        await context.slot_requests.request(after.department or "")

    async def place_claimed(self, event: PlaceClaimed) -> None:
        """Assign the chat to the agent who has a slot for this attempt."""
        context, now = self._context, self._context.clock()
        before, after = await context.store.change(
            event.chat_id,
            lambda c: rules.assigned(
                c, event.turn, event.agent_id, event.agent_name, now, event.choice, context.limits.automatic
            ),
        )
        if before.state is None and after.closed:
            repaired("unknown_chat", agent_id=event.agent_id, turn=event.turn)
        context.chat_publisher.record(before, after, why="unknown")
        assignment = (after.assigned, after.turn, after.agent_id)
        if event.reminder and after == before and assignment == (True, event.turn, event.agent_id):
            return  # presence knows it; an answer would also go through the queue of messages
        await self._publish_and_request(after, True)

    async def place_released(self, event: PlaceReleased) -> None:
        """Begin the chat's next attempt when the agent of this one is lost."""
        context, now = self._context, self._context.clock()
        before, after = await context.store.change(
            event.chat_id, lambda c: rules.released(c, event.turn, event.agent_id, now)
        )
        if before.state is None and after.closed:
            repaired("unknown_chat", agent_id=event.agent_id, turn=event.turn)
        context.chat_publisher.record(before, after, why=event.reason.value)
        await self._publish_and_request(after, after.waits)

    async def places_changed(self, event: PlacesChanged) -> None:
        """Let as many waiting chats of the departments request a slot as there are free ones."""
        if event.others is not None:
            await self._slots_listed(event)
            return
        await self._context.slot_requests.slots_changed(event)
        await self._context.announcer.slots_changed(event)
        await overflow.fill(self._context, event.department)

    async def other(self, event: Event) -> None:
        """Ignore an event that a queue is bound to by another version."""
        log.warning("event_not_for_routing", type=event.type)

    async def _slots_listed(self, event: PlacesChanged) -> None:
        """Handle a digest of the free slots of many departments. Only those with news or waiting chats cost a query."""
        context, listed = self._context, event.departments
        calls = [partial(context.slot_requests.request, d) for d in context.slot_requests.slots_listed(listed)]
        await asyncio.gather(gather_limited(AT_ONCE, calls), context.announcer.slots_listed(listed))
        targets = overflow.targets(context.limits)
        for places in listed:
            if places.department in targets:
                await overflow.fill(context, places.department)

    async def _publish_and_request(self, chat: Chat, request: bool) -> None:
        """Publish the state, changed or not, and let the next chat in the queue request a slot at the same time."""
        context = self._context
        if request and chat.department:
            await asyncio.gather(context.chat_publisher.state(chat), context.slot_requests.request(chat.department))
        else:
            await context.chat_publisher.state(chat)


def _closing(event: CloseRequested, now: datetime) -> Callable[[Chat], Chat]:
    match event.by:
        case CloseReason.CITIZEN if event.revoke:
            return lambda c: rules.given_up(c, now)
        case CloseReason.AGENT if event.block:
            return lambda c: rules.revoked_by_agent(rules.closed_by_agent(c, event.agent_id, now), event.agent_id)
        case CloseReason.AGENT:
            return lambda c: rules.closed_by_agent(c, event.agent_id, now)
        case CloseReason.INACTIVE if now - event.occurred_at > STALE:
            return lambda c: c
        case CloseReason.INACTIVE:
            return lambda c: rules.closed_for_inactivity(c, now)
        case _:
            return lambda c: rules.closed(c, event.by, now)
