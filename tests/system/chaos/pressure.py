"""`python -m tests.system.chaos.pressure`: more comes in than goes out; memory of each service before, at most, after.

`slow`: pages that stop reading while much is said in their chats. `alarm`: the broker has no more memory for a minute,
and all participants go on writing. At the end of both each message with a receipt is in the transcript once, in order.
Prints a Markdown table; 1 when memory was not bounded, a sender got no answer, or something is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import shlex
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import orjson
import psutil
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.support.faults import SERVICES
from tests.support.servers import System, running_system
from tests.system.chaos import alarms, reconnects
from tests.system.environment import load_average

CHATS, TABS = 13, 4  # 52 pages that stop reading
LONG_TEXT = "x" * 4_000
SLOW_MESSAGES = 1_500  # of each chat: 6 MB, more than the kernel takes on the way
ALARM_LASTS = 60.0
WRITERS = 50
ANSWERED_WITHIN = 40.0  # the 30 s for which what is not confirmed is tried, the last try of 5 s, and the way back
MOST_GROWTH = 150.0  # MiB


@dataclass
class Memory:
    """Resident MiB of each service: before, at most, after."""

    before: dict[str, float] = field(default_factory=dict)
    peak: dict[str, float] = field(default_factory=dict)
    after: dict[str, float] = field(default_factory=dict)

    def __str__(self) -> str:
        return "; ".join(f"{n} {self.before[n]:.0f}, {self.peak[n]:.0f}, {self.after[n]:.0f}" for n in SERVICES)

    @property
    def bounded(self) -> bool:
        return all(self.peak[n] - self.before[n] < MOST_GROWTH for n in SERVICES)


def measured(system: System) -> dict[str, float]:
    pids = system.pids()
    return {name: psutil.Process(pids[name]).memory_info().rss / 2**20 for name in SERVICES}


@contextlib.asynccontextmanager
async def measuring(system: System) -> AsyncIterator[Memory]:
    """Looks at the memory twice a second while the context is open."""
    memory = Memory(before=measured(system))
    memory.peak = dict(memory.before)

    async def look() -> None:
        while True:
            memory.peak = {name: max(now, memory.peak[name]) for name, now in measured(system).items()}
            await asyncio.sleep(0.5)

    looking = asyncio.create_task(look())
    try:
        yield memory
    finally:
        looking.cancel()
        memory.after = measured(system)


@dataclass
class Writer:
    """One citizen's page: `stored`: its own messages by seq; `refused`: when which was refused."""

    url: str
    token: str
    posted: list[str] = field(default_factory=list)
    stored: dict[int, str] = field(default_factory=dict)
    refused: dict[str, float] = field(default_factory=dict)
    under_way: set[str] = field(default_factory=set)
    ws: ClientConnection | None = None

    async def run(self) -> None:
        """Listens until it is cancelled; comes back whatever happens."""
        while True:
            with contextlib.suppress(OSError, ConnectionClosed, TimeoutError):
                async with connect(self.url, compression=None, proxy=None, max_size=None) as ws:
                    hello = {"type": "hello", "token": self.token, "after": max(self.stored, default=0)}
                    await ws.send(orjson.dumps(hello).decode())
                    async for text in ws:
                        self._receive(ws, orjson.loads(text))
            await asyncio.sleep(0.3)

    def _receive(self, ws: ClientConnection, frame: dict[str, object]) -> None:
        if frame["type"] == "welcome":
            self.ws = ws
        elif frame["type"] == "message":
            self.stored[int(str(frame["seq"]))] = str(frame["id"])
            self.under_way.discard(str(frame["id"]))
        elif frame["type"] == "error" and frame.get("id"):
            self.refused.setdefault(str(frame["id"]), time.monotonic())

    async def say(self) -> str:
        assert self.ws is not None
        self.posted.append(str(uuid4()))
        self.under_way.add(self.posted[-1])
        await self.ws.send(orjson.dumps({"type": "message", "id": self.posted[-1], "text": LONG_TEXT}).decode())
        return self.posted[-1]

    @property
    def mine(self) -> list[str]:
        """The ids of what it said and has a receipt for, in the order of seq."""
        own = set(self.posted)
        return [id_ for _, id_ in sorted(self.stored.items()) if id_ in own]

    @property
    def right(self) -> bool:
        """Dense, each once, in the order in which it was said."""
        order = [id_ for id_ in self.posted if id_ in set(self.mine)]
        return sorted(self.stored) == list(range(1, len(self.stored) + 1)) and self.mine == order


async def stop_reading(url: str, token: str) -> ClientConnection:
    """A page that said hello and reads nothing from then on."""
    parts = urlsplit(url)
    raw = socket.socket()
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.setblocking(False)
    await asyncio.get_running_loop().sock_connect(raw, (parts.hostname, parts.port))
    ws = await connect(url, sock=raw, compression=None, proxy=None, ping_interval=None, max_queue=1)
    await ws.send(orjson.dumps({"type": "hello", "token": token, "after": 0}).decode())
    ws.transport.pause_reading()
    return ws


