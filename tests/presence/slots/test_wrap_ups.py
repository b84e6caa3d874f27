"""Wrap-ups, with the real broker and database: begun once, ended once, and told until the broker has it."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.common.events.agents import AgentChanged, WrapUpDone, WrapUpEnded
from services.common.events.chats import ChatState
from services.common.events.places import PlaceClaimed, PlaceReleased, PlaceWanted
from services.common.events.types import AgentState, ButtonReason, Cause, ChatStatus, CloseReason, ReleaseReason
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.mongo.client import Database
from services.presence import repairs as repair_jobs
from services.presence.agents.transitions import go_offline, go_online
from services.presence.button.updater import evaluate
from services.presence.consumers import Handlers
from services.presence.context import Context
from services.presence.opening_hours import Schedule
from services.presence.slots.allocator import Allocator
from services.presence.slots.rules import Agent, Slot, wrap_up_until
from services.presence.stores import Stores
from tests.presence.conftest import Clock, EventObserver, account, there
from tests.support.metrics import sample

AN = account("an", capacity=2)
SECONDS = 120.0
CHAT, OTHER = "chat 1", "chat 2"


@pytest.fixture
async def context(context: Context, clock: Clock) -> Context:
    """A context whose time passes only when the test says so."""
    return replace(context, clock=clock)


def handlers_of(context: Context, seconds: float = SECONDS) -> Handlers:
    """The handlers as one replica has them."""
    return Handlers(context, Allocator(context, {}, {}), {"algemeen": seconds})


def closed(at: datetime, chat: str = CHAT, agent: str | None = AN.id, **more: Any) -> ChatState:
    given = {"v": 4, "turn": 1, "accepted": True, "department": "algemeen", **more}
    return ChatState(
        chat_id=chat, state=ChatStatus.CLOSED, cause=Cause.CLOSED, agent_id=agent, reason=CloseReason.AGENT, at=at,
        **given,
    )  # fmt: skip


async def agent(context: Context) -> Agent:
    found = await context.stores.agents.agent(AN.id)
    assert found is not None
    return found


async def serving(context: Context, *chats: str) -> None:
    """The agent has these chats, confirmed by routing."""
    await there(context.stores, AN)
    await context.stores.agents.mark_published(AN.id, (await agent(context)).v)
    for chat in chats:
        assert await context.stores.agents.reserve(AN.id, chat, 1, context.clock())
        await context.stores.agents.confirm(AN.id, chat, 1)


async def wrapping(context: Context, clock: Clock, *chats: str) -> None:
    """The agent wraps these chats up since now."""
    await serving(context, *chats)
    for chat in chats:
        await handlers_of(context).chat_state(closed(clock(), chat))
    assert sorted(one.chat_id for one in (await agent(context)).wrap_ups) == sorted(chats)


@pytest.mark.parametrize(
    ("change", "seconds", "left"),
    [
        ({}, 120, 90),
        ({}, 30, None),  # just over
        ({}, 0, None),
        ({"accepted": False}, 120, None),
        ({"accepted": None}, 120, None),  # a release of routing that does not say it
        ({"agent": None, "accepted": None}, 120, None),
    ],
)
def test_the_time_counts_from_the_end_of_a_chat_that_its_agent_had_accepted(
    clock: Clock, change: dict[str, Any], seconds: float, left: float | None
) -> None:
    now = clock() + timedelta(seconds=30)
    until = wrap_up_until(closed(clock(), **change), seconds, now)
    assert until == (None if left is None else now + timedelta(seconds=left))


def test_a_slot_in_wrap_up_is_no_form_and_no_press(clock: Clock) -> None:
    slot = Slot(CHAT, 1, clock(), by_press=True, until=clock() + timedelta(seconds=1), wrap_up="algemeen")
    assert not slot.form
    assert not slot.reserved
    assert not slot.lapsed(clock() + timedelta(days=1))
    assert slot.unknown_to_routing
    assert not slot.wrapped_up(clock())
    assert slot.wrapped_up(clock() + timedelta(seconds=1))
    assert replace(slot, leaving=ReleaseReason.LOGGED_OUT).wrapped_up(clock())


async def test_the_slot_stays_taken_and_the_agent_is_notified_once(
    context: Context, clock: Clock, observer: EventObserver
) -> None:
    await serving(context, CHAT)
    replicas = [handlers_of(context) for _ in range(3)]
    await asyncio.gather(*(one.chat_state(closed(clock())) for one in replicas))
    found = await agent(context)
    assert (found.free, [slot.wrap_up for slot in found.slots]) == (1, ["algemeen"])
    await observer.catch_up(context.publisher)
    (told,) = observer.seen(AgentChanged)
    assert told.wrap_ups is not None
    assert [(one.chat_id, one.until - clock()) for one in told.wrap_ups] == [(CHAT, timedelta(seconds=SECONDS))]


@pytest.mark.parametrize("end", ["press", "time"])
async def test_it_ends_by_a_press_or_by_its_time_and_is_counted_once(
    context: Context, clock: Clock, observer: EventObserver, end: str
) -> None:
    await wrapping(context, clock, CHAT, OTHER)
    woken: list[str] = []
    context = replace(context, wake=woken.extend)
    clock.later(SECONDS - 0.5)
    await repair_jobs.end_wrap_ups(context)
    assert (await agent(context)).free == 0
    if end == "time":
        clock.later(1)
        await asyncio.gather(*(repair_jobs.end_wrap_ups(context) for _ in range(3)))
    else:
        await handlers_of(context).wrap_up_done(WrapUpDone(agent_id=account("bert").id, chat_id=CHAT))
        assert (await agent(context)).free == 0, "a colleague ends nothing"
        for chat in (CHAT, OTHER, CHAT):
            await handlers_of(context).wrap_up_done(WrapUpDone(agent_id=AN.id, chat_id=chat))
    await handlers_of(context).chat_state(closed(clock()))  # told again by routing: it does not begin again
    found = await agent(context)
    assert (found.free, found.slots, found.unpublished) == (2, (), ())
    assert woken == ["algemeen"] * 2
    await observer.catch_up(context.publisher)
    ended = observer.seen(WrapUpEnded)
    seconds = 120 if end == "time" else round(SECONDS - 0.5)
    assert {(one.chat_id, one.department, one.seconds) for one in ended} == {
        (CHAT, "algemeen", seconds),
        (OTHER, "algemeen", seconds),
    }
    assert observer.seen(AgentChanged)[-1].wrap_ups == []


async def test_a_repeated_end_of_the_chat_leaves_it_alone(context: Context, clock: Clock) -> None:
    await wrapping(context, clock, CHAT)
    before = await agent(context)
    clock.later(20)
    late = closed(clock() - timedelta(seconds=20))
    await handlers_of(context).chat_state(late)
    await handlers_of(context, 0.0).chat_state(closed(clock()))
    assert (await agent(context)).slots == before.slots


async def test_a_chat_that_was_not_accepted_or_was_transferred_frees_the_slot(context: Context, clock: Clock) -> None:
    await serving(context, CHAT, OTHER)
    await handlers_of(context).chat_state(closed(clock(), accepted=False))
    assert (await agent(context)).free == 1
    moved = closed(clock(), OTHER, agent=None, turn=2).model_copy(update={"state": ChatStatus.WAITING})
    await handlers_of(context).chat_state(moved)
    found = await agent(context)
    assert (found.free, found.wrap_ups) == (2, [])


async def test_nothing_of_it_is_published_to_routing(context: Context, clock: Clock, observer: EventObserver) -> None:
    await wrapping(context, clock, CHAT)
    clock.later(SECONDS - 1)
    for job in (
        repair_jobs.publish_leaving,
        repair_jobs.publish_unconfirmed,
        repair_jobs.publish_reserved,
        repair_jobs.end_lapsed,
        repair_jobs.remind,
    ):
        await job(context)
    await handlers_of(context).place_wanted(PlaceWanted(chat_id=CHAT, turn=1, department="algemeen"))
    await go_offline(context, await agent(context), ReleaseReason.AGENT_GONE)
    await observer.catch_up(context.publisher)
    assert observer.seen(PlaceReleased) + observer.seen(PlaceClaimed) == []
    assert len((await agent(context)).wrap_ups) == 1


async def test_it_outlasts_a_lost_connection_and_a_pause_and_ends_with_a_logout(
    context: Context, clock: Clock, observer: EventObserver
) -> None:
    await wrapping(context, clock, CHAT)
    assert await go_offline(context, await agent(context), ReleaseReason.AGENT_GONE)
    clock.later(1)
    await repair_jobs.end_wrap_ups(context)
    assert await go_online(context, await agent(context))
    await context.stores.agents.set_state(AN.id, AgentState.PAUSED, "request", "e1", clock())
    assert [one.chat_id for one in (await agent(context)).wrap_ups] == [CHAT]
    clock.later(1)
    assert await go_offline(context, await agent(context), ReleaseReason.LOGGED_OUT)
    found = await agent(context)
    assert (found.free, found.slots) == (2, ())
    await observer.catch_up(context.publisher)
    assert [one.seconds for one in observer.seen(WrapUpEnded)] == [2]


async def test_a_replica_that_died_after_the_logout_leaves_no_slot_behind(context: Context, clock: Clock) -> None:
    await wrapping(context, clock, CHAT)
    read = await agent(context)
    assert await context.stores.agents.set_offline(AN.id, read.v, ReleaseReason.LOGGED_OUT, clock())
    assert (await agent(context)).wrap_ups == []
    await repair_jobs.end_wrap_ups(context)
    assert (await agent(context)).free == 2


async def test_what_the_broker_did_not_take_is_published_by_a_repair_job(
    context: Context, clock: Clock, observer: EventObserver
) -> None:
    await wrapping(context, clock, CHAT)
    mute = replace(context, publisher=Publisher("amqp://127.0.0.1:1/", "presence"))
    clock.later(30)
    with pytest.raises(Unconfirmed):
        await handlers_of(mute).wrap_up_done(WrapUpDone(agent_id=AN.id, chat_id=CHAT))
    assert (await agent(context)).free == 2
    clock.later(repair_jobs.MARKS + 0.1)
    await repair_jobs.publish_changes(context)
    await repair_jobs.publish_changes(context)
    await observer.catch_up(context.publisher)
    assert [one.seconds for one in observer.seen(WrapUpEnded)] == [30]
    assert observer.seen(AgentChanged)[-1].wrap_ups == []
    assert (await agent(context)).unpublished == ()


async def test_the_button_is_blue_while_all_other_slots_are_taken(
    context: Context, stores: Stores, clock: Clock
) -> None:
    schedules = {"algemeen": Schedule(None, ZoneInfo("Europe/Brussels"))}
    await wrapping(context, clock, CHAT)
    await evaluate(stores, schedules, clock, ["algemeen"])
    assert await reason(stores) is ButtonReason.AVAILABLE
    assert await stores.agents.reserve(AN.id, OTHER, 1, clock())
    await evaluate(stores, schedules, clock, ["algemeen"])
    assert await reason(stores) is ButtonReason.BUSY
    assert not await stores.agents.reserve(AN.id, "chat 3", 1, clock()), "a third chat finds no slot"
    await handlers_of(context).wrap_up_done(WrapUpDone(agent_id=AN.id, chat_id=CHAT))
    await evaluate(stores, schedules, clock, ["algemeen"])
    assert await reason(stores) is ButtonReason.AVAILABLE


async def reason(stores: Stores) -> ButtonReason:
    (doc,) = await stores.buttons.read(["algemeen"])
    return ButtonReason(doc["reason"])


async def test_a_replica_that_does_not_know_it_frees_the_slot_at_the_latest_when_its_time_is_over(
    context: Context, db: Database, clock: Clock
) -> None:
    """To it the slot is one that an open form reserves: its own job frees it, and its handler of ended chats too."""
    await wrapping(context, clock, CHAT)
    await db["agents"].update_one({"_id": AN.id}, {"$unset": {"seats.0.wrap_up": ""}})  # as it reads the slot
    (slot,) = (await agent(context)).slots
    assert slot.form
    clock.later(SECONDS)
    await repair_jobs.end_lapsed(context)
    assert (await agent(context)).free == 2


async def test_how_many_go_on_is_measured_by_department(context: Context, clock: Clock) -> None:
    def measured() -> float | None:
        return sample("eloket_wrap_ups", {"department": "algemeen"})

    await wrapping(context, clock, CHAT, OTHER)
    await repair_jobs.end_wrap_ups(context)
    assert measured() == 2
    clock.later(SECONDS)
    await repair_jobs.end_wrap_ups(context)
    await repair_jobs.end_wrap_ups(context)
    assert measured() == 0
