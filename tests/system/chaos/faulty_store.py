"""Where a writer of logs is struck: it crashes, or hears nothing, before, amid and after what its store does."""

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
from services.transcripts.access import Chat
from services.transcripts.log.sequencing import Tail
from services.transcripts.log.store import Store

T = TypeVar("T")
CRASH, AWAY = 0.004, 0.006  # at each point where it can be struck
LATE = 0.3  # seconds after which a write may still land


class Crash(Exception):
    """The writer dies here; whatever it had begun goes on without it."""


@dataclass
class Strikes:
    """Decides where it hurts, and counts it."""

    rng: random.Random
    crashes: Counter[str] = field(default_factory=Counter)
    errors: int = 0
    late: set[asyncio.Task[None]] = field(default_factory=set)

    def at(self, point: str, error: Exception) -> None:
        """May raise a crash, or this error."""
        if self.rng.random() < CRASH:
            self.crash(point)
        if self.rng.random() < AWAY:
            self.errors += 1
            raise error

    def crash(self, point: str) -> None:
        self.crashes[point] += 1
        raise Crash(point)

    def either(self, point: str, error: Exception) -> None:
        """Raises a crash, or this error."""
        if self.rng.random() < 0.5:
            self.crash(point)
        self.errors += 1
        raise error


class StruckStore(Store):
    """The real store; each operation may be struck before it, after it, and in the middle of a round."""

    def __init__(self, database: Database, strikes: Strikes) -> None:
        super().__init__(database)
        self._strikes = strikes

    async def _struck(self, point: str, work: Awaitable[T]) -> T:
        task = asyncio.ensure_future(work)  # begun: it lands, even when the writer does not live to see it
        try:
            self._strikes.at(f"{point}: under way", AutoReconnect(point))
            done = await task
        except (Crash, AutoReconnect):
            self._left_behind(task)
            raise
        self._strikes.at(f"{point}: done", AutoReconnect(point))
        return done

    async def open_chats(self, opened: Iterable[ChatOpened]) -> None:
        await self._struck("chats opened", super().open_chats(opened))

    async def note_states(
        self,
        states: Iterable[tuple[str, int, str | None]],
        looks: Mapping[str, datetime] | None = None,
        turns: Mapping[str, int] | None = None,
    ) -> None:
        await self._struck("states noted", super().note_states(states, looks, turns))

    async def close_chats(self, seals: Iterable[Entry]) -> None:
        await self._struck("chats closed", super().close_chats(seals))

    async def chats(self, chat_ids: Sequence[str]) -> dict[str, Chat]:
        return await self._struck("chats read", super().chats(chat_ids))

    async def tails(self, chat_ids: Iterable[str]) -> dict[str, Tail]:
        return await self._struck("tails read", super().tails(chat_ids))

    async def find(self, chat_id: str, ids: Iterable[str]) -> dict[str, Entry]:
        return await self._struck("ids looked up", super().find(chat_id, ids))

    async def insert(self, entries: Sequence[Entry], in_order: bool = False) -> set[int]:
        rng = self._strikes.rng
        if rng.random() < AWAY:
            some = list(entries) if in_order else rng.sample(list(entries), len(entries))
            await super().insert(some[: rng.randint(1, len(entries))], in_order)
            self._strikes.either("round half stored", WTimeoutError("round half stored"))
        if rng.random() < AWAY:
            self._left_behind(asyncio.ensure_future(self._land_late(list(entries), in_order, rng.uniform(0, LATE))))
            self._strikes.either("round lands late", AutoReconnect("round lands late"))
        return await self._struck("round", super().insert(entries, in_order))

    async def _land_late(self, entries: list[Entry], in_order: bool, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await super().insert(entries, in_order)

    def _left_behind(self, task: asyncio.Future[Any]) -> None:
        async def end() -> None:
            with contextlib.suppress(PyMongoError):
                await task

        left = asyncio.create_task(end())
        self._strikes.late.add(left)
        left.add_done_callback(self._strikes.late.discard)
