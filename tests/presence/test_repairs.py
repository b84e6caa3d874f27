"""services/presence/repairs.py and publisher.py: what is published again, departures, the end of sessions."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from datetime import timedelta

import pytest

from services.common.events.agents import AgentChanged, SessionEnded
from services.common.events.places import PlaceClaimed, PlaceReleased
from services.common.events.types import Choice, ChoiceRule, ReleaseReason
from services.common.messaging import publisher as publisher_module
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.mongo.client import Database
from services.presence import repairs as repair_jobs
from services.presence.agents.store import AgentStore
from services.presence.agents.transitions import (
    close_session,
    close_session_soon,
    close_undecided,
    go_offline,
    go_online,
)
from services.presence.context import Context
from services.presence.slots.rules import Agent
from services.presence.stores import Stores
from tests.presence.conftest import Clock, EventObserver, account, repairs, there
from tests.support.servers import PATIENCE

WIDE = account("wide", capacity=3)


@pytest.fixture
async def context(context: Context, clock: Clock) -> Context:
    """A context whose time passes only when the test says so."""
    return replace(context, clock=clock)


def mute(context: Context, monkeypatch: pytest.MonkeyPatch) -> Context:
    """The same context without a broker, which it does not wait for."""
    monkeypatch.setattr(publisher_module, "PREPARE_TIMEOUT", 0.2)
    return replace(context, publisher=Publisher("amqp://127.0.0.1:1/", "presence"), undecided={})


async def agent(context: Context) -> Agent:
    found = await context.stores.agents.agent(WIDE.id)
    assert found is not None
    return found


async def seated(context: Context, *chats: str) -> Agent:
    await there(context.stores, WIDE)
    await context.stores.agents.mark_published(WIDE.id, (await agent(context)).v)
    for chat in chats:
        assert await context.stores.agents.reserve(WIDE.id, chat, 1, context.clock())
    return await agent(context)


async def test_one_replica_publishes_the_release_of_every_slot_of_an_offline_agent(
    context: Context, observer: EventObserver
) -> None:
    read = await seated(context, "a", "b")
    judged = await asyncio.gather(*(go_offline(context, read, ReleaseReason.AGENT_GONE) for _ in range(4)))
    assert sorted(judged) == [False, False, False, True]
    await observer.catch_up(context.publisher)
    assert sorted(r.chat_id for r in observer.seen(PlaceReleased)) == ["a", "b"]
    (changed,) = observer.seen(AgentChanged)
    assert (changed.online, changed.cause) == (False, "gone")


async def test_a_repair_job_publishes_what_a_replica_could_not(
    context: Context, clock: Clock, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = await seated(context, "a")
    with pytest.raises(Unconfirmed):
        await go_offline(mute(context, monkeypatch), read, ReleaseReason.AGENT_GONE)
    clock.later(repair_jobs.MARKS - 0.1)
    await repair_jobs.publish_leaving(context)
    await repair_jobs.publish_changes(context)
    await observer.catch_up(context.publisher)
    assert observer.events == []  # too young
    clock.later(0.2)
    await repair_jobs.publish_leaving(context)
    await repair_jobs.publish_changes(context)
    await observer.catch_up(context.publisher)
    (released,) = observer.seen(PlaceReleased)
    assert (released.chat_id, released.turn, released.reason) == ("a", 1, ReleaseReason.AGENT_GONE)
    (changed,) = observer.seen(AgentChanged)
    assert not changed.online
    await repair_jobs.publish_changes(context)
    await repair_jobs.publish_leaving(context)
    await observer.catch_up(context.publisher)
    assert len(observer.seen(PlaceReleased)) == 2, (
        "a seat that is leaving is told until a state of its chat takes it away"
    )
    assert len(observer.seen(AgentChanged)) == 1


async def test_after_the_return_leaving_slots_go_on_leaving(context: Context, observer: EventObserver) -> None:
    await go_offline(context, await seated(context, "a"), ReleaseReason.AGENT_GONE)
    assert await go_online(context, await agent(context))
    back = await agent(context)
    assert back.online
    assert [s.leaving for s in back.slots] == [ReleaseReason.AGENT_GONE]
    assert back.free == 2
    assert [c.cause for c in await observer.wait_for(AgentChanged, 2)] == ["gone", "back"]


async def test_unconfirmed_claims_are_published_again_and_confirmed_ones_only_as_a_reminder(
    context: Context, clock: Clock, observer: EventObserver
) -> None:
    await seated(context, "a", "b")
    await context.stores.agents.confirm(WIDE.id, "a", 1)
    clock.later(repair_jobs.UNCONFIRMED - 0.1)
    await repair_jobs.publish_unconfirmed(context)
    await observer.catch_up(context.publisher)
    assert observer.events == []  # too young
    clock.later(0.2)
    await repair_jobs.publish_unconfirmed(context)
    await observer.catch_up(context.publisher)
    assert [c.chat_id for c in observer.seen(PlaceClaimed)] == ["b"]
    await repair_jobs.remind(context)
    await observer.catch_up(context.publisher)
    assert sorted(c.chat_id for c in observer.seen(PlaceClaimed)) == ["a", "b", "b"]


async def test_of_many_replicas_one_at_a_time_reminds(
    context: Context, db: Database, clock: Clock, observer: EventObserver
) -> None:
    await seated(context, "a", "b")
    for slot in ("a", "b"):
        await context.stores.agents.confirm(WIDE.id, slot, 1)
    replicas = [replace(context, stores=Stores(db)) for _ in range(3)]
    for rounds in (1, 2):
        await asyncio.gather(*(repair_jobs.remind_in_turn(replica) for replica in replicas))
        await observer.catch_up(context.publisher)
        claims = observer.seen(PlaceClaimed)
        assert sorted(c.chat_id for c in claims) == sorted(["a", "b"] * rounds)
        assert all(c.reminder for c in claims)
        clock.later(repair_jobs.REMINDER)


async def test_reminders_of_many_slots_are_spread_over_time(context: Context, observer: EventObserver) -> None:
    """New assignments would wait behind a burst. A slot that is free by then is not published any more."""
    batches = 3
    agents = [account(f"agent{n:02}") for n in range(batches * repair_jobs.REMINDED)]
    await there(context.stores, *agents)
    order: list[int] = []
    dropped: set[str] = set()
    for one in agents:
        assert await context.stores.agents.reserve(one.id, f"chat of {one.id}", 1, context.clock())
        await context.stores.agents.confirm(one.id, f"chat of {one.id}", 1)
    sleeps: list[float] = []

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        await observer.catch_up(context.publisher)
        order.append(len(observer.seen(PlaceClaimed)))
        told = {claim.agent_id for claim in observer.seen(PlaceClaimed)}
        last = next(one for one in reversed(agents) if one.id not in told | dropped)
        assert await context.stores.agents.drop(last.id, f"chat of {last.id}", 1, context.clock())
        dropped.add(last.id)

    await repair_jobs.remind(context, sleep)
    await observer.catch_up(context.publisher)
    claimed = [claim.agent_id for claim in observer.seen(PlaceClaimed)]
    assert order[0] == repair_jobs.REMINDED
    assert sorted(claimed) == sorted({one.id for one in agents} - dropped)
    assert sleeps == [repair_jobs.PAUSE] * (batches - 1)


async def test_however_many_slots_the_reminders_end_before_the_next_ones(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleeps: list[float] = []

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)

    async def ids(store: AgentStore) -> list[str]:
        return [f"agent {n}" for n in range(15_000)]

    async def none(store: AgentStore, ids: Collection[str]) -> list[Agent]:
        assert len(ids) <= repair_jobs.REMINDED
        return []

    monkeypatch.setattr(AgentStore, "ids_with_slots", ids)
    monkeypatch.setattr(AgentStore, "with_slots", none)
    await repair_jobs.remind(context, sleep)
    assert repair_jobs.SPREAD * 0.9 < sum(sleeps) < repair_jobs.REMINDER - repair_jobs.TURN


async def test_repairs_of_many_agents_do_not_wait_for_each_other(
    context: Context, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each waits for a confirm of the broker: one after the other they take minutes after an outage."""
    agents = [account(f"agent{n}") for n in range(4)]
    await there(context.stores, *agents)
    for one in agents:
        assert await context.stores.agents.reserve(one.id, f"chat of {one.id}", 1, context.clock())
    clock.later(repair_jobs.RESERVED)
    for job, name in (
        (repair_jobs.publish_unconfirmed, "publish_slot"),
        (repair_jobs.publish_changes, "publish_agent"),
    ):
        together = asyncio.Barrier(len(agents))

        async def wait(*_: object, barrier: asyncio.Barrier = together) -> None:
            await barrier.wait()

        monkeypatch.setattr(repair_jobs, name, wait)
        async with asyncio.timeout(PATIENCE):
            await job(context)


