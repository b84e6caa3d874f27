"""Coalescing of questions about different chats that are asked at the same time into one request."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
A = TypeVar("A")
UNDER_WAY = 4  # questions at a time: one that meets a slow replica does not hold the others up


class Gathering(Generic[K, A]):
    """Asks `question` for several things at once. Nobody waits for others to come: while few questions are under way

    each is asked at once, and what comes when there are many goes with the next. At most `most` in one question.
    """

    def __init__(self, question: Callable[[list[K]], Awaitable[A]], most: int) -> None:
        self._question, self._most = question, most
        self._waiting: dict[K, list[asyncio.Future[A]]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def ask(self, wanted: K) -> A:
        """The answer to a question that began after this call and has `wanted` in it. Raises what that one raised."""
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
        if not future.done():  # somebody still waits for it
            how(future)
