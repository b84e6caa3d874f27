"""The system that a run runs against: several replicas, agent accounts of its own, and the killing of replicas."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local import rabbitmq
from services.common.events.types import derived_id
from tests.support.accounts import Account, write_accounts
from tests.support.servers import System, running_system

DEPARTMENT = "algemeen"
REPLICAS = "gateway=2,presence=3,routing=3,transcripts=1"


@dataclass(frozen=True)
class AgentAccounts:
    """The agents of a run: username → how many chats they take at a time."""

    capacity: Mapping[str, int]

    @property
    def usernames(self) -> list[str]:
        return list(self.capacity)

    @property
    def by_id(self) -> dict[str, int]:
        """Agent id → capacity."""
        return {derived_id("agent", name): n for name, n in self.capacity.items()}

    @property
    def slots(self) -> int:
        return sum(self.capacity.values())

    def write(self, file: Path) -> Path:
        """Write the accounts file, the value of ACCOUNTS_FILE."""
        return write_accounts(
            file, [Account(name, capacity, (DEPARTMENT,)) for name, capacity in self.capacity.items()]
        )


def agent_accounts(prefix: str, capacities: Sequence[int]) -> AgentAccounts:
    """So many agents, with these capacities in turn."""
    return AgentAccounts({f"{prefix}{i}": capacity for i, capacity in enumerate(capacities, 1)})


@contextlib.contextmanager
def running_replicas(home: Path, agents: AgentAccounts, replicas: str = REPLICAS, **variables: str) -> Iterator[System]:
    """The whole system with these replicas and agents, ready, while the context is open."""
    home.mkdir(parents=True, exist_ok=True)
    accounts = str(agents.write(home / "accounts.toml"))
    with running_system(home, REPLICAS=replicas, RATE_LIMITS="off", ACCOUNTS_FILE=accounts, **variables) as system:
        yield system


def broker_url(system: System) -> str:
    """AMQP address of the system's own broker."""
    home = system.data_dir
    port = json.loads((home / "ports.json").read_text())["broker"]
    password = (home / "broker" / "password").read_text()
    return f"amqp://{rabbitmq.USER}:{password}@127.0.0.1:{port}/"


@dataclass
class Kills:
    """What was killed, and when."""

    killed: list[tuple[float, str]] = field(default_factory=list)

    def __str__(self) -> str:
        counts = Counter(name for _, name in self.killed)
        return ", ".join(f"{name} {n}" for name, n in sorted(counts.items())) or "none"


@dataclass(frozen=True)
class KillPlan:
    """The services whose processes are killed, the seconds between two kills (at random between), and the number."""

    services: Sequence[str] = ("routing", "presence", "gateway")
    pause: tuple[float, float] = (5.0, 12.0)
    most: int = 10_000


@contextlib.asynccontextmanager
async def killing_replicas(system: System, plan: KillPlan | None, rng: random.Random) -> AsyncIterator[Kills]:
    """Kill one or two random replicas (kill -9), and when they are ready again others, while the context is open."""
    kills = Kills()
    task = asyncio.create_task(_kill(system, plan or KillPlan(most=0), rng, kills))
    try:
        yield kills
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _kill(system: System, plan: KillPlan, rng: random.Random, kills: Kills) -> None:
    for _ in range(plan.most):
        await asyncio.sleep(rng.uniform(*plan.pause))
        pids = {name: pid for name, pid in system.pids().items() if name.split("-")[0] in plan.services}
        names = rng.sample(sorted(pids), rng.choice([1, 1, 2]))
        for name in names:
            os.kill(pids[name], signal.SIGKILL)
            kills.killed.append((time.monotonic(), name))
        while any(system.pids().get(name, pids[name]) == pids[name] for name in names):
            await asyncio.sleep(0.02)
        await asyncio.to_thread(system.wait_ready, *names)


MOST_LOAD = 4.0  # processes that want a core, for each core: with more, everything waits for seconds


def is_overloaded(load: tuple[float, float, float] | None = None) -> bool:
    """Whether so many processes wait for a core that what is promised in seconds says nothing about the system.

    Of the last minute or of the last five, whichever is more. `load`: in place of that of this machine.
    """
    return max((load or os.getloadavg())[:2]) > MOST_LOAD * (os.cpu_count() or 1)


def load_average() -> str:
    """The load average and the cores of the machine."""
    one, five, _ = os.getloadavg()
    return f"load {one:.1f} (1 min), {five:.1f} (5 min), {os.cpu_count()} cores"
