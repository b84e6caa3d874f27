"""Handlers of the events that routing consumes: apply a rule, write once, publish, then acknowledge."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

import structlog
from structlog.contextvars import bind_contextvars

from services.common.batches import gather_limited
from services.common.events.chats import ChatAccepted, ChatOpened, CitizenArrived, CloseRequested, TransferRefused
from services.common.events.event import Event
from services.common.events.places import PlaceClaimed, PlaceReleased, PlacesChanged
from services.common.events.types import CloseReason
from services.routing.chats import rules, transfer_rules
from services.routing.chats.chat import Chat
from services.routing.context import Context
from services.routing.metrics import repaired
from services.routing.queues import overflow

log = structlog.get_logger()
AT_ONCE = 20  # departments of a digest whose chats request slots at a time
STALE = timedelta(seconds=30)  # inactivity that was published so long ago may be over; if not, the event is repeated


def handler(context: Context) -> Callable[[Event], Awaitable[None]]:
    """Return the handler of every event in both of routing's queues.

    It is idempotent, and independent of order, repetition and age.
    """

    async def handle(event: Event) -> None:
        if not isinstance(event, PlacesChanged):
            bind_contextvars(chat_id=getattr(event, "chat_id", None))
        match event:
            case ChatOpened():
                await _opened(context, event)
            case CitizenArrived():
                await context.store.change(event.chat_id, rules.arrived)
            case ChatAccepted():
                await _accepted(context, event)
            case CloseRequested():
                await _close_requested(context, event)
            case PlaceClaimed():
                await _assigned(context, event)
            case PlaceReleased():
                await _released(context, event)
            case TransferRefused():
                await _refused(context, event)
            case PlacesChanged(others=None):
                await context.slot_requests.slots_changed(event)
                await context.announcer.slots_changed(event)
                await overflow.fill(context, event.department)
            case PlacesChanged():
                await _places_listed(context, event)
            case _:
                log.warning("event_not_for_routing", type=event.type)

    return handle


async def _places_listed(context: Context, event: PlacesChanged) -> None:
    """Handle a digest of the free slots of many departments. Only those with news or waiting chats cost a query."""
    listed = event.departments
    calls = [partial(context.slot_requests.request, d) for d in context.slot_requests.slots_listed(listed)]
    await asyncio.gather(gather_limited(AT_ONCE, calls), context.announcer.slots_listed(listed))
    targets = overflow.targets(context.limits)
    for places in listed:
        if places.department in targets:
            await overflow.fill(context, places.department)


async def _opened(context: Context, event: ChatOpened) -> None:
    now = context.clock()
    new = Chat(event.chat_id)
    before, after = await context.store.change(
        event.chat_id, lambda c: rules.opened(c, event, now, context.limits.automatic), known=new
    )
    context.chat_publisher.record(before, after)
    if after.waits and after.rev == 1:
        await asyncio.gather(context.slot_requests.opened(after), context.chat_publisher.state(after))
    else:
        await _publish_and_request(context, after, before.waits or after.waits)


async def _accepted(context: Context, event: ChatAccepted) -> None:
    now = context.clock()
    before, after = await context.store.change(
        event.chat_id, lambda c: rules.accepted(c, event.agent_id, now, event.turn)
    )
    context.chat_publisher.record(before, after)
    await context.chat_publisher.state(after)  # also when nothing changed: an earlier try may have crashed before this


async def _close_requested(context: Context, event: CloseRequested) -> None:
    if event.block and event.by is CloseReason.AGENT:  # first, because closing may send the citizen back to the button
        await context.admission.block(event.chat_id, event.agent_id, event.block, event.occurred_at)
    before, after = await context.store.change(event.chat_id, _closing(event, context.clock()))
    context.chat_publisher.record(before, after, why="asked")
    await context.record_handling_time(before, after)
    await _publish_and_request(context, after, before.waits)


def _closing(event: CloseRequested, now: datetime) -> Callable[[Chat], Chat]:
    match event.by:
        case CloseReason.AGENT:
            return lambda c: rules.closed_by_agent(c, event.agent_id, now)
        case CloseReason.INACTIVE if now - event.occurred_at > STALE:
            return lambda c: c
        case CloseReason.INACTIVE:
            return lambda c: rules.closed_for_inactivity(c, now)
        case _:
            return lambda c: rules.closed(c, event.by, now)


async def _assigned(context: Context, event: PlaceClaimed) -> None:
    now = context.clock()
    before, after = await context.store.change(
        event.chat_id,
        lambda c: rules.assigned(
            c, event.turn, event.agent_id, event.agent_name, now, event.choice, context.limits.automatic
        ),
    )
    if before.state is None and after.closed:
        repaired("unknown_chat", agent_id=event.agent_id, turn=event.turn)
    context.chat_publisher.record(before, after, why="unknown")
    if (
        event.reminder
        and after == before
        and (after.assigned, after.turn, after.agent_id)
        == (
            True,
            event.turn,
            event.agent_id,
        )
    ):
        return  # presence knows it; an answer would also go through the queue of messages
    await _publish_and_request(context, after, True)


async def _released(context: Context, event: PlaceReleased) -> None:
    now = context.clock()
    before, after = await context.store.change(
        event.chat_id, lambda c: rules.released(c, event.turn, event.agent_id, now)
    )
    if before.state is None and after.closed:
        repaired("unknown_chat", agent_id=event.agent_id, turn=event.turn)
    context.chat_publisher.record(before, after, why=event.reason.value)
    await _publish_and_request(context, after, after.waits)


async def _refused(context: Context, event: TransferRefused) -> None:
    now = context.clock()
    before, after = await context.store.change(
        event.chat_id, lambda c: transfer_rules.refused(c, event.agent_id, event.event_id, now, context.limits)
    )
    context.chat_publisher.record(before, after, why="refused")
    await _publish_and_request(context, after, after.waits)


async def _publish_and_request(context: Context, chat: Chat, request: bool) -> None:
    """Publish the state, changed or not, and let the next chat in the queue request a slot at the same time."""
    if request and chat.department:
        await asyncio.gather(context.chat_publisher.state(chat), context.slot_requests.request(chat.department))
    else:
        await context.chat_publisher.state(chat)