async def slow(system: System) -> tuple[list[tuple[str, str]], bool]:
    """Four pages of each chat stop reading; a fifth writes, and reads its own."""
    url = f"{system.base_url.replace('http', 'ws', 1)}/ws/citizen"
    citizens = await reconnects.opened(system, CHATS)
    writers = [Writer(url, p.token) for p in citizens]
    tasks = [asyncio.create_task(w.run()) for w in writers]
    await until(lambda: all(w.ws for w in writers), 30)
    began = time.monotonic()
    async with measuring(system) as memory:
        deaf = [await stop_reading(url, p.token) for p in citizens for _ in range(TABS)]
        await asyncio.gather(*(talk(w, SLOW_MESSAGES) for w in writers))
        took = time.monotonic() - began
    late = Writer(url, citizens[0].token)
    tasks.append(asyncio.create_task(late.run()))
    await until(lambda: len(late.stored) == len(writers[0].stored), 30)
    for task in tasks:
        task.cancel()
    for ws in deaf:
        ws.transport.abort()
    right = all(w.right and len(w.mine) == SLOW_MESSAGES for w in writers) and late.stored == writers[0].stored
    rows = [
        (f"{len(deaf)} pages that read nothing, {CHATS * SLOW_MESSAGES} messages in {took:.0f} s", f"MiB: {memory}"),
        ("a page that comes back has all, in order", "yes" if right else "NO"),
    ]
    return rows, right and memory.bounded


async def talk(writer: Writer, number: int) -> None:
    """Says so much, with at most 30 under way."""
    for _ in range(number):
        await until(lambda: len(writer.under_way) < 30, 60)
        await writer.say()
    await until(lambda: not writer.under_way, 60)


async def alarm(system: System, lasts: float = ALARM_LASTS) -> tuple[list[tuple[str, str]], bool]:
    """The broker blocks who publishes, for a minute; fifty citizens say something each second all the time."""
    url = f"{system.base_url.replace('http', 'ws', 1)}/ws/citizen"
    writers = [Writer(url, p.token) for p in await reconnects.opened(system, WRITERS)]
    tasks = [asyncio.create_task(w.run()) for w in writers]
    await until(lambda: all(w.ws for w in writers), 30)
    fault = alarms.faults(alarms.of_the_own_broker(system))[0]
    said: dict[str, float] = {}
    async with measuring(system) as memory:
        await fault.inject()
        end = time.monotonic() + lasts
        while time.monotonic() < end:
            for writer in writers:
                said[await writer.say()] = time.monotonic()
            await asyncio.sleep(1)
        await fault.end()
        over = time.monotonic()
        waits = [at - said[id_] for w in writers for id_, at in w.refused.items()]
        new = [await w.say() for w in writers]  # a line that was broken takes again after a new hello
        await until(lambda: all(w.refused.get(i) or i in w.mine for w, i in zip(writers, new, strict=True)), 30)
        for writer in writers:
            await writer.ws.close() if writer.ws else None
            writer.ws = None
        await until(lambda: all(w.ws for w in writers), 30)
        last = [await w.say() for w in writers]
        await until(lambda: all(i in w.mine for w, i in zip(writers, last, strict=True)), 60)
        flows = time.monotonic() - over
    for task in tasks:
        task.cancel()
    right = all(w.right for w in writers) and all(i in w.mine for w, i in zip(writers, last, strict=True))
    rows = [
        (f"memory alarm for {lasts:.0f} s, {len(said)} messages of {WRITERS} citizens", f"MiB: {memory}"),
        ("told `unavailable`: how many, after at most", f"{len(waits)}, {max(waits, default=0):.1f} s"),
        ("something new of each is shown after it was over, a new hello included", f"{flows:.1f} s"),
        ("receipts are in the log, once, in order", "yes" if right else "NO"),
    ]
    return rows, right and memory.bounded and bool(waits) and max(waits) < ANSWERED_WITHIN


async def until(condition: Callable[[], object], limit: float) -> None:
    """Returns when the condition holds, or the time is up."""
    end = time.monotonic() + limit
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.02)


RUNS = {"slow": slow, "alarm": alarm}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos.pressure", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(RUNS)}; both when left out")
    options = parser.parse_args()
    outcomes = []
    for name in options.names or RUNS:
        limits = {"RATE_LIMITS": "off", "TOKEN_SECRET": reconnects.SECRET, **reconnects.PATIENT}
        with tempfile.TemporaryDirectory(prefix="pressure-") as home, running_system(Path(home), **limits) as system:
            outcomes.append(uvloop.run(RUNS[name](system)))
    command = shlex.join(["python", "-m", "tests.system.chaos.pressure", *sys.argv[1:]])
    print(f"\n`{command}`; {load_average()}; memory before, at most, after\n\n| what | how it was |\n|---|---|")
    for rows, _ in outcomes:
        for what, how in rows:
            print(f"| {what} | {how} |")
    return 0 if all(good for _, good in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
