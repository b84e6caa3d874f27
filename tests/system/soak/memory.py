"""Chats come and go for a long time: what each process holds, and what the broker keeps for it, ends as it began."""

from __future__ import annotations

import asyncio
import random
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import psutil
import uvloop

from deploy.local.settings import SERVICES
from tests.support.clients import new_id
from tests.support.servers import Broker, System, running_broker
from tests.system.environment import AgentAccounts, agent_accounts, load_average, running_replicas
from tests.system.history import Recorder
from tests.system.report import Report
from tests.system.soak.button_pages import open_page
from tests.system.soak.chart import draw
from tests.system.soak.growth import Series, grew, left_over
from tests.system.tables import table
from tests.system.workload.agent import LastingAgent, Service
from tests.system.workload.citizen import LastingCitizen, many_browsers

AT_A_TIME = 12  # citizens
EVERY = 5.0  # seconds between two looks
REST = 40.0  # seconds until nothing is left of a chat: its bindings go 30 s after it
WARM = 0.3  # of the whole run: every path has been gone and every cache is as full as it will be
MIB = 1024 * 1024
PICTURE = Path("docs/benchmarks/memory.svg")
COUNTED = {"tasks": 3, "timers": 12, "threads": 4, "files": 6}  # what may be more at rest: a heartbeat, a pool's agent
KEPT = {"queues": 0, "bindings": 0, "connections": 0, "channels": 0}  # and in the broker


@dataclass
class Metrics:
    """What was seen: resident memory in MiB by process and time; how many citizens did what."""

    memory: dict[str, list[tuple[float, float]]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)


Counts = Mapping[str, Mapping[str, int]]  # process → what → how many


def run_alone(home: Path, lasts: float, rng: random.Random) -> Report:
    """The system with one process of each service, for so many seconds; draws the picture."""
    accounts = agent_accounts("medewerker", [2] * AT_A_TIME)
    with (
        running_broker(home / "broker") as broker,
        running_replicas(home / "system", accounts, "1", RABBITMQ_URL=broker.url, LOG_LEVEL="warning") as system,
    ):
        return uvloop.run(run(system, broker, accounts, lasts, rng))


async def run(system: System, broker: Broker, accounts: AgentAccounts, lasts: float, rng: random.Random) -> Report:
    """Warms up, rests and counts; goes on, rests and counts again."""
    metrics = Metrics()
    began = time.monotonic()
    async with many_browsers() as http:
        agents = [
            LastingAgent(system.base_url, name, Recorder(keeps=False), Service(talks=(0.5, 2.0), rng=rng))
            for name in accounts.usernames
        ]
        await asyncio.gather(*(agent.come() for agent in agents))
        observing = asyncio.create_task(_observe(processes(system, broker), metrics))
        try:
            await _come_and_go(http, system, lasts * WARM, metrics, rng)
            before = await _at_rest(system, broker)
            warm = time.monotonic() - began
            await _come_and_go(http, system, lasts * (1 - WARM) - 2 * REST, metrics, rng)
            after = await _at_rest(system, broker)
        finally:
            observing.cancel()
            await asyncio.gather(*(agent.close() for agent in agents))
    return report_of(metrics, warm, before, after)


def processes(system: System, broker: Broker) -> dict[str, psutil.Process]:
    """Everything that serves, the runner and the broker too, by name."""
    pids = {"runner": system.process.pid, **system.pids()}
    pids["broker"] = int((broker.node.home / "pid").read_text())
    return {name: psutil.Process(pid) for name, pid in pids.items()}


async def _observe(pids: Mapping[str, psutil.Process], metrics: Metrics) -> None:
    began = time.monotonic()
    while True:
        now = time.monotonic() - began
        for name, process in pids.items():
            metrics.memory.setdefault(name, []).append((now, process.memory_info().rss / MIB))
        await asyncio.sleep(EVERY)


# ── what people do ───────────────────────────────────────────────────────────────────────────────────────────────────


async def _come_and_go(
    http: aiohttp.ClientSession, system: System, lasts: float, metrics: Metrics, rng: random.Random
) -> None:
    end = time.monotonic() + lasts

    async def one_after_the_other() -> None:
        while time.monotonic() < end:
            await _visit(http, system, metrics.done, rng)

    await asyncio.gather(*(one_after_the_other() for _ in range(AT_A_TIME)))


