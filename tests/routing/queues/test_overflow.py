"""overflow.py against the real broker and database: who goes over, and that nobody is worse off."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.common.config.departments import Overflow, QueueRules
from services.common.events.chats import ChatState, QueueChanged
from services.common.events.places import PlaceWanted
from services.common.events.types import Cause, Detail
from services.routing.chats import transfer_rules
from services.routing.chats.chat import Limits
from services.routing.queues.overflow import room, sources
from tests.routing.scene import Scene, free, replica

LIMITS = Limits(queues={"algemeen": QueueRules(overflow=Overflow(to="premies", after=30)), "premies": QueueRules()})


@pytest.fixture
async def spilling(vhost_url: str, mongodb_url: str, mongodb_prefix: str) -> AsyncIterator[Scene]:
    async with replica(vhost_url, mongodb_url, mongodb_prefix, LIMITS) as scene:
        yield scene


def test_only_what_the_own_queue_leaves_is_room() -> None:
    assert [room(*of) for of in ((0, 0), (2, 0), (2, 1), (2, 2), (1, 5), (-1, 0))] == [0, 2, 1, 0, 0, 0]
    assert (sources(LIMITS, "premies"), sources(LIMITS, "algemeen")) == (["algemeen"], [])


async def test_a_chat_that_waits_too_long_goes_where_a_slot_is_free_and_requests_it(spilling: Scene) -> None:
    first, second = await spilling.press(), await spilling.press()
    await spilling.handle(free("premies", 1, 1))
    assert await spilling.store.waiting_ids("algemeen") == [first, second], "not yet"
    spilling.later(seconds=31)
    await spilling.handle(free("premies", 1, 2))
    assert await spilling.store.waiting_ids("algemeen") == [second]
    state = await spilling.observer.wait_for(ChatState, lambda s: s.turn == 2)
    assert (state.chat_id, state.department, state.cause, state.detail) == (
        first,
        "premies",
        Cause.TRANSFERRED,
        Detail.OVERFLOW,
    )
    await spilling.observer.wait_for(PlaceWanted, lambda w: (w.chat_id, w.turn, w.department) == (first, 2, "premies"))
    assert (await spilling.chat(first)).untold_since is None
    await spilling.handle(free("premies", 1, 3))
    assert await spilling.store.waiting_ids("algemeen") == [second], "who went over has that place"
    await spilling.announcer.flush()
    await spilling.catch_up()
    assert {q.department for q in spilling.observer.of(QueueChanged)} == {"algemeen", "premies"}


async def test_no_chat_goes_where_another_one_waits_for_that_slot(spilling: Scene) -> None:
    chat = await spilling.press()
    await spilling.press("premies")
    spilling.later(seconds=31)
    await spilling.handle(free("premies", 1, 1))
    assert await spilling.store.waiting_ids("algemeen") == [chat]


async def test_a_replica_that_dies_after_the_move_leaves_a_mark_that_is_published(
    spilling: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spilling.citizens, "backlog", no_backlog)
    chat = await spilling.press()
    spilling.later(seconds=31)
    now = spilling.now()
    await spilling.store.change(chat, lambda c: transfer_rules.overflowed(c, "premies", now, LIMITS))
    spilling.later(seconds=3)
    await spilling.routing_timers.timers()
    await spilling.observer.wait_for(ChatState, lambda s: s.detail is Detail.OVERFLOW)
    assert (await spilling.chat(chat)).untold_since is None


async def test_a_chat_that_finds_no_agent_there_comes_back_to_its_old_position(
    spilling: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spilling.citizens, "backlog", no_backlog)
    first, second = await spilling.press(), await spilling.press()
    spilling.later(seconds=31)
    await spilling.handle(free("premies", 1, 1))
    spilling.later(seconds=11)
    await spilling.routing_timers.timers()
    assert await spilling.store.waiting_ids("algemeen") == [first, second]
    await spilling.observer.wait_for(ChatState, lambda s: s.turn == 3 and s.detail is Detail.UNANSWERED)
    await asyncio.gather(*(spilling.handle(free("premies", 1, n)) for n in (2, 3)))
    assert await spilling.store.waiting_ids("algemeen") == [first], "once is enough: now it is the second one's turn"


async def no_backlog() -> int:
    return 0
