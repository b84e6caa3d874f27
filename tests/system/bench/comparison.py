"""The rule that judges: what got worse since another table, beyond the noise of both. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

LEAST = 0.05  # a smaller change is never named: a median of few rounds moves by as much
ALONE = 0.25  # the noise of what was measured once


@dataclass(frozen=True)
class Figure:
    """One figure over the rounds of a run; `baseline` has the same figure of the relay in the same rounds, or nothing.

    `travels`: can be compared with another machine's without a baseline, as memory can.
    """

    name: str
    unit: str
    rounds: list[float]
    baseline: list[float] = field(default_factory=list)
    more_is_better: bool = False
    travels: bool = False

    @property
    def value(self) -> float:
        return median(self.rounds)

    @property
    def ratios(self) -> list[float]:
        """To the baseline, round by round; nothing without one."""
        if not self.baseline or not all(self.baseline):
            return []
        return [ours / theirs for ours, theirs in zip(self.rounds, self.baseline, strict=True)]


@dataclass(frozen=True)
class Table:
    """What one run measured, and on what machine."""

    machine: str
    figures: dict[str, Figure]
    about: dict[str, str] = field(default_factory=dict)
    beside: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Worse:
    """A figure that got worse by `change` (0.2: a fifth), which is more than `noise`."""

    name: str
    then: float
    now: float
    change: float
    noise: float
    ratio: bool

    def __str__(self) -> str:
        what = " x the baseline" if self.ratio else ""
        return f"{self.name}: {self.then:.3g} -> {self.now:.3g}{what}, {self.change:.0%} worse (noise {self.noise:.0%})"


def worse(now: Table, then: Table) -> list[Worse]:
    """The figures of both tables that got worse beyond the noise, the worst first.

    Ratios to the baseline are compared where both have them; else what was measured, on the same machine alone.
    """
    found = []
    for name in now.figures.keys() & then.figures.keys():
        series = comparable(now.figures[name], then.figures[name], now.machine == then.machine)
        if series is None:
            continue
        ours, theirs, ratio = series
        change = turned_worse(median(ours), median(theirs), now.figures[name].more_is_better)
        noise = max(LEAST, spread(ours), spread(theirs))
        if change > noise:
            found.append(Worse(name, median(theirs), median(ours), change, noise, ratio))
    return sorted(found, key=lambda one: (-one.change, one.name))


def comparable(now: Figure, then: Figure, same: bool) -> tuple[list[float], list[float], bool] | None:
    """The two series to compare and whether they are ratios; nothing when they cannot be compared."""
    if now.ratios and then.ratios:
        return now.ratios, then.ratios, True
    if same or (now.travels and then.travels):
        return now.rounds, then.rounds, False
    return None


def turned_worse(now: float, then: float, more_is_better: bool) -> float:
    """How much worse, as a part of what it was; negative when it got better. From nothing to something: endless."""
    if now == then:
        return 0.0
    good, bad = (now, then) if more_is_better else (then, now)
    return bad / good - 1 if good else float("inf")


def spread(values: Sequence[float]) -> float:
    """From the least to the most of the rounds, as a part of the median."""
    if len(values) < 2:
        return ALONE
    middle = median(values)
    return (max(values) - min(values)) / middle if middle else 0.0
