"""A store with injected faults: the writer crashes, or gets an error, before, during and after an operation."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from pymongo.errors import AutoReconnect, PyMongoError, WTimeoutError

from services.common.events.chats import ChatOpened
from services.common.events.types import Entry
from services.common.mongo.client import Database
from services.transcripts.access.rules import Chat
from services.transcripts.log.sequencing import Tail
from services.transcripts.log.store import Store

T = TypeVar("T")
CRASH, ERROR = 0.004, 0.006  # probabilities at each point where a fault can be injected
LATE = 0.3  # seconds by which a write may be late


class Crash(Exception):
    """The writer dies here; operations that it had begun continue."""


@dataclass
class FaultInjector:
    """Decides where a fault is injected, and counts the faults."""

    rng: random.Random
    crashes: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    late: set[asyncio.Task[None]] = field(default_factory=set)

    def maybe_fail(self, point: str, error: Exception) -> None:
        """May raise a crash, or this error."""
        if self.rng.random() < CRASH:
            self.crash(point)
        if self.rng.random() < ERROR:
            self.errors += 1
            raise error

    def crash(self, point: str) -> None:
        self.crashes[point] += 1
        raise Crash(point)

    def crash_or_raise(self, point: str, error: Exception) -> None:
        """Raises a crash, or this error."""
        if self.rng.random() < 0.5:
            self.crash(point)
        self.errors += 1
        raise error


class FaultyStore(Store):
    """The real store; each operation may fail before it, after it, and half done."""

    def __init__(self, database: Database, injector: FaultInjector) -> None:
        super().__init__(database)
        self._injector = injector

    async def _with_faults(self, point: str, work: Awaitable[T]) -> T:
        task = asyncio.ensure_future(work)  # begun: it is completed, even when the writer crashes
        try:
            self._injector.maybe_fail(f"{point}: under way", AutoReconnect(point))
            done = await task
        except (Crash, AutoReconnect):
            self._left_behind(task)
            raise
        self._injector.maybe_fail(f"{point}: done", AutoReconnect(point))
        return done

    async def open_chats(self, opened: Iterable[ChatOpened]) -> None:
        await self._with_faults("chats opened", super().open_chats(opened))

    async def note_states(
        self,
        states: Iterable[tuple[str, int, str | None]],
        looks: Mapping[str, datetime] | None = None,
        turns: Mapping[str, int] | None = None,
        answers: Mapping[str, datetime] | None = None,
    ) -> None:
        await self._with_faults("states stored", super().note_states(states, looks, turns, answers))

    async def close_chats(self, seals: Iterable[Entry]) -> None:
        await self._with_faults("chats closed", super().close_chats(seals))

    async def chats(self, chat_ids: Sequence[str]) -> dict[str, Chat]:
        return await self._with_faults("chats read", super().chats(chat_ids))

    async def tails(self, chat_ids: Iterable[str]) -> dict[str, Tail]:
        return await self._with_faults("tails read", super().tails(chat_ids))

    async def find(self, chat_id: str, ids: Iterable[str]) -> dict[str, Entry]:
        return await self._with_faults("ids looked up", super().find(chat_id, ids))

    async def insert(self, entries: Sequence[Entry], in_order: bool = False) -> set[int]:
        rng = self._injector.rng
        if rng.random() < ERROR:
            some = list(entries) if in_order else rng.sample(list(entries), len(entries))
            await super().insert(some[: rng.randint(1, len(entries))], in_order)
            self._injector.crash_or_raise("batch half stored", WTimeoutError("batch half stored"))
        if rng.random() < ERROR:
            self._left_behind(asyncio.ensure_future(self._write_late(list(entries), in_order, rng.uniform(0, LATE))))
            self._injector.crash_or_raise("batch written late", AutoReconnect("batch written late"))
        return await self._with_faults("batch", super().insert(entries, in_order))

    async def _write_late(self, entries: list[Entry], in_order: bool, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await super().insert(entries, in_order)

    def _left_behind(self, task: asyncio.Future[Any]) -> None:
        async def end() -> None:
            with contextlib.suppress(PyMongoError):
                await task

        left = asyncio.create_task(end())
        self._injector.late.add(left)
        left.add_done_callback(self._injector.late.discard)
