"""Mirrors services/transcripts/concurrency_limits.py."""

import asyncio

import pytest

from services.transcripts.concurrency_limits import ConcurrencyLimit, LimitReached
from tests.support.servers import PATIENCE


async def test_so_many_of_a_key_at_a_time_and_the_others_wait_their_turn() -> None:
    places = ConcurrencyLimit(each=2, total=10, waiting=1, patience=PATIENCE)
    first, _ = await places.take("chat"), await places.take("chat")
    third = asyncio.create_task(places.take("chat"))
    await asyncio.sleep(0)
    assert not third.done()
    with pytest.raises(LimitReached):
        await places.take("chat")
    other = await places.take("another")
    first()
    first()  # once only
    (await third)()
    other()
    (await places.take("chat"))()


async def test_no_caller_waits_longer_than_the_patience_and_nothing_is_left_behind() -> None:
    places = ConcurrencyLimit(each=1, total=1, waiting=5, patience=0.05)
    release = await places.take("chat")
    for key in ("chat", "another"):
        with pytest.raises(LimitReached):
            await places.take(key)
    release()
    (await places.take("another"))()
    (await places.take("chat"))()


async def test_in_all_so_many_wait() -> None:
    places = ConcurrencyLimit(each=1, total=2, waiting=5, patience=PATIENCE)
    held = [await places.take("1"), await places.take("2")]
    waiting = [asyncio.create_task(places.take(str(n))) for n in range(3, 7)]
    await asyncio.sleep(0)
    with pytest.raises(LimitReached):
        await places.take("7")
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    for release in held:
        release()
    assert [await places.take(str(n)) for n in (8, 9)]


@pytest.mark.parametrize(("line", "most"), [(None, 2), (5, 5), (0, 0)])
async def test_so_many_of_other_chats_may_wait_and_one_more_is_refused(line: int | None, most: int) -> None:
    places = ConcurrencyLimit(each=1, total=1, waiting=1, patience=PATIENCE, line=line)
    release = await places.take("held")
    waiting = [asyncio.create_task(places.take(f"chat {number}")) for number in range(most)]
    await asyncio.sleep(0)
    with pytest.raises(LimitReached):
        await places.take("one more")
    release()
    for task in waiting:
        (await task)()
