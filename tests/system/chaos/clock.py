"""Clocks that jump: each replica's own, by libfaketime; the broker's, the database's and monotonic time stay right."""

from __future__ import annotations

import asyncio
import email.utils
import sys
import time
import urllib.request
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.support.faults import SERVICES
from tests.support.servers import PATIENCE, System
from tests.system.chaos.faults import Fault

HOUR, DAY = 3_600, 86_400
LASTS = 10.0
UNMOVED = 2.0  # seconds: a jump shall not be felt


def library() -> Path | None:
    """libfaketime, of Debian's package `faketime`; None where it is not installed."""
    return next(iter(Path("/usr/lib").glob("*/faketime/libfaketime.so.1")), None)


def command(faces: Path, module: str = "services.{name}") -> str:
    """Starts a service (or this module) whose clock shows what stands in `faces`, in a file named after its port."""
    preloaded = library()
    assert preloaded is not None, "libfaketime is not installed (Debian: apt install faketime)"
    faces.mkdir(parents=True, exist_ok=True)
    reported = f'LD_PRELOAD={preloaded} FAKETIME_TIMESTAMP_FILE="{faces}"/$OWN_PORT'
    options = "FAKETIME_DONT_FAKE_MONOTONIC=1 FAKETIME_CACHE_DURATION=1"
    return f"sh -c 'exec env {reported} {options} {sys.executable} -m {module}'"


@dataclass(frozen=True)
class Clocks:
    """The clocks of a system of several replicas of each service, started by `command(faces)`."""

    system: System
    faces: Path

    async def set(self, names: Iterable[str], ahead: int) -> None:
        """Returns when the clocks of these replicas are so many seconds ahead of the right time."""
        wanted = tuple(names)
        for name in wanted:
            draft = self.faces / f"{name}.new"
            draft.write_text(f"{ahead:+d}\n")
            draft.replace(self.faces / str(self.system.own_ports()[name]))
        async with asyncio.timeout(PATIENCE):
            for name in wanted:
                while abs(await asyncio.to_thread(self.ahead, name) - ahead) > 5:
                    await asyncio.sleep(0.05)

    def ahead(self, name: str) -> float:
        """How many seconds this replica's clock is ahead, by the date in its answers, to about a second."""
        while True:
            began = time.monotonic()
            with urllib.request.urlopen(f"{self.system.url(name)}/healthz", timeout=PATIENCE) as answer:
                ahead = email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()
            if time.monotonic() - began < 1:  # else it says more of how long the answer took
                return ahead


def faults(clocks: Clocks) -> list[Fault]:
    """Jumps of all clocks, of one of two of each service, of those of one service."""
    system = clocks.system
    everything = [name for service in SERVICES for name in system.replicas(service)]
    ones = [system.replicas(service)[0] for service in SERVICES]
    others = [system.replicas(service)[1] for service in SERVICES]
    jumps = [
        _jump(clocks, "all services: 1 h ahead", {HOUR: everything}),
        _jump(clocks, "all services: 1 h back", {-HOUR: everything}),
        _jump(clocks, "all services: 1 day ahead", {DAY: everything}),
        _jump(clocks, "one of two of each service: 1 h ahead", {HOUR: ones}),
        _jump(clocks, "one of two: 1 h ahead, the other: 1 h back", {HOUR: ones, -HOUR: others}),
    ]
    for service in SERVICES:
        jumps.append(_jump(clocks, f"{service}: 1 h ahead", {HOUR: system.replicas(service)}))
        jumps.append(_jump(clocks, f"{service}: 1 h back", {-HOUR: system.replicas(service)}))
    return jumps


def _jump(clocks: Clocks, what: str, ahead: dict[int, list[str]]) -> Fault:
    async def inject() -> None:
        await asyncio.gather(*(clocks.set(names, seconds) for seconds, names in ahead.items()))

    async def end() -> None:
        await asyncio.gather(*(clocks.set(names, 0) for names in ahead.values()))

    return Fault(f"clocks of {what}", inject, end, LASTS, "injection", UNMOVED)
