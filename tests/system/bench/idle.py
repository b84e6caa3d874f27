"""The figures of a quiet system: pages are open and agents are logged in, and nothing is said."""

from __future__ import annotations

import asyncio

from tests.support.servers import System
from tests.system.bench.clients import ClientFactory
from tests.system.bench.machine import costing, memory
from tests.system.bench.messages import servers
from tests.system.bench.pages import open_pages
from tests.system.bench.report import Report

PAGES = 100
SETTLES = 0.3  # of the measured time: what the logins set going has ended


async def idle(report: Report, system: System, clients: ClientFactory, usernames: list[str], seconds: float) -> None:
    """Measure processor time and memory of a system that has had no load yet.

    Args:
        report: What the figures are added to.
        system: The running system.
        clients: The clients.
        usernames: The agents who log in.
        seconds: How long the processor time is measured.
    """
    groups = servers(system)
    agents = [await clients.agent(username) for username in usernames]
    async with open_pages(system.ports["gateway"], PAGES, {}):
        await asyncio.sleep(SETTLES * seconds)
        whole = {"all": [system.process.pid]}  # the runner is the parent of all processes
        _, cost = await costing(groups | whole, asyncio.sleep(seconds))
        resident = memory(groups | whole)
    await clients.log_out(agents)
    for figures, what, unit, scale in (
        (cost.seconds, "idle: processor", "% of a core", 100 / seconds),
        (resident, "idle: memory", "MiB", 1.0),
    ):
        figures["runner"] = figures["all"] - sum(figures[name] for name in groups)
        for name, value in figures.items():
            report.add(f"{what}, {name}", unit, value * scale, travels=unit == "MiB")
