"""services/presence/agents/store.py on the real database: each change is one compare-and-set, races included."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.monitoring import CommandFailedEvent, CommandListener, CommandStartedEvent, CommandSucceededEvent

from services.common.clock import utcnow
from services.common.events.types import AgentState, Choice, ChoiceRule, ReleaseReason
from services.common.mongo import queries
from services.common.mongo.client import Database, open_database
from services.presence.agents.accounts import Account
from services.presence.settings import PresenceSettings
from services.presence.slots.rules import Agent
from services.presence.stores import Stores
from tests.presence.conftest import account, there
from tests.support.servers import PATIENCE

AN, BERT = account("an"), account("bert")
WIDE = account("wide", "algemeen", "premies", capacity=3)


@pytest.fixture
async def other(settings: PresenceSettings, stores: Stores) -> AsyncIterator[Stores]:
    """The same database, as a second replica has it open."""
    database = open_database(settings, "presence")
    yield Stores(database)
    database.client.close()


async def agent(stores: Stores, id_: str) -> Agent:
    found = await stores.agents.agent(id_)
    assert found is not None
    return found


async def test_accounts_put_again_keep_what_the_agent_does(stores: Stores) -> None:
    await there(stores, WIDE)
    assert await stores.agents.reserve(WIDE.id, "c", 1, utcnow())
    assert await stores.agents.put_accounts([WIDE.model_copy(update={"capacity": 2, "name": "New"})], utcnow()) == []
    now = await agent(stores, WIDE.id)
    assert (now.name, now.capacity, now.free, now.online, len(now.slots)) == ("New", 2, 1, True, 1)


async def test_an_account_that_is_left_out_may_not_log_in(stores: Stores) -> None:
    await stores.agents.put_accounts([AN, BERT], utcnow())
    assert await stores.agents.put_accounts([AN], utcnow()) == [BERT.id]
    assert await stores.agents.password_of("bert") is None
    assert await stores.agents.password_of("an") == (AN.id, AN.password_hash)
    assert await stores.agents.offline([AN.id, BERT.id]) == [await agent(stores, AN.id)]
    assert await stores.agents.put_accounts([AN, BERT], utcnow()) == []
    assert await stores.agents.password_of("bert") is not None


@pytest.mark.parametrize("few", [0, 50], ids=["many", "few"])
async def test_agents_and_their_sessions_are_found_by_their_ids_however_many(
    stores: Stores, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(queries, "FEW", few)
    here, away, other = account("here"), account("away"), account("other", "premies")
    await there(stores, here, other)
    await stores.agents.put_accounts([here, away, other], utcnow())
    ids = [here.id, away.id, "unknown"]
    begun = {one: (await stores.sessions.begin(one, utcnow(), 12))[0].id for one in (here.id, away.id, other.id)}
    assert await stores.agents.online_ids(ids) == {here.id}
    assert await stores.agents.online_ids() == {here.id, other.id}
    assert [found.id for found in await stores.agents.offline(ids)] == [away.id]
    assert await stores.agents.available(ids) == {here.id}
    assert await stores.agents.crew(["algemeen"]) == [(AgentState.AVAILABLE, ["algemeen"], 1, 1)]
    assert len(await stores.agents.crew()) == 2
    assert await stores.sessions.live(ids, utcnow()) == {one: {begun[one]} for one in (here.id, away.id)}
    assert await stores.sessions.owners([begun[here.id], "unknown"]) == {begun[here.id]: here.id}


async def test_one_slot_goes_to_one_chat(stores: Stores, other: Stores) -> None:
    """Twenty chats ask two replicas for an agent of capacity 3."""
    await there(stores, WIDE)
    allocator = [(stores, other)[n % 2].agents.reserve(WIDE.id, f"c{n}", 1, utcnow()) for n in range(20)]
    assert sum(await asyncio.gather(*allocator)) == 3
    now = await agent(stores, WIDE.id)
    assert (now.free, len(now.slots)) == (0, 3)


async def test_one_chat_has_one_slot_of_an_agent(stores: Stores, other: Stores) -> None:
    await there(stores, WIDE)
    allocator = [(stores, other)[n % 2].agents.reserve(WIDE.id, "c", 1 + n % 3, utcnow()) for n in range(12)]
    assert sum(await asyncio.gather(*allocator)) == 1


@pytest.mark.parametrize("hindrance", ["offline", "paused", "barred"])
async def test_who_is_not_there_gets_no_chat(stores: Stores, hindrance: str) -> None:
    await there(stores, AN)
    if hindrance == "offline":
        assert await stores.agents.set_offline(
            AN.id, (await agent(stores, AN.id)).v, ReleaseReason.AGENT_GONE, utcnow()
        )
    elif hindrance == "paused":
        assert await stores.agents.set_state(AN.id, AgentState.PAUSED, "request", "f", utcnow())
    else:
        await stores.agents.put_accounts([], utcnow())
    assert await stores.agents.candidates(["algemeen"]) == []
    assert not await stores.agents.reserve(AN.id, "c", 1, utcnow())


async def test_candidates_are_all_who_are_there_full_or_not(stores: Stores) -> None:
    await there(stores, AN, WIDE)
    await stores.agents.reserve(AN.id, "c", 1, utcnow())
    found = {c.id: c for c in await stores.agents.candidates(["algemeen"])}
    assert {i: (c.departments, c.capacity, c.free, c.chats, c.seated) for i, c in found.items()} == {
        AN.id: (frozenset({"algemeen"}), 1, 0, 1, frozenset({"c"})),
        WIDE.id: (frozenset({"algemeen", "premies"}), 3, 3, 0, frozenset()),
    }


async def test_candidates_are_those_of_the_departments_and_those_who_are_named(stores: Stores) -> None:
    other, third = account("other", "premies"), account("third", "elsewhere")
    await there(stores, AN, WIDE, other, third)
    for departments, ids, expected in (
        (["premies"], [], {WIDE.id, other.id}),
        (["algemeen", "premies"], [WIDE.id], {AN.id, WIDE.id, other.id}),
        (["nowhere"], [third.id], {third.id}),
        ([], [third.id, "unknown"], {third.id}),
        ([], [], set()),
    ):
        assert sorted(c.id for c in await stores.agents.candidates(departments, ids)) == sorted(expected)


async def test_who_comes_or_ends_a_pause_is_idle_from_then_on(stores: Stores) -> None:
    """Nobody is first in line for the time that he was not there."""
    await stores.agents.put_accounts([AN], utcnow() - timedelta(days=1))
    came = utcnow()
    assert await stores.agents.set_online(AN.id, (await agent(stores, AN.id)).v, came)
    (candidate,) = await stores.agents.candidates(["algemeen"])
    assert abs(candidate.idle_since - came) < timedelta(milliseconds=1)
    await stores.agents.set_state(AN.id, AgentState.PAUSED, "request", "1", utcnow())
    back = came + timedelta(hours=1)
    await stores.agents.set_state(AN.id, AgentState.AVAILABLE, "request", "2", back)
    (candidate,) = await stores.agents.candidates(["algemeen"])
    assert abs(candidate.idle_since - back) < timedelta(milliseconds=1)


async def test_a_slot_keeps_why_its_agent_was_chosen(stores: Stores) -> None:
    await there(stores, WIDE)
    choice = Choice(rule=ChoiceRule.LANGUAGE, candidates=2, speaks=True, chats=0, idle_for=1.5)
    await stores.agents.reserve(WIDE.id, "c", 1, utcnow(), choice, by_press=True)
    await stores.agents.reserve(WIDE.id, "d", 1, utcnow())
    held, plain = (await agent(stores, WIDE.id)).slots
    assert (held.choice, held.by_press, held.reserved) == (choice, True, True)
    assert (plain.choice, plain.by_press, plain.reserved) == (None, False, False)
    await stores.agents.confirm(WIDE.id, "c", 1)
    assert not (await agent(stores, WIDE.id)).slots[0].reserved


async def test_a_slot_from_before_the_reasons_were_kept_is_read(db: Database, stores: Stores) -> None:
    await there(stores, AN)
    await stores.agents.reserve(AN.id, "c", 1, utcnow())
    await db["agents"].update_one({"_id": AN.id}, {"$unset": {"seats.0.choice": "", "seats.0.held": ""}})
    (slot,) = (await agent(stores, AN.id)).slots
    assert (slot.chat_id, slot.choice, slot.by_press) == ("c", None, False)


async def test_a_slot_is_freed_once(stores: Stores, other: Stores) -> None:
    await there(stores, WIDE)
    await stores.agents.reserve(WIDE.id, "c", 2, utcnow())
    assert not await stores.agents.drop(WIDE.id, "c", 1, utcnow())
    drops = [(stores, other)[n % 2].agents.drop(WIDE.id, "c", 2, utcnow()) for n in range(10)]
    assert sum(await asyncio.gather(*drops)) == 1
    assert (await agent(stores, WIDE.id)).free == 3


async def test_confirming_marks_only_that_slot(stores: Stores) -> None:
    await there(stores, WIDE)
    await stores.agents.reserve(WIDE.id, "c", 1, utcnow())
    await stores.agents.reserve(WIDE.id, "d", 1, utcnow())
    await stores.agents.confirm(WIDE.id, "c", 2)
    await stores.agents.confirm(WIDE.id, "d", 1)
    await stores.agents.confirm(WIDE.id, "d", 1)
    assert {s.chat_id: s.confirmed for s in (await agent(stores, WIDE.id)).slots} == {"c": False, "d": True}


async def test_going_offline_makes_every_slot_leave_and_keeps_it_taken(stores: Stores) -> None:
    await there(stores, WIDE)
    await stores.agents.reserve(WIDE.id, "c", 1, utcnow())
    v = (await agent(stores, WIDE.id)).v
    assert await stores.agents.set_offline(WIDE.id, v, ReleaseReason.AGENT_GONE, utcnow())
    assert not await stores.agents.set_offline(WIDE.id, v, ReleaseReason.AGENT_GONE, utcnow())
    gone = await agent(stores, WIDE.id)
    assert (gone.online, gone.free, gone.cause, gone.v) == (False, 2, "gone", v + 1)
    assert [s.leaving for s in gone.slots] == [ReleaseReason.AGENT_GONE]

    assert await stores.agents.set_online(WIDE.id, gone.v, utcnow())
    await stores.agents.reserve(WIDE.id, "d", 1, utcnow())
    back = await agent(stores, WIDE.id)
    assert await stores.agents.set_offline(WIDE.id, back.v, ReleaseReason.LOGGED_OUT, utcnow())
    leaving = {s.chat_id: s.leaving for s in (await agent(stores, WIDE.id)).slots}
    assert leaving == {"c": ReleaseReason.AGENT_GONE, "d": ReleaseReason.LOGGED_OUT}


async def test_a_reservation_and_going_offline_leave_no_slot_behind(stores: Stores, other: Stores) -> None:
    """Whichever comes first: a slot of an agent who is offline is always leaving."""
    for n in range(30):
        await there(stores, account("racer"))
        racer = await agent(stores, account("racer").id)
        claimed, off = await asyncio.gather(
            stores.agents.reserve(racer.id, f"c{n}", 1, utcnow()),
            other.agents.set_offline(racer.id, racer.v, ReleaseReason.AGENT_GONE, utcnow()),
        )
        assert off
        now = await agent(stores, racer.id)
        assert not now.online
        assert len(now.slots) == claimed
        assert all(s.leaving for s in now.slots)
        for slot in now.slots:
            await stores.agents.drop(racer.id, slot.chat_id, slot.turn, utcnow())


async def test_online_fails_when_a_logout_came_between(stores: Stores) -> None:
    """The logout of an agent who is offline leaves nothing to see but `v`, and that is enough."""
    await stores.agents.put_accounts([AN], utcnow())
    read = await agent(stores, AN.id)
    assert await stores.agents.set_offline(AN.id, read.v, ReleaseReason.LOGGED_OUT, utcnow())
    assert not await stores.agents.set_online(AN.id, read.v, utcnow())


async def test_a_state_event_is_acted_on_once(stores: Stores) -> None:
    await there(stores, AN)
    assert await stores.agents.set_state(AN.id, AgentState.PAUSED, "request", "first", utcnow())
    assert not await stores.agents.set_state(AN.id, AgentState.PAUSED, "request", "second", utcnow())
    assert await stores.agents.set_state(AN.id, AgentState.AVAILABLE, "request", "third", utcnow())
    for late in ("first", "second", "third"):
        assert not await stores.agents.set_state(AN.id, AgentState.PAUSED, "request", late, utcnow())
    assert (await agent(stores, AN.id)).state is AgentState.AVAILABLE


async def test_a_change_is_unpublished_until_it_is_marked(stores: Stores) -> None:
    await there(stores, AN, BERT)
    later = utcnow() + timedelta(seconds=1)
    assert {a.id for a in await stores.agents.unpublished(later)} == {AN.id, BERT.id}
    assert await stores.agents.unpublished(utcnow() - timedelta(seconds=60)) == []
    await stores.agents.mark_published(AN.id, (await agent(stores, AN.id)).v)
    await stores.agents.mark_published(BERT.id, (await agent(stores, BERT.id)).v - 1)
    assert {a.id for a in await stores.agents.unpublished(later)} == {BERT.id}


async def test_colleagues(stores: Stores) -> None:
    await stores.agents.put_accounts([BERT, AN, WIDE], utcnow())
    assert [a.username for a in await stores.agents.colleagues(None, None)] == ["an", "bert", "wide"]
    assert [a.username for a in await stores.agents.colleagues("premies", None)] == ["wide"]
    assert [a.username for a in await stores.agents.colleagues("algemeen", [AN.id, WIDE.id])] == ["an", "wide"]


async def test_many_accounts_are_put_at_once(stores: Stores) -> None:
    """A start with 250 agents takes a second or so, not a minute."""
    many = [account(f"agent{n}") for n in range(250)]
    async with asyncio.timeout(PATIENCE):
        await stores.agents.put_accounts(many, utcnow())
        await stores.agents.put_accounts(many, utcnow())
    assert len(await stores.agents.colleagues("algemeen", None)) == 250


class Writes(CommandListener):
    """Notes how many documents each update command of a client is about."""

    def __init__(self) -> None:
        self.sizes: list[int] = []

    def started(self, event: CommandStartedEvent) -> None:
        """Note an update."""
        if event.command_name == "update":
            self.sizes.append(len(event.command["updates"]))

    def succeeded(self, event: CommandSucceededEvent) -> None:
        """Nothing is noted."""

    def failed(self, event: CommandFailedEvent) -> None:
        """Nothing is noted."""


async def test_only_accounts_that_differ_are_written_and_never_all_at_once(
    settings: PresenceSettings, db: Database
) -> None:
    writes = Writes()
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(settings.mongodb_url, event_listeners=[writes])
    agents = Stores(client[db.name]).agents
    accounts = [account(f"agent{n}") for n in range(50)]
    try:
        for known, sizes in (
            (accounts, [20, 20, 10]),
            (accounts, []),
            ([*accounts[:-1], renamed(accounts[-1])], [1]),
        ):
            writes.sizes.clear()
            await agents.put_accounts(known, utcnow())
            assert writes.sizes == sizes
    finally:
        client.close()
    found = await db["agents"].find_one({"_id": accounts[-1].id})
    assert found is not None
    assert found["name"] == "New"


def renamed(one: Account) -> Account:
    return one.model_copy(update={"name": "New"})
