"""The system that a run is played against: several replicas, accounts of its own, and what strikes its processes."""

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

import argon2

from deploy.local import rabbitmq
from services.common.events.types import derived_id
from tests.support.servers import System, running_system

DEPARTMENT = "algemeen"
REPLICAS = "gateway=2,presence=3,routing=3,transcripts=1"


@dataclass(frozen=True)
class Crew:
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
    def places(self) -> int:
        return sum(self.capacity.values())

    def write(self, file: Path) -> Path:
        """The accounts file. Its hash is a weak one: logging in is not what is measured."""
        hashed = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash("demo")
        file.write_text(
            "\n".join(
                f'[[accounts]]\nusername = "{name}"\nname = "{name.title()}"\ndepartments = ["{DEPARTMENT}"]\n'
                f'capacity = {n}\npassword_hash = "{hashed}"'
                for name, n in self.capacity.items()
            )
        )
        return file


def crew(prefix: str, capacities: Sequence[int]) -> Crew:
    """So many agents, with these capacities in turn."""
    return Crew({f"{prefix}{i}": capacity for i, capacity in enumerate(capacities, 1)})


@contextlib.contextmanager
def standing(home: Path, agents: Crew, replicas: str = REPLICAS, **variables: str) -> Iterator[System]:
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
class Strikes:
    """What was killed, and when."""

    struck: list[tuple[float, str]] = field(default_factory=list)

    def __str__(self) -> str:
        counts = Counter(name for _, name in self.struck)
        return ", ".join(f"{name} {n}" for name, n in sorted(counts.items())) or "none"


@dataclass(frozen=True)
class Blows:
    """How processes are struck: of which services, after a pause of so many seconds (at random between), how often."""

    services: Sequence[str] = ("routing", "presence", "gateway")
    pause: tuple[float, float] = (5.0, 12.0)
    most: int = 10_000


@contextlib.asynccontextmanager
async def striking(system: System, blows: Blows | None, rng: random.Random) -> AsyncIterator[Strikes]:
    """Kill one or two random replicas (kill -9), and when they are ready again others, while the context is open."""
    strikes = Strikes()
    task = asyncio.create_task(_strike(system, blows or Blows(most=0), rng, strikes))
    try:
        yield strikes
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _strike(system: System, blows: Blows, rng: random.Random, strikes: Strikes) -> None:
    for _ in range(blows.most):
        await asyncio.sleep(rng.uniform(*blows.pause))
        pids = {name: pid for name, pid in system.pids().items() if name.split("-")[0] in blows.services}
        struck = rng.sample(sorted(pids), rng.choice([1, 1, 2]))
        for name in struck:
            os.kill(pids[name], signal.SIGKILL)
            strikes.struck.append((time.monotonic(), name))
        while any(system.pids().get(name, pids[name]) == pids[name] for name in struck):
            await asyncio.sleep(0.02)
        await asyncio.to_thread(system.wait_ready, *struck)


def load() -> str:
    """What else the machine does: its load average."""
    one, five, _ = os.getloadavg()
    return f"load {one:.1f} (1 min), {five:.1f} (5 min), {os.cpu_count()} cores"
