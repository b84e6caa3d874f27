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
from tests.system.bench.desk import Desk
from tests.system.bench.limits import limits
from tests.system.bench.messages import Size
from tests.system.bench.sheet import Sheet
from tests.system.soak.standing import Crew, crew

PARTS = ("messages", "button", "pages", "starts", "logs", "files", "limits", "growth")
DEFAULT = PARTS[:-1]
DESKS = 10  # agents with many places, for starts


@dataclass(frozen=True)
class Plan:
    """What is measured, how often and how large."""

    parts: tuple[str, ...] = DEFAULT
    rounds: int = 3
    size: Size = field(default_factory=Size)
    pages: int = 2_000
    asking: float = 2  # seconds in which the button is asked for
    starts: float = 5  # seconds of starts in a round
    log: int = 500  # messages of the transcript that is downloaded
    times: int = 20  # downloads of each format in a round, and reconnects


QUICK = Plan(rounds=1, size=Size(2, 40, 1, 1), pages=50, asking=0.3, starts=0.5, log=20, times=2)


def measure(sheet: Sheet, plan: Plan, home: Path, run: Callable[[Coroutine[Any, Any, None]], None]) -> None:
    """All parts of the plan but growth, on a system of its own."""
    agents = crew("medewerker", [1] * plan.size.pairs + [40] * DESKS)
    accounts = str(agents.write(home / "accounts.toml"))
    began = time.monotonic()
    system = start_system(home / "system", RATE_LIMITS="off", LOG_LEVEL="warning", ACCOUNTS_FILE=accounts)
    try:
        wait_for(lambda: "is ready" in system.log() or system.process.poll() is not None, "the system")
        assert system.process.poll() is None, f"the system did not start:\n{system.log()}"
        sheet.add("start of the whole system", "s", time.monotonic() - began)
        run(_rounds(sheet, plan, system, agents, home))
    finally:
        began = time.monotonic()
        system.stop()
    sheet.add("exit of the whole system", "s", time.monotonic() - began)


async def _fresh(
    sheet: Sheet, plan: Plan, system: System, desk: Desk, http: aiohttp.ClientSession, username: str
) -> None:
    """The gateway's growth in memory, once and first: what a process has taken it keeps, and then does not grow."""
    if "files" in plan.parts:
        await chats.files(sheet, system, desk, http, username)
    if "pages" in plan.parts:
        await button_pages.resident(sheet, system, min(plan.pages, 1_000))


async def _rounds(sheet: Sheet, plan: Plan, system: System, agents: Crew, home: Path) -> None:
    names = agents.usernames
    async with http_client() as http:
        desk = Desk(system, http)
        await _fresh(sheet, plan, system, desk, http, names[0])
        for number in range(1, plan.rounds + 1):
            print(f"round {number} of {plan.rounds}", file=sys.stderr)
            if "messages" in plan.parts:
                await messages.ours(sheet, system, desk, names, plan.size)
                await messages.relayed(sheet, system, home, plan.size)
            if "button" in plan.parts:
                await button_pages.button(sheet, system, home, plan.asking)
            if "pages" in plan.parts:
                await button_pages.pages(sheet, system, desk, names[0], plan.pages)
            if "starts" in plan.parts:
                await chats.starts(sheet, desk, names[-DESKS:], plan.starts)
            if "logs" in plan.parts:
                await chats.logs(sheet, desk, http, names[0], plan.log, plan.times)
            if "limits" in plan.parts:
                await limits(sheet, system, home, plan.asking)
