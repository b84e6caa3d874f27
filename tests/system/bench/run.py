"""One run: starts the system, takes the parts in turn round by round, stops it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from tests.support.clients import http_client
from tests.support.servers import System, start_system, wait_for
from tests.system.bench import chats, messages
from tests.system.bench import pages as button_pages
from tests.system.bench.clients import ClientFactory
from tests.system.bench.idle import idle
from tests.system.bench.limits import limits
from tests.system.bench.messages import Size
from tests.system.bench.report import Report
from tests.system.environment import AgentAccounts, agent_accounts

PARTS = ("idle", "messages", "button", "pages", "starts", "logs", "files", "limits", "growth")
DEFAULT = PARTS[:-1]
IDLE_AGENTS = 20
BUSY_AGENTS = 10  # agents with many places, for starts


@dataclass(frozen=True)
class Plan:
    """What is measured, how often and how large."""

    parts: tuple[str, ...] = DEFAULT
    rounds: int = 3
    size: Size = field(default_factory=Size)
    pages: int = 2_000
    idle: float = 30  # seconds for which the quiet system is measured
    asking: float = 2  # seconds in which the button is asked for
    starts: float = 5  # seconds of starts in a round
    log: int = 500  # messages of the transcript that is downloaded
    times: int = 20  # downloads of each format in a round, and reconnects


QUICK = Plan(rounds=1, size=Size(2, 40, 1, 1), pages=50, idle=1, asking=0.3, starts=0.5, log=20, times=2)


def measure(report: Report, plan: Plan, home: Path, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    """All parts of the plan but growth, on a system of its own."""
    agents = agent_accounts("medewerker", [1] * plan.size.pairs + [40] * BUSY_AGENTS)
    accounts = str(agents.write(home / "accounts.toml"))
    began = time.monotonic()
    system = start_system(home / "system", RATE_LIMITS="off", LOG_LEVEL="warning", ACCOUNTS_FILE=accounts)
    try:
        wait_for(lambda: "is ready" in system.log() or system.process.poll() is not None, "the system")
        assert system.process.poll() is None, f"the system did not start:\n{system.log()}"
        report.add("start of the whole system", "s", time.monotonic() - began)
        run(_rounds(report, plan, system, agents, home))
    finally:
        began = time.monotonic()
        system.stop()
    report.add("exit of the whole system", "s", time.monotonic() - began)


async def _fresh(
    report: Report, plan: Plan, system: System, clients: ClientFactory, http: aiohttp.ClientSession, names: list[str]
) -> None:
    """The quiet system and the gateway's growth in memory, once and first.

    A process keeps the memory that it has taken, and then does not grow.
    """
    if "idle" in plan.parts:
        await idle(report, system, clients, names[:IDLE_AGENTS], plan.idle)
    if "files" in plan.parts:
        await chats.files(report, system, clients, http, names[0])
    if "pages" in plan.parts:
        await button_pages.resident(report, system, min(plan.pages, 1_000))


async def _rounds(report: Report, plan: Plan, system: System, agents: AgentAccounts, home: Path) -> None:
    names = agents.usernames
    async with http_client() as http:
        clients = ClientFactory(system, http)
        await _fresh(report, plan, system, clients, http, names)
        for number in range(1, plan.rounds + 1):
            print(f"round {number} of {plan.rounds}", file=sys.stderr)
            if "messages" in plan.parts:
                await messages.ours(report, system, clients, names, plan.size)
                await messages.relayed(report, system, home, plan.size)
            if "button" in plan.parts:
                await button_pages.button(report, system, home, plan.asking)
            if "pages" in plan.parts:
                await button_pages.pages(report, system, clients, names[0], plan.pages)
            if "starts" in plan.parts:
                await chats.starts(report, clients, names[-BUSY_AGENTS:], plan.starts)
            if "logs" in plan.parts:
                await chats.logs(report, clients, http, names[0], plan.log, plan.times)
            if "limits" in plan.parts:
                await limits(report, system, home, plan.asking)
