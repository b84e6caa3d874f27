"""services/presence/agents/store.py on the real database: each change is one compare-and-set, races included."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from services.common.clock import utcnow
from services.common.events.types import AgentState, Choice, ChoiceRule, ReleaseReason
from services.common.mongo.client import Database, open_database
from services.presence.agents import store
from services.presence.settings import PresenceSettings
from services.presence.slots.rules import Agent
from tests.presence.conftest import account, there
from tests.real import PATIENCE

AN, BERT = account("an"), account("bert")
WIDE = account("wide", "algemeen", "premies", capacity=3)


@pytest.fixture
async def other(settings: PresenceSettings, db: Database) -> AsyncIterator[Database]:
    """The same database, as a second replica has it open."""
    database = open_database(settings, "presence")
    yield database
    database.client.close()


async def agent(db: Database, id_: str) -> Agent:
    found = await store.agent(db, id_)
    assert found is not None
    return found


async def test_accounts_put_again_keep_what_the_agent_does(db: Database) -> None:
    await there(db, WIDE)
    assert await store.claim(db, WIDE.id, "c", 1, utcnow())
    assert await store.put_accounts(db, [WIDE.model_copy(update={"capacity": 2, "name": "New"})], utcnow()) == []
    now = await agent(db, WIDE.id)
    assert (now.name, now.capacity, now.free, now.online, len(now.slots)) == ("New", 2, 1, True, 1)


async def test_an_account_that_is_left_out_may_not_log_in(db: Database) -> None:
    await store.put_accounts(db, [AN, BERT], utcnow())
    assert await store.put_accounts(db, [AN], utcnow()) == [BERT.id]
    assert await store.password_of(db, "bert") is None
    assert await store.password_of(db, "an") == (AN.id, AN.password_hash)
    assert await store.absent(db, [AN.id, BERT.id]) == [await agent(db, AN.id)]
    assert await store.put_accounts(db, [AN, BERT], utcnow()) == []
    assert await store.password_of(db, "bert") is not None


async def test_one_place_goes_to_one_chat(db: Database, other: Database) -> None:
    """Twenty chats ask two replicas for an agent of capacity 3."""
    await there(db, WIDE)
    allocator = [store.claim((db, other)[n % 2], WIDE.id, f"c{n}", 1, utcnow()) for n in range(20)]
    assert sum(await asyncio.gather(*allocator)) == 3
    now = await agent(db, WIDE.id)
    assert (now.free, len(now.slots)) == (0, 3)


async def test_one_chat_has_one_seat_of_an_agent(db: Database, other: Database) -> None:
    await there(db, WIDE)
    allocator = [store.claim((db, other)[n % 2], WIDE.id, "c", 1 + n % 3, utcnow()) for n in range(12)]
    assert sum(await asyncio.gather(*allocator)) == 1


@pytest.mark.parametrize("hindrance", ["offline", "paused", "barred"])
async def test_who_is_not_there_gets_no_chat(db: Database, hindrance: str) -> None:
    await there(db, AN)
    if hindrance == "offline":
        assert await store.set_offline(db, AN.id, (await agent(db, AN.id)).v, ReleaseReason.AGENT_GONE, utcnow())
    elif hindrance == "paused":
        assert await store.set_state(db, AN.id, AgentState.PAUSED, "request", "f", utcnow())
    else:
        await store.put_accounts(db, [], utcnow())
    assert await store.candidates(db) == []
    assert not await store.claim(db, AN.id, "c", 1, utcnow())


async def test_candidates_are_all_who_are_there_full_or_not(db: Database) -> None:
    await there(db, AN, WIDE)
    await store.claim(db, AN.id, "c", 1, utcnow())
    found = {c.id: c for c in await store.candidates(db)}
    assert {i: (c.departments, c.capacity, c.free, c.chats, c.seated) for i, c in found.items()} == {
        AN.id: (frozenset({"algemeen"}), 1, 0, 1, frozenset({"c"})),
        WIDE.id: (frozenset({"algemeen", "premies"}), 3, 3, 0, frozenset()),
    }


async def test_who_comes_or_ends_a_pause_is_idle_from_then_on(db: Database) -> None:
    """Nobody is first in line for the time that he was not there."""
    await store.put_accounts(db, [AN], utcnow() - timedelta(days=1))
    came = utcnow()
    assert await store.set_online(db, AN.id, (await agent(db, AN.id)).v, came)
    (candidate,) = await store.candidates(db)
    assert abs(candidate.idle_since - came) < timedelta(milliseconds=1)
    await store.set_state(db, AN.id, AgentState.PAUSED, "request", "1", utcnow())
    back = came + timedelta(hours=1)
    await store.set_state(db, AN.id, AgentState.AVAILABLE, "request", "2", back)
    (candidate,) = await store.candidates(db)
    assert abs(candidate.idle_since - back) < timedelta(milliseconds=1)


async def test_a_seat_keeps_why_its_agent_was_chosen(db: Database) -> None:
    await there(db, WIDE)
    choice = Choice(rule=ChoiceRule.LANGUAGE, candidates=2, speaks=True, chats=0, idle_for=1.5)
    await store.claim(db, WIDE.id, "c", 1, utcnow(), choice, held=True)
    await store.claim(db, WIDE.id, "d", 1, utcnow())
    held, plain = (await agent(db, WIDE.id)).slots
    assert (held.choice, held.held, held.reserved) == (choice, True, True)
    assert (plain.choice, plain.held, plain.reserved) == (None, False, False)
    await store.confirm(db, WIDE.id, "c", 1)
    assert not (await agent(db, WIDE.id)).slots[0].reserved


async def test_a_seat_from_before_the_reasons_were_kept_is_read(db: Database) -> None:
    await there(db, AN)
    await store.claim(db, AN.id, "c", 1, utcnow())
    await db["agents"].update_one({"_id": AN.id}, {"$unset": {"seats.0.choice": "", "seats.0.held": ""}})
    (slot,) = (await agent(db, AN.id)).slots
    assert (slot.chat_id, slot.choice, slot.held) == ("c", None, False)


async def test_a_seat_goes_once(db: Database, other: Database) -> None:
    await there(db, WIDE)
    await store.claim(db, WIDE.id, "c", 2, utcnow())
    assert not await store.drop(db, WIDE.id, "c", 1, utcnow())
    drops = [store.drop((db, other)[n % 2], WIDE.id, "c", 2, utcnow()) for n in range(10)]
    assert sum(await asyncio.gather(*drops)) == 1
    assert (await agent(db, WIDE.id)).free == 3


async def test_confirming_marks_only_that_seat(db: Database) -> None:
    await there(db, WIDE)
    await store.claim(db, WIDE.id, "c", 1, utcnow())
    await store.claim(db, WIDE.id, "d", 1, utcnow())
    await store.confirm(db, WIDE.id, "c", 2)
    await store.confirm(db, WIDE.id, "d", 1)
    await store.confirm(db, WIDE.id, "d", 1)
    assert {s.chat_id: s.confirmed for s in (await agent(db, WIDE.id)).slots} == {"c": False, "d": True}


async def test_gone_makes_every_seat_leave_and_keeps_the_place_taken(db: Database) -> None:
    await there(db, WIDE)
    await store.claim(db, WIDE.id, "c", 1, utcnow())
    v = (await agent(db, WIDE.id)).v
    assert await store.set_offline(db, WIDE.id, v, ReleaseReason.AGENT_GONE, utcnow())
    assert not await store.set_offline(db, WIDE.id, v, ReleaseReason.AGENT_GONE, utcnow())
    gone = await agent(db, WIDE.id)
    assert (gone.online, gone.free, gone.cause, gone.v) == (False, 2, "gone", v + 1)
    assert [s.leaving for s in gone.slots] == [ReleaseReason.AGENT_GONE]

    assert await store.set_online(db, WIDE.id, gone.v, utcnow())
    await store.claim(db, WIDE.id, "d", 1, utcnow())
    back = await agent(db, WIDE.id)
    assert await store.set_offline(db, WIDE.id, back.v, ReleaseReason.LOGGED_OUT, utcnow())
    leaving = {s.chat_id: s.leaving for s in (await agent(db, WIDE.id)).slots}
    assert leaving == {"c": ReleaseReason.AGENT_GONE, "d": ReleaseReason.LOGGED_OUT}


async def test_a_claim_and_going_offline_leave_no_seat_behind(db: Database, other: Database) -> None:
    """Whichever comes first: a seat of someone who is offline is always leaving."""
    for n in range(30):
        await there(db, account("racer"))
        racer = await agent(db, account("racer").id)
        claimed, off = await asyncio.gather(
            store.claim(db, racer.id, f"c{n}", 1, utcnow()),
            store.set_offline(other, racer.id, racer.v, ReleaseReason.AGENT_GONE, utcnow()),
        )
        assert off
        now = await agent(db, racer.id)
        assert not now.online
        assert len(now.slots) == claimed
        assert all(s.leaving for s in now.slots)
        for slot in now.slots:
            await store.drop(db, racer.id, slot.chat_id, slot.turn, utcnow())


async def test_online_fails_when_a_logout_came_between(db: Database) -> None:
    """The logout of an agent who is offline leaves nothing to see but `v`, and that is enough."""
    await store.put_accounts(db, [AN], utcnow())
    read = await agent(db, AN.id)
    assert await store.set_offline(db, AN.id, read.v, ReleaseReason.LOGGED_OUT, utcnow())
    assert not await store.set_online(db, AN.id, read.v, utcnow())


async def test_a_state_event_is_acted_on_once(db: Database) -> None:
    await there(db, AN)
    assert await store.set_state(db, AN.id, AgentState.PAUSED, "request", "first", utcnow())
    assert not await store.set_state(db, AN.id, AgentState.PAUSED, "request", "second", utcnow())
    assert await store.set_state(db, AN.id, AgentState.AVAILABLE, "request", "third", utcnow())
    for late in ("first", "second", "third"):
        assert not await store.set_state(db, AN.id, AgentState.PAUSED, "request", late, utcnow())
    assert (await agent(db, AN.id)).state is AgentState.AVAILABLE


async def test_a_change_is_untold_until_told(db: Database) -> None:
    await there(db, AN, BERT)
    later = utcnow() + timedelta(seconds=1)
    assert {a.id for a in await store.untold(db, later)} == {AN.id, BERT.id}
    assert await store.untold(db, utcnow() - timedelta(seconds=60)) == []
    await store.told(db, AN.id, (await agent(db, AN.id)).v)
    await store.told(db, BERT.id, (await agent(db, BERT.id)).v - 1)
    assert {a.id for a in await store.untold(db, later)} == {BERT.id}


async def test_colleagues(db: Database) -> None:
    await store.put_accounts(db, [BERT, AN, WIDE], utcnow())
    assert [a.username for a in await store.colleagues(db, None, None)] == ["an", "bert", "wide"]
    assert [a.username for a in await store.colleagues(db, "premies", None)] == ["wide"]
    assert [a.username for a in await store.colleagues(db, "algemeen", [AN.id, WIDE.id])] == ["an", "wide"]


async def test_many_accounts_are_put_at_once(db: Database) -> None:
    """A start with 250 agents takes a second or so, not a minute."""
    many = [account(f"agent{n}") for n in range(250)]
    async with asyncio.timeout(PATIENCE):
        await store.put_accounts(db, many, utcnow())
        await store.put_accounts(db, many, utcnow())
    assert len(await store.colleagues(db, "algemeen", None)) == 250