async def test_a_press_that_became_no_chat_is_published_after_longer(
    context: Context, clock: Clock, observer: EventObserver
) -> None:
    """Its gateway died: published too early, the claim of a chat that is just being opened would close it."""
    await seated(context)
    choice = Choice(rule=ChoiceRule.ONLY_ONE, candidates=1, speaks=True, chats=0, idle_for=0)
    for chat, age in (("old", repair_jobs.RESERVED + 0.5), ("new", repair_jobs.RESERVED - 5)):
        assert await context.stores.agents.reserve(
            WIDE.id, chat, 1, clock() - timedelta(seconds=age), choice, by_press=True
        )
    before = repairs("held")
    await repair_jobs.publish_unconfirmed(context)
    await repair_jobs.remind(context)
    await repair_jobs.publish_reserved(context)
    await observer.catch_up(context.publisher)
    (claimed,) = observer.seen(PlaceClaimed)
    assert (claimed.chat_id, claimed.agent_id, claimed.choice) == ("old", WIDE.id, choice)
    assert repairs("held") == before + 1
    await context.stores.agents.confirm(WIDE.id, "old", 1)
    await repair_jobs.publish_reserved(context, age=0)
    await observer.catch_up(context.publisher)
    assert [c.chat_id for c in observer.seen(PlaceClaimed)] == ["old", "new"]
    await repair_jobs.remind(context)
    await observer.catch_up(context.publisher)
    assert [c.chat_id for c in observer.seen(PlaceClaimed)] == ["old", "new", "old"]


