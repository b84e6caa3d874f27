"""services/presence/sweeps.py and telling.py: what is told again, departures, the end of sessions."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from services.broker import Publisher, Unconfirmed
from services.clock import utcnow
from services.contracts import (
    AgentChanged,
    Choice,
    ChoiceRule,
    PlaceClaimed,
    PlaceReleased,
    ReleaseReason,
    SessionEnded,
)
from services.presence import sessions, store, sweeps
from services.presence.availability import Agent
from services.presence.telling import Desk, arrive, close_session, close_session_soon, close_undecided, depart

from .conftest import Ear, account, there

WIDE = account("wide", capacity=3)


def mute(desk: Desk) -> Desk:
    """A desk without a broker."""
    return Desk(desk.db, Publisher("amqp://127.0.0.1:1/", "presence"), lambda: None)


async def agent(desk: Desk) -> Agent:
    found = await store.agent(desk.db, WIDE.id)
    assert found is not None
    return found


async def seated(desk: Desk, *chats: str) -> Agent:
    await there(desk.db, WIDE)
    await store.told(desk.db, WIDE.id, (await agent(desk)).v)
    for chat in chats:
        assert await store.claim(desk.db, WIDE.id, chat, 1, utcnow())
    return await agent(desk)


async def test_gone_is_told_of_every_seat_by_one_replica(desk: Desk, ear: Ear) -> None:
    read = await seated(desk, "a", "b")
    judged = await asyncio.gather(*(depart(desk, read, ReleaseReason.AGENT_GONE) for _ in range(4)))
    assert sorted(judged) == [False, False, False, True]
    assert {r.chat_id for r in await ear.hear(PlaceReleased, 2)} == {"a", "b"}
    (changed,) = await ear.hear(AgentChanged)
    assert (changed.online, changed.cause) == (False, "gone")
    assert len(ear.heard(PlaceReleased)) == 2


async def test_what_a_replica_could_not_tell_a_sweep_tells(desk: Desk, ear: Ear) -> None:
    read = await seated(desk, "a")
    with pytest.raises(Unconfirmed):
        await depart(mute(desk), read, ReleaseReason.AGENT_GONE)
    await sweeps.tell_leaving(desk)
    await sweeps.tell_changes(desk)
    assert ear.facts == []  # too young
    await sweeps.tell_leaving(desk, age=0)
    await sweeps.tell_changes(desk, age=0)
    (released,) = await ear.hear(PlaceReleased)
    assert (released.chat_id, released.turn, released.reason) == ("a", 1, ReleaseReason.AGENT_GONE)
    assert not (await ear.hear(AgentChanged))[0].online
    await sweeps.tell_changes(desk, age=0)
    await sweeps.tell_leaving(desk, age=0)
    await ear.hear(PlaceReleased, 2)  # a seat that is leaving is told until a state of its chat takes it away
    assert len(ear.heard(AgentChanged)) == 1


async def test_back_again_leaving_seats_go_on_leaving(desk: Desk, ear: Ear) -> None:
    await depart(desk, await seated(desk, "a"), ReleaseReason.AGENT_GONE)
    assert await arrive(desk, await agent(desk))
    back = await agent(desk)
    assert back.online
    assert [s.leaving for s in back.seats] == [ReleaseReason.AGENT_GONE]
    assert back.free == 2
    assert [c.cause for c in await ear.hear(AgentChanged, 2)] == ["gone", "back"]


async def test_unconfirmed_claims_are_told_again_and_confirmed_ones_only_as_a_reminder(desk: Desk, ear: Ear) -> None:
    await seated(desk, "a", "b")
    await store.confirm(desk.db, WIDE.id, "a", 1)
    await sweeps.tell_unconfirmed(desk)
    await sweeps.tell_unconfirmed(desk, age=0)
    assert [c.chat_id for c in await ear.hear(PlaceClaimed)] == ["b"]
    await sweeps.remind(desk)
    assert sorted(c.chat_id for c in await ear.hear(PlaceClaimed, 3)) == ["a", "b", "b"]


def repairs(reason: str) -> float:
    return sweeps.REPAIRED.labels(reason)._value.get()


async def test_a_press_that_became_no_chat_is_told_after_longer(desk: Desk, ear: Ear) -> None:
    """Its gateway died: told too early, the claim of a chat that is just being opened would close it."""
    await seated(desk)
    choice = Choice(rule=ChoiceRule.ONLY_ONE, candidates=1, speaks=True, chats=0, idle_for=0)
    for chat, age in (("old", sweeps.RESERVED + 0.5), ("new", sweeps.RESERVED - 5)):
        assert await store.claim(desk.db, WIDE.id, chat, 1, utcnow() - timedelta(seconds=age), choice, held=True)
    before = repairs("held")
    await sweeps.tell_unconfirmed(desk)
    await sweeps.remind(desk)
    await sweeps.tell_held(desk)
    (claimed,) = await ear.hear(PlaceClaimed)
    assert (claimed.chat_id, claimed.agent_id, claimed.choice) == ("old", WIDE.id, choice)
    assert repairs("held") == before + 1
    await store.confirm(desk.db, WIDE.id, "old", 1)
    await sweeps.tell_held(desk, age=0)
    assert [c.chat_id for c in await ear.hear(PlaceClaimed, 2)] == ["old", "new"]
    await sweeps.remind(desk)
    assert [c.chat_id for c in await ear.hear(PlaceClaimed, 3)] == ["old", "new", "old"]


async def test_a_press_whose_agent_is_gone_is_asked_after_too(desk: Desk, ear: Ear) -> None:
    """That somebody has left a chat of which it has never heard is nothing that routing answers."""
    await seated(desk)
    assert await store.claim(desk.db, WIDE.id, "c", 1, utcnow(), held=True)
    await depart(desk, await agent(desk), ReleaseReason.AGENT_GONE)
    await ear.hear(PlaceReleased)
    await sweeps.tell_held(desk)
    assert ear.heard(PlaceClaimed) == []
    await sweeps.tell_held(desk, age=0)
    assert [c.chat_id for c in await ear.hear(PlaceClaimed)] == ["c"]


async def test_every_repair_is_counted(desk: Desk, ear: Ear) -> None:
    await seated(desk, "a")
    _, token = await sessions.begin(desk.db, WIDE.id, utcnow(), 12)
    before = {r: repairs(r) for r in ("unconfirmed", "leaving", "untold", "session_over")}
    await sweeps.tell_unconfirmed(desk, age=0)
    await sessions.end(desk.db, token, utcnow())
    with pytest.raises(Unconfirmed):
        await depart(mute(desk), await agent(desk), ReleaseReason.LOGGED_OUT)
    await sweeps.tell_leaving(desk, age=0)
    await sweeps.tell_changes(desk, age=0)
    await sweeps.close_sessions(desk, age=0)
    assert {r: repairs(r) - n for r, n in before.items()} == dict.fromkeys(before, 1)


async def test_the_last_logout_makes_offline_at_once(desk: Desk, ear: Ear) -> None:
    await seated(desk, "a")
    (first, one), (second, two) = [await sessions.begin(desk.db, WIDE.id, utcnow(), 12) for _ in range(2)]
    desk = replace(desk, connected=lambda agent_id, session_ids, since: second.id in session_ids)
    await sessions.end(desk.db, one, utcnow())
    await close_session(desk, first)
    assert (await agent(desk)).online
    await sessions.end(desk.db, two, utcnow())
    await close_session(desk, second)
    assert not (await agent(desk)).online
    assert [r.reason for r in await ear.hear(PlaceReleased)] == [ReleaseReason.LOGGED_OUT]
    assert [e.session_id for e in await ear.hear(SessionEnded, 2)] == [first.id, second.id]
    assert await desk.db["sessions"].count_documents({}) == 0


async def test_another_session_counts_by_its_websocket_alone(desk: Desk, ear: Ear) -> None:
    """While that cannot be told the session is kept, its websockets are closed once, and it is no repair."""
    await seated(desk, "a")
    (first, one), _ = [await sessions.begin(desk.db, WIDE.id, utcnow(), 12) for _ in range(2)]
    await sessions.end(desk.db, one, utcnow())
    before = repairs("session_over")
    await close_session(desk, first)
    assert list(desk.undecided) == [first.id]
    await close_undecided(desk)
    await sweeps.close_sessions(desk, age=0)
    assert (await agent(desk)).online
    assert await desk.db["sessions"].count_documents({}) == 2
    gone = replace(desk, connected=lambda agent_id, session_ids, since: False)
    await close_undecided(gone)
    assert not (await agent(desk)).online
    assert [r.reason for r in await ear.hear(PlaceReleased)] == [ReleaseReason.LOGGED_OUT]
    assert [e.session_id for e in ear.heard(SessionEnded)] == [first.id]
    assert (await desk.db["sessions"].count_documents({}), desk.undecided) == (1, {})
    assert repairs("session_over") == before


async def test_a_logout_without_a_broker_is_finished_by_a_sweep(desk: Desk, ear: Ear) -> None:
    await seated(desk, "a")
    session, token = await sessions.begin(desk.db, WIDE.id, utcnow(), 12)
    await sessions.end(desk.db, token, utcnow())
    await close_session_soon(mute(desk), session)
    assert not (await agent(desk)).online
    await sweeps.close_sessions(desk, age=0)
    assert [e.session_id for e in await ear.hear(SessionEnded)] == [session.id]
    await ear.hear(PlaceReleased)


async def test_an_expired_session_is_told_and_its_agent_is_offline(desk: Desk, ear: Ear) -> None:
    await seated(desk)
    session, _ = await sessions.begin(desk.db, WIDE.id, utcnow() - timedelta(hours=13), 12)
    await sweeps.close_sessions(desk)
    assert [e.session_id for e in await ear.hear(SessionEnded)] == [session.id]
    assert not (await agent(desk)).online