async def _visit(http: aiohttp.ClientSession, system: System, done: Counter[str], rng: random.Random) -> None:
    """One citizen: looks at the page, presses, talks, now and then is cut off or sends a file, and ends the chat."""
    page = await open_page(system.ports["gateway"], lambda *_: None)
    citizen, key = LastingCitizen(http, system.base_url, Recorder(keeps=False)), new_id()
    while await citizen.press(key) != 201:
        await asyncio.sleep(rng.uniform(0.2, 1.0))
    page.transport.close()
    citizen.join()
    try:
        if not await citizen.until_green(30):
            done["without an agent"] += 1
        for number in range(rng.randint(2, 6)):
            await citizen.say(f"Bericht {number} van een burger die iets wil vragen over zijn dossier.")
            done["messages"] += 1
            if rng.random() < 0.1:
                done["reconnects"] += await citizen.disconnect()
            await asyncio.sleep(rng.uniform(0, 0.3))
        if rng.random() < 0.15:
            done["files"] += await citizen.chat.attach(
                "bijlage.pdf", b"%PDF-1.4\n" + rng.randbytes(rng.randint(1, 300_000)), "application/pdf"
            )
        if rng.random() < 0.2:
            format = rng.choice(("txt", "json", "html", "pdf"))
            done["downloads"] += await citizen.chat.download(format)
        await citizen.leave(30)
        done["chats"] += 1
    finally:
        await citizen.close()


# ── what is counted ──────────────────────────────────────────────────────────────────────────────────────────────────


async def _at_rest(system: System, broker: Broker) -> Counts:
    await asyncio.sleep(REST)
    return await asyncio.to_thread(counts, system, broker)


def counts(system: System, broker: Broker) -> Counts:
    """What each service holds, as its metrics say, and what the broker keeps."""
    found: dict[str, dict[str, int]] = {}
    for service in SERVICES:
        with urllib.request.urlopen(f"{system.url(service)}/metrics", timeout=10) as answer:
            said = dict(line.rsplit(" ", 1) for line in answer.read().decode().splitlines() if line[:1] != "#")
        found[service] = {what: int(float(said[f"eloket_{what}"])) for what in COUNTED if what != "files"}
        found[service]["files"] = int(float(said["process_open_fds"]))
    found["broker"] = {what: len(broker.api("GET", f"/api/{what}")) for what in KEPT}
    return found


def report_of(metrics: Metrics, warm: float, before: Counts, after: Counts) -> Report:
    """The tables, the picture, and what grew."""
    last = max(t for points in metrics.memory.values() for t, _ in points)
    report = Report(f"Chats come and go for {last / 60:.0f} minutes: {sum_up(metrics.done)}")
    judged = [_series(name, points, warm, last) for name, points in metrics.memory.items()]
    rows = [[s.name, *(f"{v:.1f}" for v in (s.begins, s.ends, s.ends - s.begins, s.slope * 3600))] for s in judged]
    report.tables.append(table(["resident, MiB", "after warming up", "at the end", "more", "by the hour"], rows))
    report.tables.append(_counted(before, after))
    report.tables.append(table(["run", ""], [["machine", load_average()], ["picture", PICTURE]]))
    report.faults += [fault for series in judged if (fault := grew(series))]
    for name, allowed in (*((s, COUNTED) for s in SERVICES), ("broker", KEPT)):
        for what, more in allowed.items():
            if fault := left_over(f"{name}: {what}", before[name][what], after[name][what], more):
                report.faults.append(fault)
    lines = [Series(name, "MiB", points, 0) for name, points in metrics.memory.items()]
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    PICTURE.write_text(draw("Resident memory while chats come and go", lines, "MiB"))
    return report


def sum_up(done: Counter[str]) -> str:
    """What people did, in words."""
    return ", ".join(f"{number:,} {what}" for what, number in sorted(done.items()))


def _series(name: str, points: Sequence[tuple[float, float]], warm: float, last: float) -> Series:
    """From the end of the warming up until the people left. The database is not judged: it keeps what it is given."""
    used = [(t, v) for t, v in points if warm <= t <= last - REST]
    return Series(name, "MiB", used, noise=3.0, share=0.04, judged=name not in ("database", "broker"))


def _counted(before: Counts, after: Counts) -> str:
    rows = [
        [name, ", ".join(f"{what} {n} → {after[name][what]}" for what, n in held.items())]
        for name, held in before.items()
    ]
    return table(["at rest, before → after", ""], rows)