async def test_a_press_whose_agent_is_offline_is_published_too(context: Context, observer: EventObserver) -> None:
    """Routing does not answer a release of a chat that it does not know."""
    await seated(context)
    assert await context.stores.agents.reserve(WIDE.id, "c", 1, context.clock(), by_press=True)
    await go_offline(context, await agent(context), ReleaseReason.AGENT_GONE)
    await repair_jobs.publish_reserved(context)
    await observer.catch_up(context.publisher)
    assert [r.chat_id for r in observer.seen(PlaceReleased)] == ["c"]
    assert observer.seen(PlaceClaimed) == []
    await repair_jobs.publish_reserved(context, age=0)
    await observer.catch_up(context.publisher)
    assert [c.chat_id for c in observer.seen(PlaceClaimed)] == ["c"]


async def test_every_repair_is_counted(context: Context, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    await seated(context, "a")
    _, token = await context.stores.sessions.begin(WIDE.id, clock(), 12)
    before = {r: repairs(r) for r in ("unconfirmed", "leaving", "untold", "session_over")}
    await repair_jobs.publish_unconfirmed(context, age=0)
    await context.stores.sessions.end(token, clock())
    with pytest.raises(Unconfirmed):
        await go_offline(mute(context, monkeypatch), await agent(context), ReleaseReason.LOGGED_OUT)
    clock.later(1)
    await repair_jobs.publish_leaving(context, age=0)
    await repair_jobs.publish_changes(context, age=0)
    await repair_jobs.close_sessions(context, age=0)
    assert {r: repairs(r) - n for r, n in before.items()} == dict.fromkeys(before, 1)


async def test_the_last_logout_makes_offline_at_once(
    context: Context, db: Database, stores: Stores, observer: EventObserver
) -> None:
    await seated(context, "a")
    (first, one), (second, two) = [await context.stores.sessions.begin(WIDE.id, context.clock(), 12) for _ in range(2)]
    context = replace(context, connected=lambda agent_id, session_ids, since: second.id in session_ids)
    await context.stores.sessions.end(one, context.clock())
    await close_session(context, first)
    assert (await agent(context)).online
    await context.stores.sessions.end(two, context.clock())
    await close_session(context, second)
    assert not (await agent(context)).online
    await observer.catch_up(context.publisher)
    assert [r.reason for r in observer.seen(PlaceReleased)] == [ReleaseReason.LOGGED_OUT]
    assert [e.session_id for e in observer.seen(SessionEnded)] == [first.id, second.id]
    assert await db["sessions"].count_documents({}) == 0


async def test_another_session_counts_by_its_websocket_alone(
    context: Context, db: Database, stores: Stores, clock: Clock, observer: EventObserver
) -> None:
    """While that cannot be published the session is kept, its websockets are closed once, and it is no repair."""
    await seated(context, "a")
    (first, one), _ = [await context.stores.sessions.begin(WIDE.id, clock(), 12) for _ in range(2)]
    await context.stores.sessions.end(one, clock())
    before = repairs("session_over")
    await close_session(context, first)
    assert list(context.undecided) == [first.id]
    await close_undecided(context)
    clock.later(1)
    await repair_jobs.close_sessions(context, age=0)
    assert (await agent(context)).online
    assert await db["sessions"].count_documents({}) == 2
    gone = replace(context, connected=lambda agent_id, session_ids, since: False)
    await close_undecided(gone)
    assert not (await agent(context)).online
    await observer.catch_up(context.publisher)
    assert [r.reason for r in observer.seen(PlaceReleased)] == [ReleaseReason.LOGGED_OUT]
    assert [e.session_id for e in observer.seen(SessionEnded)] == [first.id]
    assert (await db["sessions"].count_documents({}), context.undecided) == (1, {})
    assert repairs("session_over") == before


async def test_a_logout_without_a_broker_is_finished_by_a_repair_job(
    context: Context, clock: Clock, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    await seated(context, "a")
    session, token = await context.stores.sessions.begin(WIDE.id, clock(), 12)
    await context.stores.sessions.end(token, clock())
    await close_session_soon(mute(context, monkeypatch), session)
    assert not (await agent(context)).online
    clock.later(1)
    await repair_jobs.close_sessions(context, age=0)
    assert [e.session_id for e in await observer.wait_for(SessionEnded)] == [session.id]
    await observer.wait_for(PlaceReleased)


async def test_an_expired_session_is_published_and_its_agent_is_offline(
    context: Context, observer: EventObserver
) -> None:
    await seated(context)
    begun = context.clock() - timedelta(hours=12, minutes=5)  # the database forgets it an hour after its end
    session, _ = await context.stores.sessions.begin(WIDE.id, begun, 12)
    await repair_jobs.close_sessions(context)
    assert [e.session_id for e in await observer.wait_for(SessionEnded)] == [session.id]
    assert not (await agent(context)).online


async def test_the_slot_of_a_form_is_never_published_to_routing_and_is_free_when_its_time_is_over(
    context: Context, clock: Clock, observer: EventObserver
) -> None:
    await seated(context)
    agents = context.stores.agents
    for chat, seconds in (("short", 30), ("long", 60), ("kept", 30)):
        until = clock() + timedelta(seconds=seconds)
        assert await agents.reserve(WIDE.id, chat, 1, clock(), by_press=True, until=until)
    assert await agents.mark_announced(WIDE.id, "kept", 1, clock())
    clock.later(31)
    await repair_jobs.end_lapsed(context)
    assert sorted(slot.chat_id for slot in (await agent(context)).slots) == ["kept", "long"]
    await repair_jobs.publish_unconfirmed(context)
    await repair_jobs.publish_reserved(context)
    await repair_jobs.remind(context)
    await go_offline(context, await agent(context), ReleaseReason.AGENT_GONE)
    await repair_jobs.publish_leaving(context, age=0)
    await observer.catch_up(context.publisher)
    assert {claim.chat_id for claim in observer.seen(PlaceClaimed)} == {"kept"}, "it is a chat by now"
    assert {one.chat_id for one in observer.seen(PlaceReleased)} == {"kept"}
    await repair_jobs.end_lapsed(context)
    assert [slot.chat_id for slot in (await agent(context)).slots] == ["kept"], "an agent who left holds no form"
