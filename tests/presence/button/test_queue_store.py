"""services/presence/button/queue_store.py on the real database: who stands in line, counted exactly under a burst."""

import asyncio
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from services.common.mongo.client import Database
from services.presence.button import queue_store, updater
from services.presence.button.rules import QueueState
from services.presence.opening_hours import Schedule
from services.presence.stores import Stores
from tests.presence.button.test_updater import OFFICE, clock_at
from tests.presence.conftest import waiting_chats

ALWAYS = {"algemeen": Schedule(None, ZoneInfo("Europe/Brussels"))}
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)  # no time passes: who was let in is forgotten after seconds


async def line(stores: Stores) -> QueueState:
    return (await stores.queues.read(ALWAYS, ["algemeen", "nowhere"], NOW))["algemeen"]


async def join(stores: Stores, *chats: str, longest: int = 20, at: datetime | None = None) -> bool:
    return await stores.queues.join("algemeen", await line(stores), chats, longest, at or NOW)


async def test_a_lower_revision_of_the_queue_is_dropped(stores: Stores) -> None:
    assert await stores.queues.set_waiting("algemeen", 5, waiting_chats(2))
    assert not await stores.queues.set_waiting("algemeen", 4, waiting_chats(9))
    assert not await stores.queues.set_waiting("algemeen", 5, waiting_chats(9))
    assert await stores.queues.set_waiting("algemeen", 6, waiting_chats(1))
    assert await stores.queues.waiting(["algemeen", "premies"]) == {"algemeen": 1, "premies": 0}


async def test_an_unknown_queue_is_empty(db: Database, stores: Stores) -> None:
    assert await line(stores) == QueueState()
    await db["queues"].delete_many({})
    assert await line(stores) == QueueState()
    assert await stores.queues.set_waiting("algemeen", 1, [])


async def test_a_burst_lets_in_as_many_as_there_is_room_for(stores: Stores) -> None:
    """Forty at once by twos, each pair twice, by what each read before, for a line of twenty in which five stand."""
    await stores.queues.set_waiting("algemeen", 1, waiting_chats(5))
    pairs = [(f"a{n % 20}", f"b{n % 20}") for n in range(40)]
    joined = await asyncio.gather(*(join(stores, *pair) for pair in pairs))
    inside = {chat for pair, good in zip(pairs, joined, strict=True) if good for chat in pair}
    now = await line(stores)
    assert now.raced == inside
    assert len(inside) == 14
    assert sum(joined) == 7
    assert not await join(stores, "x", "y")
    assert await join(stores, "x")
    assert (now.ahead_of("x"), now.ahead_of(min(inside))) == (19, 18)


async def test_no_citizen_joins_a_queue_that_has_moved(stores: Stores) -> None:
    """They may have read before routing published many who wait."""
    before = await line(stores)
    await stores.queues.set_waiting("algemeen", 1, waiting_chats(20))
    assert not await stores.queues.join("algemeen", before, ["a"], 20, NOW)


async def test_a_citizen_who_was_admitted_counts_until_routing_counts_them(stores: Stores) -> None:
    assert await join(stores, "a", "b")
    await stores.queues.set_waiting("algemeen", 1, ["other"])  # published before routing handled them
    assert (await line(stores)).ahead_of("x") == 3
    await stores.queues.set_waiting("algemeen", 2, ["other", "a"])
    now = await line(stores)
    assert (now.waiting, now.raced) == (2, frozenset({"b"}))


async def test_who_was_let_in_and_never_came_is_forgotten(stores: Stores) -> None:
    assert await join(stores, "a", longest=1, at=NOW - timedelta(seconds=queue_store.RACED + 1))
    assert (await line(stores)).raced == frozenset()
    assert await join(stores, "b", longest=1)
    assert not await join(stores, "c", longest=1)


async def test_no_citizen_joins_a_queue_that_may_not_be(stores: Stores) -> None:
    assert not await join(stores, "a", longest=0)
    assert not await stores.queues.join("nowhere", QueueState(), ["a"], 9, NOW)


async def test_open_by_the_clock_that_is_ahead(stores: Stores) -> None:
    """A button that one replica has closed is closed for presses at another one too, whose clock is late."""
    late = clock_at("2026-11-20T16:59:59")()
    assert (await stores.queues.read(OFFICE, ["algemeen"], late))["algemeen"].open
    await updater.evaluate(stores, OFFICE, clock_at("2026-11-20T17:00"))
    assert not (await stores.queues.read(OFFICE, ["algemeen"], late))["algemeen"].open
    early = clock_at("2026-11-23T09:00")()
    assert (await stores.queues.read(OFFICE, ["algemeen"], early))["algemeen"].open
