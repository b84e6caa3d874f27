"""What strikes a running system, as those see it who play a run: a blow, and the stand that it falls on. No I/O."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tests.support.servers import System

Since = Literal["strike", "heal"]


async def nothing() -> None:
    """The cause is over by itself: a supervisor starts again what was killed."""


@dataclass(frozen=True)
class Blow:
    """One fault that can be brought about again and again.

    `kind`: its row in the table, e.g. "routing, one of two: kill -9". `strike` returns when the fault is in force,
    `heal` when its cause is over; between them `lasts` seconds pass. Recovery is the time until messages flow both ways
    in every talk again, counted from the strike or from the healing; `goal`: it shall be at most so many seconds.
    """

    kind: str
    strike: Callable[[], Awaitable[None]]
    heal: Callable[[], Awaitable[None]] = nothing
    lasts: float = 0.0
    counts_from: Since = "strike"
    goal: float | None = None


@dataclass(frozen=True)
class Stand:
    """A running system, ready; the address that its clients use (it may lead through a proxy); what can strike it."""

    system: System
    base_url: str
    blows: Sequence[Blow]
