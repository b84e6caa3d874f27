"""One system with many departments and agents: are its buttons known, what does it cost, how soon is a press served?

The agents are simulated: their documents say that they are online, and a gateway that exists only here lists them in
its heartbeats. They accept nothing; a chat is closed as soon as it is assigned. Everything else is real.

    make scale SCALE_ARGS="departments --departments 1000 --agents 5000"
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aio_pika
import aiohttp
import argon2
import uvloop
from motor.motor_asyncio import AsyncIOMotorClient
from prometheus_client.parser import text_string_to_metric_families

from deploy.local import embedded_mongodb
from services.common.events.chats import ChatState, CloseRequested
from services.common.events.codec import decode
from services.common.events.presence import GatewayConnections
from services.common.events.types import AgentConnection, ChatStatus, CloseReason, derived_id
from services.common.messaging import topology
from services.common.messaging.publisher import Publisher
from tests.support.clients import http_client
from tests.support.servers import ANNOUNCED, System, start_system, wait_for
from tests.system.bench import machine
from tests.system.bench.load_generator import share
from tests.system.bench.machine import costing
from tests.system.environment import broker_url

CAPACITY = 10  # chats of each agent
START_LIMIT = 600.0  # seconds: the accounts of thousands of agents are stored at the start
SETTLE = 12.0  # seconds before anything is measured: the grace period of agents, and the first publications
SERVED = 30.0  # seconds after the last press in which its chat must have been assigned
KEPT = ("presence", "routing", "gateway", "database", "broker")
HEAD = (
    "| departments | agents | presence | unknown, at most "
    "| presence, of a core | routing | gateway | database | broker "
    "| presses | not served | press to assignment p50, ms | p99, ms | presence for a press, ms of processor |"
)


@dataclass(frozen=True)
class Size:
    """What is measured: `rate` presses a second for `pressing` seconds, after `idle` seconds without any."""

    departments: int
    agents: int
    idle: float = 20.0
    rate: float = 50.0
    pressing: float = 10.0
    presence: int = 1  # replicas

    @property
    def ids(self) -> list[str]:
        return [f"dienst-{n}" for n in range(self.departments)]


@dataclass
class Figures:
    """The result for one size.

    Attributes:
        size: What was measured.
        unknown: The most buttons that were unknown at one moment of the idle system.
        busy: Service → the part of a core that its busiest process used while idle.
        each: Service → processor milliseconds for each press, beyond what it uses while idle.
        took: Seconds from each press to its assignment.
        refused: HTTP status → presses that started no chat.
        unserved: Chats that were opened and not assigned in time.
    """

    size: Size
    unknown: int = 0
    busy: dict[str, float] = field(default_factory=dict)
    each: dict[str, float] = field(default_factory=dict)
    took: list[float] = field(default_factory=list)
    refused: Counter[int] = field(default_factory=Counter)
    unserved: int = 0

    @property
    def p99(self) -> float:
        return share(self.took, 0.99)

    @property
    def row(self) -> str:
        size = self.size
        kept = " | ".join(f"{self.busy[name]:.3f}" for name in KEPT)
        lost = self.unserved + sum(self.refused.values())
        return (
            f"| {size.departments:,} | {size.agents:,} | {size.presence} | {self.unknown} | {kept} "
            f"| {len(self.took) + lost} at {size.rate:g}/s | {lost} "
            f"| {share(self.took, 0.5) * 1000:.0f} | {self.p99 * 1000:.0f} | {self.each['presence']:.1f} |"
        )


def write_departments(file: Path, ids: Sequence[str]) -> Path:
    """Write the departments file. All of them are always open."""
    names = "names = { " + ", ".join(f'{locale} = "Dienst"' for locale in ("nl", "fr", "de", "en")) + " }"
    parts = [f'[[departments]]\nid = "{id_}"\n{names}\nhours = "always"' for id_ in ids]
    file.write_text(f'default = "{ids[0]}"\n' + "\n".join(parts))
    return file


def write_accounts(file: Path, size: Size) -> list[str]:
    """Write the accounts file: the agents serve the departments in turn. Return their ids."""
    hashed = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("demo")
    names, ids = [f"agent{n}" for n in range(size.agents)], size.ids
    file.write_text(
        "\n".join(
            f'[[accounts]]\nusername = "{name}"\nname = "{name}"\ndepartments = ["{ids[n % len(ids)]}"]\n'
            f'capacity = {CAPACITY}\npassword_hash = "{hashed}"'
            for n, name in enumerate(names)
        )
    )
    return [derived_id("agent", name) for name in names]


def measure(size: Size, home: Path) -> Figures:
    """Return the figures of a system that is started for this and ends with it."""
    home.mkdir(parents=True, exist_ok=True)
    agent_ids = write_accounts(home / "accounts.toml", size)
    files = {
        "ACCOUNTS_FILE": str(home / "accounts.toml"),
        "DEPARTMENTS_FILE": str(write_departments(home / "departments.toml", size.ids)),
    }
    replicas = {"REPLICAS": f"presence={size.presence}"} if size.presence > 1 else {}
    system = start_system(home / "system", RATE_LIMITS="off", LOG_LEVEL="warning", **files, **replicas)
    try:
        wait_for(lambda: ANNOUNCED in system.log() or system.process.poll() is not None, "the system", START_LIMIT)
        assert system.process.poll() is None, f"the system did not start:\n{system.log()}"
        return uvloop.run(_measure(size, system, agent_ids))
    finally:
        if system.process.poll() is None:
            system.stop()


async def _measure(size: Size, system: System, agent_ids: Sequence[str]) -> Figures:
    figures = Figures(size)
    async with _present(system, agent_ids) as publisher:
        await asyncio.sleep(SETTLE)
        await asyncio.to_thread(wait_for, lambda: _unknown(system) < size.departments, "the first button")
        pids = {name: [pid] for name, pid in system.pids().items()}
        figures.unknown, cost = await costing(pids, _most_unknown(system, size.idle))
        for service in KEPT:
            figures.busy[service] = max(
                spent / size.idle for name, spent in cost.seconds.items() if name.split("-")[0] == service
            )
        began = time.monotonic()
        _, cost = await costing(pids, _press_all(figures, system, publisher))
        lasted, presses = time.monotonic() - began, int(size.rate * size.pressing)
        for service in KEPT:
            spent = sum(seconds for name, seconds in cost.seconds.items() if name.split("-")[0] == service)
            figures.each[service] = max(0.0, spent - figures.busy[service] * lasted) / presses * 1000
    return figures


@contextlib.asynccontextmanager
async def _present(system: System, agent_ids: Sequence[str]) -> AsyncIterator[Publisher]:
    """All agents are online while the context is open; gives a publisher of a gateway's events."""
    publisher = Publisher(broker_url(system), "gateway")
    tasks = [asyncio.create_task(publisher.run()), asyncio.create_task(_list(publisher, agent_ids))]
    try:
        await publisher.link.up.wait()
        await asyncio.sleep(1.0)  # listed before they are online: who is online and in no list is set offline
        port = json.loads((system.data_dir / "ports.json").read_text())[embedded_mongodb.PORT_NAME]
        client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(embedded_mongodb.url(port))
        await client["presence"]["agents"].update_many({}, {"$set": {"online": True, "state": "available"}})
        client.close()
        yield publisher
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _list(publisher: Publisher, agent_ids: Sequence[str]) -> None:
    """Publish the list of connections as a gateway does."""
    await publisher.link.up.wait()
    incarnation, counter = str(uuid.uuid4()), 0
    while True:
        counter += 1
        here = [AgentConnection(agent_id=a, silent_for=0.0, sessions=[]) for a in agent_ids]
        await publisher.publish_best_effort(
            GatewayConnections(incarnation=incarnation, counter=counter, agents=here, chats=None, digests=True)
        )
        await asyncio.sleep(topology.HEARTBEAT_INTERVAL)


