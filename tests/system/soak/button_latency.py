"""Thousands of open pages on one gateway: from the cause of a change until every page got it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import uvloop

from tests.support.clients import button, new_id
from tests.support.servers import ROOT, System
from tests.system.environment import AgentAccounts, agent_accounts, load_average, running_replicas
from tests.system.history import Recorder
from tests.system.report import Report
from tests.system.tables import seconds, spread, table
from tests.system.workload.agent import LastingAgent, Service
from tests.system.workload.citizen import LastingCitizen, many_browsers

GOAL = 2.0  # seconds, p99
PROCESSES = 2
STAYS = Service(closes=0.0, longest=3600.0)
Reached = dict[int, tuple[str, list[float]]]  # revision → reason, and when each page got it


@dataclass
class Causes:
    """What was done, when (monotonic), and the reason that the pages must be shown after it."""

    done: list[tuple[str, float, str]] = field(default_factory=list)

    def now(self, what: str, reason: str) -> None:
        self.done.append((what, time.monotonic(), reason))


@dataclass(frozen=True)
class Memory:
    """Of the gateway, in MiB."""

    before: float
    opened: float
    after: float


def run_alone(home: Path, count: int, lasts: float, rng: random.Random) -> Report:
    """One gateway; opens at a whole minute and closes at a later one, within the run."""
    opens = _next_minute(75)
    closes = opens + timedelta(minutes=max(1, round((lasts - 90) / 60)))
    hours = f"Mon-Sun {opens:%H:%M}-{closes:%H:%M}"
    accounts = agent_accounts("medewerker", [1])
    replicas = "gateway=1,presence=3,routing=3,transcripts=1"
    with running_replicas(home, accounts, replicas, OFFICE_HOURS=hours, TIMEZONE="UTC", HOLIDAYS="none") as system:
        return uvloop.run(run(system, accounts, count, opens, closes, rng))


async def run(
    system: System, accounts: AgentAccounts, count: int, opens: datetime, closes: datetime, rng: random.Random
) -> Report:
    """The pages are open while an agent is there before opening time and works until after closing time."""
    causes, began = Causes(), time.monotonic()
    agent = LastingAgent(system.base_url, accounts.usernames[0], Recorder(keeps=False), STAYS)
    async with many_browsers() as http:
        try:
            before = _gateway_memory(system)
            async with open_pages(system.ports["gateway"], count) as pages:
                opened = _gateway_memory(system)
                await agent.come()
                await _boundary(system, causes, opens, "opening time", "available")
                while datetime.now(UTC) < closes - timedelta(seconds=15):
                    await _changes(system, http, agent, causes, rng)
                await _boundary(system, causes, closes, "closing time", "closed")
                memory = Memory(before, opened, _gateway_memory(system))
        finally:
            await agent.close()
    return report_of(causes, pages.reached, pages.lost, count, memory, time.monotonic() - began)


async def _boundary(system: System, causes: Causes, at: datetime, what: str, reason: str) -> None:
    """Waits for a time of the clock, which is a cause by itself."""
    due = time.monotonic() + (at - datetime.now(UTC)).total_seconds()
    causes.done.append((what, due, reason))
    await asyncio.sleep(max(0.0, due - time.monotonic()))
    await _shown(system, reason)


async def _changes(
    system: System, http: aiohttp.ClientSession, agent: LastingAgent, causes: Causes, rng: random.Random
) -> None:
    """The only agent pauses, is available again, gets the last chat, is free again, logs out, logs in."""
    causes.now("pauses", "no_agents")
    await agent.set_state("paused")
    await _shown(system, "no_agents")
    causes.now("is available again", "available")
    await agent.set_state("available")
    await _shown(system, "available")
    citizen = LastingCitizen(http, system.base_url, Recorder(keeps=False))
    causes.now("gets the last chat", "busy")
    while await citizen.press(new_id()) != 201:
        await asyncio.sleep(0.2)
        causes.done.pop()
        causes.now("gets the last chat", "busy")
    citizen.join()
    await _shown(system, "busy")
    assert await citizen.until_green(20), "a chat that was begun has no agent"
    causes.now("ends the chat", "available")
    await citizen.leave()
    await citizen.close()
    await _shown(system, "available")
    causes.now("logs out", "no_agents")
    await agent.log_out()
    await _shown(system, "no_agents")
    await agent.log_in()
    causes.now("connects", "available")
    agent.open_tab()
    await _shown(system, "available")
    await asyncio.sleep(rng.uniform(0, 1))


async def _shown(system: System, reason: str, wait: float = 10.0) -> None:
    """Returns when the gateway shows this, and a moment later, so that every page has got it."""
    end = time.monotonic() + wait
    while (await button(system.base_url))["reason"] != reason:
        assert time.monotonic() < end, f"the button is not {reason}"
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.4)


# ── the pages ────────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass
class PageMetrics:
    """What the pages got, known when they are closed."""

    reached: Reached = field(default_factory=dict)
    lost: int = 0

    def add(self, received: dict[str, Any]) -> None:
        self.lost += received.pop("-1")["button"]["lost"]
        for revision, event in received.items():
            self.reached.setdefault(int(revision), (event["button"]["reason"], []))[1].extend(event["at"])


@contextlib.asynccontextmanager
async def open_pages(port: int, count: int) -> AsyncIterator[PageMetrics]:
    """So many open pages in processes of their own while the context is open."""
    pages = PageMetrics()
    shares = [count // PROCESSES + (i < count % PROCESSES) for i in range(PROCESSES)]
    processes = [
        await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.system.soak.button_pages", str(port), str(share)),
            cwd=ROOT,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=2**28,
        )
        for share in shares
    ]
    try:
        for process in processes:
            assert process.stdout
            async with asyncio.timeout(120):
                assert await process.stdout.readline() == b"open\n"
        yield pages
        for process in processes:
            answer, _ = await process.communicate(b"\n")
            pages.add(json.loads(answer))
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                process.kill()


# ── the figures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def delays(reached: Reached, at: float, reason: str, count: int) -> list[float]:
    """Seconds from a cause until each page was shown this reason, infinite for a page that never was."""
    after = sorted(
        (min(times), times) for shown, times in reached.values() if shown == reason and min(times) >= at - 0.05
    )
    times = after[0][1] if after else []
    return [t - at for t in times] + [float("inf")] * (count - len(times))


def report_of(causes: Causes, reached: Reached, lost: int, count: int, memory: Memory, took: float) -> Report:
    """The figures by cause, and what missed the goal."""
    report = Report(f"{count} open pages on one gateway")
    by: dict[str, list[float]] = {}
    number: dict[str, int] = {}
    for what, at, reason in causes.done:
        by.setdefault(what, []).extend(delays(reached, at, reason, count))
        number[what] = number.get(what, 0) + 1
    by["all"] = [delay for ours in by.values() for delay in ours]
    rows = [[what, number.get(what, len(causes.done)), *spread(ours)] for what, ours in by.items()]
    report.tables.append(table(["cause", "times", "pages told", "p50 s", "p99 s", "max s"], rows))
    report.tables.append(
        table(
            ["run", ""],
            [
                ["memory of the gateway", f"{memory.before:.0f} MiB, with the pages {memory.opened:.0f} MiB"],
                ["for 1,000 pages", f"{seconds((memory.opened - memory.before) / count * 1000)} MiB"],
                ["at the end", f"{memory.after:.0f} MiB"],
                ["pages that lost their connection", lost],
                ["took", f"{took:.0f} s"],
                ["machine", load_average()],
            ],
        )
    )
    report.faults = [f"{what}: p99 {spread(ours)[2]} s" for what, ours in by.items() if not _good(ours)]
    return report


def _good(ours: Sequence[float]) -> bool:
    return sorted(ours)[max(0, -(-99 * len(ours) // 100) - 1)] <= GOAL


def _gateway_memory(system: System) -> float:
    """Resident memory of the gateway, in MiB."""
    pid = next(pid for name, pid in system.pids().items() if name.split("-")[0] == "gateway")
    return float(psutil.Process(pid).memory_info().rss) / 2**20


def _next_minute(at_least: float) -> datetime:
    soonest = datetime.now(UTC) + timedelta(seconds=at_least)
    return soonest.replace(second=0, microsecond=0) + timedelta(minutes=1)
