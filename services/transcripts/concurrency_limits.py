"""Concurrency limits: how many operations run at a time, for each chat and in total; the others wait a moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable


class LimitReached(Exception):
    """Too many operations run or wait; try again later."""


class ConcurrencyLimit:
    """Slots for each key (a chat) and in total.

    Args:
        each: Operations at a time with one key.
        total: Operations at a time in total.
        waiting: Operations with one key that may wait in addition.
        patience: Longest wait, in seconds.
        line: Operations that may wait in total; None: twice `total`.
    """

    def __init__(self, each: int, total: int, waiting: int, patience: float, line: int | None = None) -> None:
        self._each, self._waiting, self._patience = each, waiting, patience
        self._keys: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()
        self._all, self._most = asyncio.Semaphore(total), total + (2 * total if line is None else line)

    async def take(self, key: str) -> Callable[[], None]:
        """Wait for a slot. Return the function that releases it; it may be called more than once.

        Raises:
            LimitReached: Too many operations wait, or no slot was free in time.
        """
        if self._users[key] >= self._each + self._waiting or self._users.total() >= self._most:
            raise LimitReached
        own = self._keys.setdefault(key, asyncio.Semaphore(self._each))
        self._users[key] += 1
        held: list[asyncio.Semaphore] = []
        try:
            async with asyncio.timeout(self._patience):
                for semaphore in (own, self._all):
                    await semaphore.acquire()
                    held.append(semaphore)
        except BaseException as error:
            self._release(key, held)
            raise LimitReached if isinstance(error, TimeoutError) else error from None
        given = False

        def release() -> None:
            nonlocal given
            if not given:
                given = True
                self._release(key, held)

        return release

    def _release(self, key: str, held: list[asyncio.Semaphore]) -> None:
        for semaphore in held:
            semaphore.release()
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key], self._keys[key]
