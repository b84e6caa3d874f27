"""`python -m tests.system.chaos.reconnects`: a gateway dies, and all its clients reconnect to the others at once.

Citizens in the department queue connect to one of two gateways. When it is killed, they reconnect to the other one, by
the rule of the page's connection.js. Measured: when they are welcomed again, how their tries ended, and the readiness
and the latency of the other gateway meanwhile. Prints a Markdown table; the exit status is 1 when a citizen did not
come back or a conversation on the other gateway was delayed.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import shlex
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import aiohttp
import orjson
import psutil
import uvloop
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from services.common.events.chats import ChatOpened
from services.common.http.tokens import Keys
from services.common.messaging.publisher import Publisher
from tests.support.faults import strike
from tests.support.lasting_clients import Talk, talking
from tests.support.servers import PATIENCE, System, running_system
from tests.system.environment import DEPARTMENT, broker_url, load_average

SECRET = "the-secret-of-those-who-come-back"
FIRST_DELAY, LONG_DELAY, RESTART_JITTER, OPENING, SILENCE = 0.5, 3.0, 1.0, 6.0, 12.0  # as in connection.js
DIES, STAYS = "gateway-1", "gateway-2"
PATIENT = {"HELLO_LIMIT": "3600", "WAITING_LIMIT": "3600", "AWAY_LIMIT": "3600"}
COME_EVERY = 0.008  # seconds between two who come, at first
LONGEST_TURN = 5.0  # seconds that the pair on the other gateway may wait for a message at worst


@dataclass
class WaitingCitizen:
    """A citizen who waits; `welcomes`: when they were welcomed, `met`: what their tries ended with."""

    token: str
    welcomes: list[float] = field(default_factory=list)
    met: list[str] = field(default_factory=list)
    tries: int = 0

    async def stay(self, first: str, then: str, dead: asyncio.Event, rng: random.Random) -> None:
        """Connects to `first`, again whenever it is lost, and from when that is `dead` on to `then`."""
        while True:
            code = await self._once(then if dead.is_set() else first)
            self.met.append(str(code))
            soon = code == 1012 and self.tries == 0
            most = RESTART_JITTER if soon else min(LONG_DELAY, FIRST_DELAY * 2**self.tries)
            self.tries += 1
            await asyncio.sleep(rng.random() * most)

    async def _once(self, url: str) -> int | str:
        try:
            async with connect(url, open_timeout=OPENING, ping_interval=None, compression=None, proxy=None) as socket:
                await socket.send(orjson.dumps({"type": "hello", "token": self.token, "after": 0}).decode())
                await self._listen(socket)
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 1006
        except (OSError, InvalidHandshake) as error:
            return type(error).__name__
        return 1000

    async def _listen(self, socket: ClientConnection) -> None:
        while True:
            async with asyncio.timeout(SILENCE):
                frame = orjson.loads(await socket.recv())
            if frame["type"] != "error":
                self.tries = 0
            if frame["type"] == "welcome":
                self.welcomes.append(time.monotonic())


@dataclass
class Seen:
    """What was seen of the gateway that stays, and of the pair who talk there."""

    ready: list[float] = field(default_factory=list)
    not_ready: int = 0
    turns: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Outcome:
    """Times in seconds since the gateway was killed; `cpu`: seconds of each process until all were back."""

    back: Sequence[float]
    citizens: int
    met: Counter[str]
    seen: Seen
    cpu: dict[str, float]

    @property
    def good(self) -> bool:
        return len(self.back) == self.citizens and max(self.seen.turns) < LONGEST_TURN

    def rows(self) -> list[tuple[str, str]]:
        """What happened | how it was."""
        half, most, last = (self.back[min(len(self.back) - 1, int(len(self.back) * q))] for q in (0.5, 0.95, 1.0))
        ready, turns = self.seen.ready, self.seen.turns
        met = ", ".join(f"{what} {n}" for what, n in sorted(self.met.items())) or "nothing"
        cpu = ", ".join(f"{name} {seconds:.1f}" for name, seconds in sorted(self.cpu.items()))
        return [
            ("lost their connection at once, welcomed again", f"{self.citizens}, {len(self.back)}"),
            ("welcomed again: half, 95 %, the last after", f"{half:.1f} s, {most:.1f} s, {last:.1f} s"),
            ("what tries ended with (the loss itself included)", met),
            ("`/readyz` of the other gateway: slowest, not ready", f"{max(ready):.2f} s, {self.seen.not_ready}"),
            ("a message there: median, slowest", f"{statistics.median(turns):.2f} s, {max(turns):.2f} s"),
            ("processor time until all were back (s)", cpu),
        ]


async def opened(system: System, number: int) -> list[WaitingCitizen]:
    """So many citizens whose chats wait in the line."""
    publisher = Publisher(broker_url(system), "reconnects")
    running = asyncio.create_task(publisher.run())
    await publisher.link.up.wait()
    keys, ids = Keys(SECRET), [str(uuid4()) for _ in range(number)]
    for start in range(0, number, 50):
        events = [
            ChatOpened(chat_id=chat_id, department=DEPARTMENT, locale="nl", opened_at=datetime.now(UTC))
            for chat_id in ids[start : start + 50]
        ]
        await asyncio.gather(*(publisher.publish(event, 30) for event in events))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    return [WaitingCitizen(keys.chat_token(chat_id)) for chat_id in ids]


@contextlib.asynccontextmanager
async def watching(system: System, talk: Talk) -> AsyncIterator[Seen]:
    """Asks the gateway that stays whether it is ready, and has the pair say something, again and again."""
    seen = Seen()

    async def ask() -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as http:
            while True:
                began = time.monotonic()
                async with http.get(f"{system.url(STAYS)}/readyz") as answer:
                    seen.not_ready += (await answer.json())["status"] != "ok"
                seen.ready.append(time.monotonic() - began)
                await asyncio.sleep(0.1)  # it is asked ten times a second, not as often as it can answer

    async def speak() -> None:
        while True:
            seen.turns.append(await talk.flows())
            await asyncio.sleep(0.1)  # likewise

    tasks = [asyncio.create_task(ask()), asyncio.create_task(speak())]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


def cpu(system: System) -> dict[str, float]:
    """Seconds of processor time of each process so far."""
    used = {}
    for name, pid in system.pids().items():
        with contextlib.suppress(psutil.Error):
            times = psutil.Process(pid).cpu_times()
            used[name] = times.user + times.system
    return used


async def play(system: System, number: int, rng: random.Random, limit: float = 120.0) -> Outcome:
    """All of them on one gateway; it is killed; until all are back or `limit` seconds have passed."""
    async with talking(system.url(STAYS)) as talk:
        await talk.quiet()  # from here on they only speak when they are asked to
        citizens = await opened(system, number)
        there, anywhere = (f"{url.replace('http', 'ws', 1)}/ws/citizen" for url in (system.url(DIES), system.base_url))
        tasks, dead = [], asyncio.Event()
        for citizen in citizens:
            tasks.append(asyncio.create_task(citizen.stay(there, anywhere, dead, random.Random(rng.random()))))
            await asyncio.sleep(COME_EVERY)
        await until(lambda: all(p.welcomes for p in citizens), limit)
        there_now = sum(bool(p.welcomes) for p in citizens)
        assert there_now == number, f"{there_now} came, the others met {Counter(w for p in citizens for w in p.met)}"
        for citizen in citizens:
            citizen.met.clear()
        before = cpu(system)
        async with watching(system, talk) as seen:
            await until(lambda: seen.turns and seen.ready, limit)
            killed, turns = time.monotonic(), len(seen.turns)
            dead.set()
            strike(system, DIES)
            await until(lambda: all(p.welcomes[-1] > killed for p in citizens), limit)
            used = {name: t - before[name] if t > before.get(name, t) else t for name, t in cpu(system).items()}
            await until(lambda: len(seen.turns) > turns + 1, limit)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    first = [next((w - killed for w in p.welcomes if w > killed), None) for p in citizens]
    back = sorted(at for at in first if at is not None)
    return Outcome(back, len(citizens), Counter(what for p in citizens for what in p.met), seen, used)


async def until(condition: Callable[[], object], limit: float) -> None:
    """Returns when the condition holds, or the time is up."""
    end = time.monotonic() + limit
    while not condition() and time.monotonic() < end:
        await asyncio.sleep(0.02)


@contextlib.contextmanager
def two_gateways(home: Path) -> Iterator[System]:
    """Two gateways and one of each other service; no chat is closed because it waits."""
    limits = {"RATE_LIMITS": "off", "REPLICAS": "gateway=2", "TOKEN_SECRET": SECRET, **PATIENT}
    with running_system(home, **limits) as system:
        yield system


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos.reconnects", description=__doc__)
    parser.add_argument("--people", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="reconnects-") as home, two_gateways(Path(home)) as system:
        outcome = uvloop.run(play(system, options.citizens, random.Random(options.seed)))
    command = shlex.join(["python", "-m", "tests.system.chaos.reconnects", *sys.argv[1:]])
    print(f"\n`{command}`, seed {options.seed}; {load_average()}\n\n| what | how it was |\n|---|---|")
    for what, how in outcome.rows():
        print(f"| {what} | {how} |")
    return 0 if outcome.good else 1


if __name__ == "__main__":
    sys.exit(main())
