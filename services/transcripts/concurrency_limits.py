"""Concurrency limits: how many may do the same thing at a time, for each chat and in all; the others wait a moment."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable


class LimitReached(Exception):
    """So many do it, or wait for it, that another one must come again later."""


class ConcurrencyLimit:
    """Places for each key (a chat) and in all.

    Args:
        each: so many at a time with one key.
        total: so many at a time in all.
        waiting: so many more with one key may wait.
        patience: seconds to wait at most.
        line: so many more in all may wait; None: twice `total`.
    """

    def __init__(self, each: int, total: int, waiting: int, patience: float, line: int | None = None) -> None:
        self._each, self._waiting, self._patience = each, waiting, patience
        self._keys: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()
        self._all, self._most = asyncio.Semaphore(total), total + (2 * total if line is None else line)

    async def take(self, key: str) -> Callable[[], None]:
        """A place; what is returned gives it back, and may be called again. Raises `LimitReached`."""
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
            self._give_back(key, held)
            raise LimitReached if isinstance(error, TimeoutError) else error from None
        given = False

        def give_back() -> None:
            nonlocal given
            if not given:
                given = True
                self._give_back(key, held)

        return give_back

    def _give_back(self, key: str, held: list[asyncio.Semaphore]) -> None:
        for semaphore in held:
            semaphore.release()
        self._users[key] -= 1
        if not self._users[key]:
            del self._users[key], self._keys[key]
