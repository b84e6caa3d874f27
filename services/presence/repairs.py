"""Repair jobs: publish again what has no redelivery, such as a timer's change or an event that was lost.

Every replica runs them; repetition is harmless. One replica in turn publishes every slot, slowly. A repair that the
ordinary way should have made is counted and logged.
"""

from __future__ import annotations

import asyncio
from collections import Counter as Counts
from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import timedelta
from functools import partial

import structlog
from prometheus_client import Counter

from services.common.batches import batched, gather_in_batches
from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.presence.agents.session_store import Session
from services.presence.agents.transitions import close_session
from services.presence.context import Context
from services.presence.publisher import publish_agent, publish_claimed, publish_slot
from services.presence.slots.rules import Agent, Slot, due
from services.presence.slots.wrap_ups import end_wrap_up, measure

log = structlog.get_logger()

MARKS = 2.0  # seconds after which a marked change is published again
UNCONFIRMED = 5.0  # seconds after which a reservation without an answer of routing is published again
RESERVED = 15.0  # seconds after which a press that is no chat yet has failed: any gateway would have opened it by then
REMINDER = 60.0  # seconds between the starts of two publications of every slot
TURN = 5.0  # seconds between two tries of a replica to be the one that publishes every slot
SPREAD = 40.0  # seconds for all slots: new assignments would wait behind a burst of tens of thousands
REMINDED, PAUSE = 20, 1.0  # agents whose slots are published at a time; seconds before the next ones, at most
LAPSES = 1.0  # seconds between two looks at the slots that open forms reserve, and at wrap-ups
AT_ONCE = 50  # changes published at a time
REPAIRED = Counter("eloket_presence_repairs_total", "What the ordinary way should have done, and did not", ["reason"])
for _reason in ("leaving", "unconfirmed", "held", "untold", "no_seat", "reminder", "session_over"):
    REPAIRED.labels(_reason)  # exported from the start, so that the first one counts as an increase


def repaired(reason: str, agent_id: str, chat_id: str | None = None) -> None:
    """Count and log a repair."""
    REPAIRED.labels(reason).inc()
    log.info("repaired", reason=reason, agent_id=agent_id, chat_id=chat_id)


