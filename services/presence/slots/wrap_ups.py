"""Wrap-ups: the time after a chat in which its agent still has its slot. Repetition is harmless.

A slot becomes a wrap-up by one conditional update, in place: it is never free in between. It ends by the agent's press,
by its time, or with a logout, and is counted once.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog
from prometheus_client import Counter, Gauge

from services.common.events.chats import ChatState
from services.presence.context import Context
from services.presence.publisher import publish_agent
from services.presence.slots.rules import Agent, Slot, wrap_up_until

log = structlog.get_logger()

GOING_ON = Gauge("eloket_wrap_ups", "Slots in which agents wrap up a chat", ["department"])
ENDED = Counter("eloket_wrap_ups_ended_total", "Wrap-ups that ended", ["department", "end"])
SECONDS = Counter("eloket_wrap_up_seconds_total", "Time that agents took to wrap up chats", ["department"])
_measured: set[str] = set()  # departments that the gauge has


async def begin_wrap_up(context: Context, event: ChatState, seconds: float) -> None:
    """Keep the slot of a chat that was closed, when its department gives time to wrap it up (`seconds`; 0: none)."""
    now = context.clock()
    until = wrap_up_until(event, seconds, now)
    if until is None or event.agent_id is None:
        return
    agents, which = context.stores.agents, (event.agent_id, event.chat_id, event.turn)
    if await agents.begin_wrap_up(*which, event.department, event.at, until, now):
        log.info("wrap_up_began", agent_id=event.agent_id, chat_id=event.chat_id, department=event.department)
        await publish_agent(context, event.agent_id)


async def end_wrap_up(context: Context, agent: Agent, slot: Slot, end: str) -> None:
    """End a wrap-up that goes on, and publish it. `end`: `done`, `over` or `logged_out`."""
    ended = await context.stores.agents.end_wrap_up(agent.id, slot, context.clock())
    if ended is None:
        return
    context.wake(agent.departments)
    ENDED.labels(ended.department, end).inc()
    SECONDS.labels(ended.department).inc(ended.seconds)
    log.info("wrap_up_ended", agent_id=agent.id, chat_id=ended.chat_id, end=end, seconds=ended.seconds)
    await publish_agent(context, agent.id)


def measure(going_on: Mapping[str, int]) -> None:
    """Set the gauge of the wrap-ups that go on, by department."""
    for department in _measured - going_on.keys():
        GOING_ON.labels(department).set(0)
    _measured.update(going_on)
    for department, number in going_on.items():
        GOING_ON.labels(department).set(number)
