"""Pauses of agents: the reason that they chose, and the time that counts, which is that of a paused agent online."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from services.common.events.agents import AgentChanged, PauseEnded, StateRequested
from services.common.events.types import AgentState, ReleaseReason
from services.common.mongo.client import Database
from services.presence.agents.transitions import go_offline, go_online
from services.presence.consumers import Handlers
from services.presence.context import Context
from services.presence.publisher import publish_agent
from services.presence.repairs import publish_changes
from services.presence.slots.allocator import Allocator
from services.presence.slots.rules import Agent, Pause, ended_pause
from tests.presence.conftest import Clock, EventObserver, account, there

AN = account("an", "algemeen", "premies")
REASONS = {"algemeen": ["lunch"], "premies": ["meeting"], "elsewhere": ["training"]}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def world(context: Context, clock: Clock) -> Context:
    """The context, whose clock the test moves."""
    return Context(context.stores, context.publisher, context.wake, clock=clock)


def handlers(context: Context) -> Handlers:
    reasons: Callable[[Any], list[str]] = lambda ids: [reason for one in ids for reason in REASONS[one]]  # noqa: E731
    return Handlers(context, Allocator(context, {}, {}), {}, reasons)


async def agent(context: Context) -> Agent:
    found = await context.stores.agents.agent(AN.id)
    assert found is not None
    return found


async def wish(context: Context, state: AgentState, reason: str | None = None) -> StateRequested:
    event = StateRequested(agent_id=AN.id, state=state, reason=reason)
    await handlers(context).state_requested(event)
    return event


async def begin(context: Context) -> None:
    """An is online and available, and so the events that follow are about pauses alone."""
    await there(context.stores, AN)


async def test_a_pause_has_its_reason_and_its_time_is_published_when_it_ends(
    world: Context, observer: EventObserver, clock: Clock
) -> None:
    await begin(world)
    began = clock()
    await wish(world, AgentState.PAUSED, "lunch")
    assert (await agent(world)).pause_reason == "lunch"
    clock.later(90)
    back = await wish(world, AgentState.AVAILABLE)
    await handlers(world).state_requested(back)  # delivered again
    (ended,) = await observer.wait_for(PauseEnded)
    assert (ended.agent_id, ended.departments, ended.reason) == (AN.id, ["algemeen", "premies"], "lunch")
    assert (ended.since, ended.seconds) == (began, 90)
    await observer.catch_up(world.publisher)
    assert len(observer.seen(PauseEnded)) == 1
    assert [(one.state, one.pause_reason) for one in observer.seen(AgentChanged)] == [
        (AgentState.PAUSED, "lunch"),
        (AgentState.AVAILABLE, None),
        (AgentState.AVAILABLE, None),
    ]
    assert (await agent(world)).unpublished_pauses == ()


async def test_a_reason_of_another_department_is_none(world: Context, observer: EventObserver) -> None:
    """The list may have changed since the page was opened: the agent pauses all the same."""
    await begin(world)
    await wish(world, AgentState.PAUSED, "training")
    found = await agent(world)
    assert (found.state, found.pause_reason) == (AgentState.PAUSED, None)


async def test_another_reason_ends_the_pause_and_begins_the_next_one(
    world: Context, observer: EventObserver, clock: Clock
) -> None:
    await begin(world)
    await wish(world, AgentState.PAUSED, "lunch")
    clock.later(60)
    await wish(world, AgentState.PAUSED, "meeting")
    clock.later(30)
    await wish(world, AgentState.PAUSED)  # an older page: the reason stays
    clock.later(10)
    await wish(world, AgentState.AVAILABLE)
    first, second = await observer.wait_for(PauseEnded, 2)
    assert [(one.reason, one.seconds) for one in (first, second)] == [("lunch", 60), ("meeting", 40)]
    assert first.pause_id != second.pause_id


async def test_only_the_time_online_counts(world: Context, observer: EventObserver, clock: Clock) -> None:
    await begin(world)
    await wish(world, AgentState.PAUSED, "lunch")
    clock.later(100)
    assert await go_offline(world, await agent(world), ReleaseReason.AGENT_GONE)
    clock.later(3_600)
    assert await go_online(world, await agent(world))
    clock.later(20)
    await wish(world, AgentState.AVAILABLE)
    ended = await observer.wait_for(PauseEnded, 2)
    assert [(one.reason, one.seconds) for one in ended] == [("lunch", 100), ("lunch", 20)]


async def test_who_pauses_while_offline_has_no_time_until_they_are_there(
    world: Context, observer: EventObserver, clock: Clock
) -> None:
    await begin(world)
    assert await go_offline(world, await agent(world), ReleaseReason.AGENT_GONE)
    await wish(world, AgentState.PAUSED, "lunch")
    clock.later(500)
    await wish(world, AgentState.AVAILABLE)
    await observer.catch_up(world.publisher)
    assert observer.seen(PauseEnded) == []


async def test_a_pause_that_was_not_published_is_published_by_the_repair_job(
    world: Context, observer: EventObserver, clock: Clock
) -> None:
    """A process is killed between the write and the publication."""
    await begin(world)
    await publish_agent(world, AN.id)
    agents = world.stores.agents
    assert await agents.set_state(AN.id, AgentState.PAUSED, "request", "1", clock(), "lunch")
    clock.later(5)
    assert await agents.set_state(AN.id, AgentState.AVAILABLE, "request", "2", clock())
    clock.later(5)
    await publish_changes(world)
    await publish_changes(world)
    await observer.catch_up(world.publisher)
    assert [(one.reason, one.seconds) for one in observer.seen(PauseEnded)] == [("lunch", 5)]


async def test_a_pause_that_an_earlier_release_ended_is_not_counted(
    world: Context, observer: EventObserver, clock: Clock, db: Database
) -> None:
    await begin(world)
    await wish(world, AgentState.PAUSED, "lunch")
    clock.later(60)
    earlier = {"$set": {"state": "available", "cause": "request", "idle_since": clock()}, "$inc": {"v": 1}}
    await db["agents"].update_one({"_id": AN.id}, earlier)
    clock.later(600)
    await wish(world, AgentState.PAUSED, "meeting")
    clock.later(30)
    await wish(world, AgentState.AVAILABLE)
    await observer.catch_up(world.publisher)
    assert [(one.reason, one.seconds) for one in observer.seen(PauseEnded)] == [("meeting", 30)]


def test_clocks_that_differ_make_no_negative_time() -> None:
    at = datetime(2026, 11, 23, 8, 0, tzinfo=UTC)
    assert ended_pause(Pause("p", at, "lunch"), at.replace(hour=7)).seconds == 0
