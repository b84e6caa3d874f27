"""Coalescing of requests about different chats that are made at the same time into one request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
A = TypeVar("A")
UNDER_WAY = 4  # requests at a time: one that meets a slow replica does not delay the others


class Gathering(Generic[K, A]):
    """Combines requests for several keys into one call of `question`, with at most `most` keys.

    A caller never waits for others to join: while fewer than `UNDER_WAY` requests are in flight, a request starts at
    once. Keys that arrive while all are in flight go together into the next request.
    """

    def __init__(self, question: Callable[[list[K]], Awaitable[A]], most: int) -> None:
        self._question, self._most = question, most
        self._waiting: dict[K, list[asyncio.Future[A]]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def ask(self, wanted: K) -> A:
        """Return the answer to a request that started after this call and contains `wanted`.

        Raises what that request raised.
        """
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(wanted, []).append(answer)
        if len(self._asking) < UNDER_WAY:
            task = asyncio.create_task(self._ask_all())
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        return await answer

    async def _ask_all(self) -> None:
        while self._waiting:
            asked = list(self._waiting)[: self._most]
            waiting = [future for wanted in asked for future in self._waiting.pop(wanted)]
            try:
                answer = await self._question(asked)
            except Exception as error:
                _settle(waiting, lambda future, error=error: future.set_exception(error))  # type: ignore[misc]
            else:
                _settle(waiting, lambda future, answer=answer: future.set_result(answer))  # type: ignore[misc]


def _settle(waiting: list[asyncio.Future[A]], how: Callable[[asyncio.Future[A]], None]) -> None:
    for future in waiting:
        if not future.done():  # a caller still waits for it
            how(future)
