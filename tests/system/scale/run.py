"""One system with so many replicas of one service, under the load that all the others get too."""

from __future__ import annotations

import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.clients import http_client
from tests.support.servers import System, running_system
from tests.system.bench import chats
from tests.system.bench.clients import ClientFactory
from tests.system.bench.load_generator import Load, share
from tests.system.bench.machine import costing
from tests.system.bench.messages import SERVERS
from tests.system.bench.report import Report
from tests.system.environment import AgentAccounts, agent_accounts

SERVICES = ("gateway", "transcripts", "routing", "presence")
BUSY_AGENTS = 10  # agents with many places, for the starts


@dataclass(frozen=True)
class Size:
    """The load: pairs that write; messages a second and starts a second at a steady rate, each for so many seconds."""

    pairs: int = 50
    rate: float = 200
    seconds: float = 6


@dataclass(frozen=True)
class Figures:
    """What came of one run. `spent`: processor seconds of each process in the closed loop, for `shown` messages."""

    service: str
    replicas: int
    most: float  # messages a second, closed loop
    p50: float  # ms
    p99: float
    green: float  # ms from a press to the green dot, p50
    lost: int
    spent: dict[str, float]
    shown: int
    seconds: float

    @property
    def thousand(self) -> float:
        """Processor seconds of this service for 1,000 messages."""
        return sum(self._own) / max(self.shown, 1) * 1000

    @property
    def busiest(self) -> float:
        """The part of a core that its busiest replica used."""
        return max(self._own) / self.seconds

    @property
    def all(self) -> float:
        """Cores that the whole system used."""
        return sum(self.spent.values()) / self.seconds

    @property
    def _own(self) -> list[float]:
        return [seconds for name, seconds in self.spent.items() if name.split("-")[0] == self.service]


def measure(
    service: str, replicas: int, size: Size, home: Path, run: Callable[[Coroutine[Any, Any, Any]], Any]
) -> Figures:
    """The figures of one system, which is started for this and ends with it."""
    agents = agent_accounts("medewerker", [1] * size.pairs + [40] * BUSY_AGENTS)
    settings = {"ACCOUNTS_FILE": str(agents.write(home / "accounts.toml")), "REPLICAS": f"{service}={replicas}"}
    with running_system(home / "system", RATE_LIMITS="off", LOG_LEVEL="warning", **settings) as system:
        figures: Figures = run(_measure(service, replicas, size, system, agents))
    return figures


async def _measure(service: str, replicas: int, size: Size, system: System, agents: AgentAccounts) -> Figures:
    groups = {name: [pid] for name, pid in system.pids().items() if name.split("-")[0] in SERVERS}
    starts = Report()
    async with http_client() as http:
        clients = ClientFactory(system, http)
        async with clients.chatting(agents.usernames[: size.pairs]) as (pairs, _):
            load = Load(pairs)
            await load.steady(50, 1)  # warm
            steady = await load.steady(size.rate, size.seconds)
            began = time.monotonic()
            closed, cost = await costing(groups, load.closed(size.seconds))
            took = time.monotonic() - began
        await chats.starts(starts, clients, agents.usernames[-BUSY_AGENTS:], size.seconds / 2)
    (green,) = [figure.value for name, figure in starts.figures.items() if "p50" in name]
    lost = steady.sent - steady.shown + closed.sent - closed.shown
    reported = (share(steady.took, 0.5), share(steady.took, 0.99))
    return Figures(service, replicas, closed.rate, *reported, green, lost, cost.seconds, closed.shown, took)
