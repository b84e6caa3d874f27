"""services/common/batches.py: batches of a bounded size, and a bounded number of calls at a time."""

import asyncio

import pytest

from services.common.batches import batched, gather_in_batches, gather_limited


def test_batches_are_in_order_and_the_last_one_is_smaller() -> None:
    assert [list(batch) for batch in batched([1, 2, 3, 4, 5], 2)] == [[1, 2], [3, 4], [5]]
    assert list(batched([], 2)) == []


async def test_no_more_calls_at_a_time_than_the_limit() -> None:
    running = most = 0

    async def call(number: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        return number

    assert await gather_limited(3, [lambda n=n: call(n) for n in range(10)]) == list(range(10))  # type: ignore[misc]
    assert most == 3


async def test_a_call_that_fails_stops_no_other_one() -> None:
    done: list[int] = []

    async def call(number: int) -> None:
        await asyncio.sleep(0)
        if number == 1:
            raise ValueError("the second one")
        done.append(number)

    with pytest.raises(ValueError, match="the second one"):
        await gather_limited(1, [lambda n=n: call(n) for n in range(4)])  # type: ignore[misc]
    assert done == [0, 2, 3]


async def test_after_a_batch_that_failed_no_other_one_begins() -> None:
    begun: list[int] = []

    async def call(number: int) -> int:
        begun.append(number)
        await asyncio.sleep(0)
        if number == 2:
            raise ValueError("in the second batch")
        return number

    assert await gather_in_batches(2, [lambda n=n: call(n) for n in range(2)]) == [0, 1]  # type: ignore[misc]
    begun.clear()
    with pytest.raises(ValueError, match="in the second batch"):
        await gather_in_batches(2, [lambda n=n: call(n) for n in range(6)])  # type: ignore[misc]
    assert begun == [0, 1, 2, 3]
