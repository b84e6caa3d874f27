"""A fault that is injected into a running system, and the system that a stage runs against. No I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.support.servers import System

Since = Literal["injection", "end"]


async def nothing() -> None:
    """The cause ends by itself: a supervisor starts again what was killed."""


@dataclass(frozen=True)
class Fault:
    """A fault that can be injected again and again.

    `kind`: its row in the table, e.g. "routing, one of two: kill -9". `inject` returns when the fault is in force,
    `end` when its cause is over; between them `lasts` seconds pass. Recovery is the time until messages flow both ways
    in every conversation again, counted from the injection or from the end; `goal`: it shall be at most so many
    seconds.
    """

    kind: str
    inject: Callable[[], Awaitable[None]]
    end: Callable[[], Awaitable[None]] = nothing
    lasts: float = 0.0
    counts_from: Since = "injection"
    goal: float | None = None


@dataclass(frozen=True)
class Target:
    """A running system, ready; the address that its clients use (it may lead through a proxy); its possible faults."""

    system: System
    base_url: str
    faults: Sequence[Fault]
