"""`python -m tests.system.bench.store 2000 10000`: what an operation costs with so many chats of 20 entries behind it.

Prints the processor time of the database and the time that a caller waits for each operation that a client waits for,
in an empty database and with all those chats behind it, and the ratio. On an embedded server of its own.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from services.common.config.settings import Settings
from services.common.events.chats import ChatOpened
from services.common.events.types import Cause, Entry, Party
from services.common.internal_api.transcripts import HistoryWanted
from services.common.mongo.client import Database, open_database
from services.common.mongo.migrations import upgrade
from services.transcripts.log.reader import history
from services.transcripts.log.store import Store, document
from services.transcripts.migrations import STEPS
from tests.support.servers import running_database

LENGTH = 20  # entries of a chat
TOGETHER = 100  # chats filled in with one command
TIMES = 100
NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


@dataclass(frozen=True)
class Cost:
    """Of one operation, in milliseconds: what half of the callers wait at most, 95 of 100, and the database's work."""

    p50: float
    p95: float
    cpu: float


def entries(chat_id: str, first: int, last: int) -> list[Entry]:
    """A stretch of a log: 120 characters each, with the assignment near its beginning."""
    made = []
    for seq in range(first, last + 1):
        party = Party.AGENT if seq % 2 else Party.CITIZEN
        event = Cause.ASSIGNED if seq == 2 else None
        made.append(
            Entry(
                chat_id=chat_id,
                seq=seq,
                id=str(uuid.uuid4()),
                party=Party.SYSTEM if event else party,
                sender_id=party.value,
                name="An Peeters",
                text="x" * 120,
                event=event,
                at=NOW,
            )
        )
    return made


async def fill(database: Database, chats: int) -> None:
    """So many more chats with their logs, as quickly as the server takes them."""
    for start in range(0, chats, TOGETHER):
        ids = [str(uuid.uuid4()) for _ in range(min(TOGETHER, chats - start))]
        opened = [ChatOpened(chat_id=i, department="algemeen", locale="nl", opened_at=NOW) for i in ids]
        await Store(database).open_chats(opened)
        documents = [document(e) for i in ids for e in entries(i, 1, LENGTH)]
        await database["entries"].insert_many(documents, ordered=False)


class Operations:
    """What is measured, on chats of its own: one of 200 entries, one of 500, and twenty that are written to."""

    def __init__(self, database: Database) -> None:
        self._store, self._database = Store(database), database
        self._mid, self._long = str(uuid.uuid4()), str(uuid.uuid4())
        self._written = [str(uuid.uuid4()) for _ in range(20)]
        self._seq = 0

    async def begin(self) -> None:
        for chat_id, length in ((self._mid, 200), (self._long, 500)):
            await self._database["entries"].insert_many([document(e) for e in entries(chat_id, 1, length)])

    def all(self) -> dict[str, Callable[[], Awaitable[Any]]]:
        return {
            "store 20 messages of 20 chats": self._write,
            "is there more (200 entries)": lambda: self._store.grown({self._mid: 200}),
            "tail, not known (200)": lambda: Store(self._database).tails([self._mid]),
            "history, nothing new (200)": lambda: self._history(200),
            "history, the last 10 (200)": lambda: self._history(190),
            "history, all of it (200)": lambda: self._history(0),
            "log for a download (500)": lambda: self._store.entries(self._long),
            "look at a silence (200)": lambda: self._store.last(self._mid),
        }

    async def _write(self) -> None:
        self._seq += 1
        await self._store.insert([entries(c, self._seq, self._seq)[0] for c in self._written])

    async def _history(self, after: int) -> None:
        found = await history(self._store, HistoryWanted(chat_id=self._mid, after=after), notes=False)
        assert found is not None
        assert len(found.entries) == 200 - after


async def cost(work: Callable[[], Awaitable[Any]], server: psutil.Process) -> Cost:
    """Of this work done alone, one after the other."""
    await work()
    waited, before = [], sum(server.cpu_times()[:2])
    for _ in range(TIMES):
        began = time.perf_counter()
        await work()
        waited.append((time.perf_counter() - began) * 1000)
    waited.sort()
    cpu = (sum(server.cpu_times()[:2]) - before) / TIMES * 1000
    return Cost(waited[TIMES // 2], waited[TIMES * 95 // 100], cpu)


async def grow(url: str, sizes: list[int]) -> dict[int, dict[str, Cost]]:
    """The costs with none and with so many chats behind; each size takes what was there before."""
    settings = Settings(token_secret="only for measuring", mongodb_url=url, mongodb_prefix="growth_")
    database, server = open_database(settings, "transcripts"), listening_at(url)
    await upgrade(database, STEPS)
    found: dict[int, dict[str, Cost]] = {}
    there = 0
    for size in (0, *sorted(sizes)):
        began = time.perf_counter()
        await fill(database, size - there)
        filled, there = time.perf_counter() - began, size
        print(f"{size} chats, {size * LENGTH} entries, filled in {filled:.0f} s, {_mib(server)} MiB", file=sys.stderr)
        operations = Operations(database)
        await operations.begin()
        found[size] = {name: await cost(work, server) for name, work in operations.all().items()}
    database.client.close()
    return found


def table(found: dict[int, dict[str, Cost]]) -> str:
    """As Markdown: the processor time and the wait at each size, and the ratio of the largest to none."""
    least, most = min(found), max(found)
    sizes = " | ".join(f"{size} chats, p50 / p95 (database)" for size in found)
    rows = [f"| ms | {sizes} | work grows x |", f"| --- |{' --- |' * (len(found) + 1)}"]
    for name in found[least]:
        cells = [f"{c.p50:.1f} / {c.p95:.1f} ({c.cpu:.1f})" for c in (found[size][name] for size in found)]
        rows.append(f"| {name} | {' | '.join(cells)} | {found[most][name].cpu / found[least][name].cpu:.2f} |")
    return "\n".join(rows)


def measure(sizes: list[int]) -> dict[int, dict[str, Cost]]:
    """The costs on an embedded server that is started for it."""
    with tempfile.TemporaryDirectory() as home, running_database(Path(home)) as url:
        return asyncio.run(grow(url, sizes))


def listening_at(url: str) -> psutil.Process:
    """The process of the embedded server with this address."""
    port = url.split(":")[2].split("/")[0]
    return next(p for p in psutil.process_iter() if _is_server(p, port))


def _is_server(process: psutil.Process, port: str) -> bool:
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return "secantus" in command and port in command


def _mib(process: psutil.Process) -> int:
    return int(process.memory_info().rss) >> 20


if __name__ == "__main__":
    costs = measure([int(size) for size in sys.argv[1:] if size.isdecimal()] or [2_000])
    if "--json" in sys.argv:
        print(json.dumps({size: {n: vars(c) for n, c in of.items()} for size, of in costs.items()}))
    else:
        print(table(costs))
