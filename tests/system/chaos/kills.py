"""KillPlan that processes of a running system get by signal: killed, asked to stop, suspended."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from tests.support.faults import SERVICES, ready, replaced, strike
from tests.support.servers import System, wait_for
from tests.system.chaos.faults import Fault, Since

ONE_OF_TWO, THE_ONLY_ONE = 2.0, 5.0  # seconds until messages flow again, at most
NOTICED, GOES_ON = 15.0, 5.0  # after one of two stood still; after the only one goes on
STANDSTILL = 20.0
SERVERS = ("broker", "database")


def of_one_replica(system: System) -> list[Fault]:
    """Kill one of two replicas of each service (kill -9). The next time it is the other replica of the service."""
    return [
        _killed(system, f"{service}, one of two: kill -9", _in_turn(system, service), ONE_OF_TWO)
        for service in SERVICES
    ]


def of_all_replicas(system: System) -> list[Fault]:
    """Kill every replica of a service at once (kill -9)."""
    return [
        _killed(system, f"{service}, both at once: kill -9", partial(system.replicas, service), THE_ONLY_ONE)
        for service in SERVICES
    ]


def of_the_only_ones(system: System) -> list[Fault]:
    """Kill each process that has no other of its kind, and all four services at once (kill -9)."""
    faults = [
        _killed(system, f"{service}, the only one: kill -9", _these(service), THE_ONLY_ONE) for service in SERVICES
    ]
    faults += [_killed(system, f"{server}: kill -9", _these(server), None) for server in SERVERS]
    return [*faults, _killed(system, "all four services at once: kill -9", _these(*SERVICES), None)]


def asked_to_stop(system: System) -> list[Fault]:
    """SIGTERM of each process that has no other of its kind; recovery counts from when it runs again."""
    return [_asked_to_stop(system, name) for name in (*SERVICES, *SERVERS)]


def standing_still(system: System, seconds: float = STANDSTILL) -> list[Fault]:
    """SIGSTOP, and SIGCONT later: one of two of each service, both of each, the broker, the database."""
    faults = [
        _stopped(system, f"{service}, one of two: stands still", _in_turn(system, service), seconds, NOTICED)
        for service in SERVICES
    ]
    for service in SERVICES:
        kind = f"{service}, both: stand still"
        faults.append(_stopped(system, kind, partial(system.replicas, service), seconds, GOES_ON, "end"))
    for server in SERVERS:
        faults.append(_stopped(system, f"{server}: stands still", _these(server), seconds, None, "end"))
    return faults


Names = Callable[[], Sequence[str]]


def _these(*names: str) -> Names:
    return lambda: names


def _in_turn(system: System, service: str) -> Names:
    turns: Iterator[str] = itertools.cycle(system.replicas(service))
    return lambda: [next(turns)]


def _killed(system: System, kind: str, names: Names, goal: float | None) -> Fault:
    async def kill() -> None:
        await whole(system)
        strike(system, *names())

    return Fault(kind, kill, goal=goal)


def _asked_to_stop(system: System, name: str) -> Fault:
    reported: dict[str, int] = {}

    async def send() -> None:
        await whole(system)
        reported.update(strike(system, name, number=signal.SIGTERM))

    async def runs_again() -> None:
        await replaced(system, reported)

    goal = THE_ONLY_ONE if name in SERVICES else None
    return Fault(f"{name}, the only one: SIGTERM", send, runs_again, counts_from="end", goal=goal)


def _stopped(
    system: System, kind: str, names: Names, seconds: float, goal: float | None, counts_from: Since = "injection"
) -> Fault:
    still: dict[str, int] = {}

    async def stop() -> None:
        await whole(system)
        still.update(strike(system, *names(), number=signal.SIGSTOP))

    async def go_on() -> None:
        for pid in still.values():
            with contextlib.suppress(ProcessLookupError):  # the runner has killed what answered nobody for 15 s
                os.kill(pid, signal.SIGCONT)
        still.clear()

    return Fault(kind, stop, go_on, seconds, counts_from, goal)


async def whole(system: System) -> None:
    """Returns when every process runs and is ready, so that no fault meets the effects of the one before."""
    await asyncio.to_thread(wait_for, lambda: set(SERVICES) <= {n.split("-")[0] for n in system.pids()}, "all to run")
    await ready(system)