async def every(seconds: float, job: Callable[[], Awaitable[None]]) -> None:
    """Run a job at this interval, in seconds, until cancelled. After an outage the next run does the work."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await job()
        except DEPENDENCY_ERRORS as error:
            log.warning("repair_job_failed", error=type(error).__name__)


async def run(context: Context) -> None:
    """Run all repair jobs until cancelled."""
    async with asyncio.TaskGroup() as group:
        group.create_task(every(MARKS, lambda: publish_leaving(context)))
        group.create_task(every(MARKS, lambda: publish_changes(context)))
        group.create_task(every(MARKS, lambda: close_sessions(context)))
        group.create_task(every(UNCONFIRMED, lambda: publish_unconfirmed(context)))
        group.create_task(every(UNCONFIRMED, lambda: publish_reserved(context)))
        group.create_task(every(LAPSES, lambda: end_in_time(context)))
        group.create_task(every(TURN, lambda: remind_in_turn(context)))


async def publish_leaving(context: Context, age: float = MARKS) -> None:
    """Publish place.released for each slot that has been being given up for so long."""
    await _publish_due(
        context,
        "leaving",
        age,
        await context.stores.agents.leaving(),
        lambda slot: slot.leaving is not None and not slot.form and not slot.wrap_up,
    )


async def publish_unconfirmed(context: Context, age: float = UNCONFIRMED) -> None:
    """Publish place.claimed for each slot that routing has not confirmed for so long."""
    agents = await context.stores.agents.unconfirmed()
    await _publish_due(
        context, "unconfirmed", age, agents, lambda slot: not (slot.leaving or slot.confirmed or slot.by_press)
    )


async def publish_reserved(context: Context, age: float = RESERVED) -> None:
    """Publish place.claimed for each reservation of a press about which routing has published nothing for so long.

    Routing confirms it, or publishes that the chat is closed, which frees the slot. This is done also when the agent is
    offline: routing ignores that an agent has left a chat that it does not know.
    """

    async def publish(agent: Agent, slot: Slot) -> None:
        repaired("held", agent.id, slot.chat_id)
        await publish_claimed(context, agent.id, agent.name, slot.chat_id, slot.turn, slot.choice)

    agents = await context.stores.agents.unconfirmed()
    held = [(a, s) for a in agents for s in due(a.slots, context.clock(), age) if s.reserved]
    await gather_in_batches(AT_ONCE, [partial(publish, agent, slot) for agent, slot in held])


async def end_in_time(context: Context) -> None:
    """Free the slots whose time is over: of open forms, and of wrap-ups. The agents are read once."""
    agents = await context.stores.agents.unconfirmed()
    await end_lapsed(context, agents)
    await end_wrap_ups(context, agents)


async def end_lapsed(context: Context, agents: Sequence[Agent] | None = None) -> None:
    """Free each slot that an open form has reserved for longer than its time. Routing never knew of it.

    `agents`: those with such slots, when they were read just now.
    """
    now = context.clock()
    for agent in await context.stores.agents.unconfirmed() if agents is None else agents:
        for slot in agent.slots:
            if slot.lapsed(now):
                context.wake(await context.stores.agents.release_form(slot.chat_id, context.clock(), now))
                log.info("form_slot_lapsed", chat_id=slot.chat_id, agent_id=agent.id)


async def end_wrap_ups(context: Context, agents: Sequence[Agent] | None = None) -> None:
    """End each wrap-up whose time is over, or whose agent has logged out. Count those that go on.

    `agents`: as for `end_lapsed`.
    """
    now = context.clock()
    going_on: Counts[str] = Counts()
    for agent in await context.stores.agents.unconfirmed() if agents is None else agents:
        for slot in agent.slots:
            if slot.wrapped_up(now):
                await end_wrap_up(context, agent, slot, "logged_out" if slot.leaving else "over")
            elif slot.wrap_up:
                going_on[slot.wrap_up] += 1
    measure(going_on)


async def remind_in_turn(context: Context) -> None:
    """Do as `remind`, unless a replica has begun to do so within the last `REMINDER` seconds."""
    if await context.stores.leases.take("remind", REMINDER, context.clock()):
        await remind(context)


async def remind(context: Context, sleep: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
    """Publish place.claimed, as a reminder, for each slot that routing knows; all of them within `SPREAD` seconds.

    Where the chat is not assigned so (any more), routing answers with its state, which frees the slot. That counts as a
    repair only when it changes something: see the handler of chat.state in consumers.py. An agent is read just before,
    so that hardly any slot has changed by then.
    """
    batches = list(batched(await context.stores.agents.ids_with_slots(), REMINDED))
    for number, ids in enumerate(batches):
        if number:
            await sleep(min(PAUSE, SPREAD / len(batches)))
        agents = await context.stores.agents.with_slots(ids)
        slots = [(agent, slot) for agent in agents for slot in agent.slots if not slot.unknown_to_routing]
        reminders = [partial(publish_slot, context, agent, slot, reminder=True) for agent, slot in slots]
        await gather_in_batches(AT_ONCE, reminders)


async def publish_changes(context: Context, age: float = MARKS) -> None:
    """Publish agent.changed for each change that has been unpublished for so long."""

    async def publish(agent: Agent) -> None:
        repaired("untold", agent.id)
        await publish_agent(context, agent.id)

    agents = await context.stores.agents.unpublished(context.clock() - timedelta(seconds=age))
    await gather_in_batches(AT_ONCE, [partial(publish, agent) for agent in agents])


async def close_sessions(context: Context, age: float = MARKS) -> None:
    """Do what follows from the end of each session that ended or expired so long ago."""

    async def close(session: Session) -> None:
        if not session.published:
            repaired("session_over", session.agent_id)
        await close_session(context, session)

    sessions = await context.stores.sessions.over(context.clock(), age)
    await gather_in_batches(AT_ONCE, [partial(close, session) for session in sessions])


async def _publish_due(
    context: Context, reason: str, age: float, agents: Iterable[Agent], concerned: Callable[[Slot], bool]
) -> None:
    async def publish(agent: Agent, slot: Slot) -> None:
        repaired(reason, agent.id, slot.chat_id)
        await publish_slot(context, agent, slot)

    late = [(a, s) for a in agents for s in due(filter(concerned, a.slots), context.clock(), age)]
    await gather_in_batches(AT_ONCE, [partial(publish, agent, slot) for agent, slot in late])
