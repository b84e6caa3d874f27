"""What processes cost: processor time and memory, each with the children it has."""

from __future__ import annotations

import asyncio
import contextlib
import os
import platform
import time
from collections.abc import AsyncIterator, Awaitable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import psutil

T = TypeVar("T")
Groups = Mapping[str, Iterable[int]]  # name → process ids


@dataclass(frozen=True)
class Cost:
    """Of a stretch of work: processor seconds by group and of the client; what part of all cores others used."""

    seconds: dict[str, float]
    client: float
    others: float

    @property
    def total(self) -> float:
        return sum(self.seconds.values())


async def costing(groups: Groups, work: Awaitable[T]) -> tuple[T, Cost]:
    """What the work gives, and what these processes spent on it."""
    families = {name: [p for pid in pids for p in _family(pid)] for name, pids in groups.items()}
    before, all_before, mine = _spent(families), _everything(), time.process_time()
    began = time.monotonic()
    result = await work
    after, all_after, mine = _spent(families), _everything(), time.process_time() - mine
    seconds = {name: after[name] - before[name] for name in families}
    rest = sum(spent - all_before.get(pid, 0.0) for pid, spent in all_after.items()) - sum(seconds.values()) - mine
    room = (time.monotonic() - began) * (os.cpu_count() or 1)
    return result, Cost(seconds, mine, max(0.0, rest / room) if room else 0.0)


def memory(groups: Groups) -> dict[str, float]:
    """MiB that each group has resident now."""
    return {name: sum(_resident(p) for pid in pids for p in _family(pid)) for name, pids in groups.items()}


@contextlib.asynccontextmanager
async def peak(pid: int) -> AsyncIterator[list[float]]:
    """The most MiB that this process alone has while the context is open, in a list of one; looked at each 5 ms."""
    process, most = psutil.Process(pid), [0.0]

    async def look() -> None:
        while True:
            most[0] = max(most[0], process.memory_info().rss / 2**20)
            await asyncio.sleep(0.005)

    task = asyncio.create_task(look())
    try:
        yield most
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def name() -> str:
    """This machine, as far as figures of two runs can be compared: its processor, cores and system."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return f"{line.split(':', 1)[1].strip()}, {os.cpu_count()} cores"
    return f"{platform.machine()}, {os.cpu_count()} cores"


def _family(pid: int) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    return []


def _spent(families: Mapping[str, list[psutil.Process]]) -> dict[str, float]:
    return {name: sum(_cpu(p) for p in family) for name, family in families.items()}


def _everything() -> dict[int, float]:
    return {p.pid: _cpu(p) for p in psutil.process_iter()}


def _cpu(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        return sum(process.cpu_times()[:2])
    return 0.0


def _resident(process: psutil.Process) -> float:
    with contextlib.suppress(psutil.Error):
        return process.memory_info().rss / 2**20
    return 0.0
