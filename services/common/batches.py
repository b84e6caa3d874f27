"""Work on many items: in batches of a bounded size, or a bounded number at a time. No I/O of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")


def batched(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """Yield the items in order, in batches of `size`; the last one may be smaller."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


async def gather_in_batches(size: int, calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """Await all these calls, `size` at a time. Return their results in order.

    After a batch with a call that failed no other one begins: what is unavailable is not asked hundreds of times.

    Raises:
        Exception: That of the first call that failed, after its batch has ended.
    """
    return [result for batch in batched(calls, size) for result in await gather_limited(size, batch)]


async def gather_limited(limit: int, calls: Iterable[Callable[[], Awaitable[T]]]) -> list[T]:
    """Await all these calls, at most `limit` at a time. Return their results in order.

    Raises:
        Exception: That of the first call that failed, after all have ended.
    """
    gate = asyncio.Semaphore(limit)

    async def one(call: Callable[[], Awaitable[T]]) -> T:
        async with gate:
            return await call()

    results: list[T] = []
    for outcome in await asyncio.gather(*(one(call) for call in calls), return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results