def _unknown(system: System) -> int:
    """Return how many buttons the gateway shows as unknown now."""
    with urllib.request.urlopen(f"{system.url('gateway')}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = next(family for family in families if family.name == "eloket_gateway_button").samples
    return sum(1 for sample in samples if sample.labels["reason"] == "unknown" and sample.value)


async def _most_unknown(system: System, seconds: float) -> int:
    most, end = 0, time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        most = max(most, await asyncio.to_thread(_unknown, system))
        await asyncio.sleep(min(2.5, left))
    return most


class _Presses:
    """The presses of a run, and when the chat of each was assigned."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._assigned: dict[str, float] = {}
        self._closing: set[asyncio.Task[None]] = set()

    async def receive(self, message: aio_pika.abc.AbstractIncomingMessage) -> None:
        """Note when a chat is assigned, and close it."""
        event = decode(message.body)
        if not isinstance(event, ChatState) or event.state is not ChatStatus.ASSIGNED:
            return
        if event.chat_id not in self._assigned:
            self._assigned[event.chat_id] = time.monotonic()
            closing = asyncio.create_task(
                self._publisher.publish(CloseRequested(chat_id=event.chat_id, by=CloseReason.CITIZEN))
            )
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)

    async def assigned(self, chat_id: str, patience: float = SERVED) -> float | None:
        """Return when the chat was assigned; None when it was not in time."""
        end = time.monotonic() + patience
        while chat_id not in self._assigned:
            if time.monotonic() > end:
                return None
            await asyncio.sleep(0.02)
        return self._assigned[chat_id]


async def _press_all(figures: Figures, system: System, publisher: Publisher) -> None:
    presses, size = _Presses(publisher), figures.size
    link = await aio_pika.connect(broker_url(system))
    async with link, http_client() as http:
        channel = await link.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(topology.EXCHANGE, "chat.state.*")
        await queue.consume(presses.receive, no_ack=True)
        began, tasks = time.monotonic() + 0.1, []
        for n in range(int(size.rate * size.pressing)):
            await asyncio.sleep(max(0.0, began + n / size.rate - time.monotonic()))
            department = size.ids[n * 7919 % size.departments]  # a prime: all of them in a scattered order
            tasks.append(asyncio.create_task(_press(figures, presses, http, system.base_url, department)))
        await asyncio.gather(*tasks)
        await asyncio.sleep(1.0)


async def _press(figures: Figures, presses: _Presses, http: aiohttp.ClientSession, base: str, department: str) -> None:
    began = time.monotonic()
    async with http.post(f"{base}/api/chats", json={"department": department}) as answer:
        if answer.status != 201:
            figures.refused[answer.status] += 1
            return
        chat_id = (await answer.json())["chat_id"]
    at = await presses.assigned(chat_id)
    if at is None:
        figures.unserved += 1
    else:
        figures.took.append(at - began)


def table(found: Sequence[Figures]) -> str:
    """Return the table of these figures."""
    rows = [f"machine: {machine.name()}", "", HEAD, "|" + " --- |" * (HEAD.count("|") - 1)]
    rows += [figures.row for figures in found]
    rows += [
        f"\nof {f.size.departments:,} departments, not served: {dict(sorted(f.refused.items()))} by status, "
        f"{f.unserved} opened and not assigned within {SERVED:.0f} s"
        for f in found
        if f.refused or f.unserved
    ]
    if len(found) > 1:
        first, last = found[0], found[-1]
        slower = last.p99 / first.p99 if first.took else float("nan")
        dearer = last.each["presence"] / first.each["presence"] if first.each["presence"] else float("nan")
        rows.append(
            f"\nwith {last.size.agents:,} agents / with {first.size.agents:,}: p99 {slower:.2f}, presence {dearer:.2f}"
        )
    return "\n".join(rows)


def main(arguments: list[str]) -> int:
    """Measure a small system, then the large one, and show both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--departments", type=int, default=1_000)
    parser.add_argument("--agents", type=int, default=5_000)
    parser.add_argument("--idle", type=float, default=20.0, help="seconds")
    parser.add_argument("--rate", type=float, default=50.0, help="presses a second")
    parser.add_argument("--pressing", type=float, default=10.0, help="seconds")
    parser.add_argument("--presence", type=int, default=1, help="replicas of presence")
    parser.add_argument("--large-only", action="store_true", help="without the small system")
    given = parser.parse_args(arguments)
    rest = given.idle, given.rate, given.pressing, given.presence
    found = []
    with tempfile.TemporaryDirectory(prefix="departments-") as home:
        small = () if given.large_only else (Size(10, 50, *rest),)
        for size in (*small, Size(given.departments, given.agents, *rest)):
            print(f"{size.departments} departments, {size.agents} agents", file=sys.stderr)
            found.append(measure(size, Path(home) / str(size.departments)))
            print(found[-1].row, file=sys.stderr)
    print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
