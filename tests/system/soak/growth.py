"""RULES of what grew: whether a figure that was looked at again and again ends where it began."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

AT_MOST = 200  # points that a slope is drawn through: it looks at every two of them


@dataclass(frozen=True)
class Series:
    """One figure over time: seconds and values.

    `noise`: a change of so much means nothing. `share`: nor does a change of so much of the value at the beginning.
    `judged`: whether growth is a fault.
    """

    name: str
    unit: str
    points: Sequence[tuple[float, float]]
    noise: float
    share: float = 0.0
    judged: bool = True

    @property
    def begins(self) -> float:
        """The median of the first fifth."""
        return median(v for _, v in self.points[: max(1, len(self.points) // 5)])

    @property
    def ends(self) -> float:
        """The median of the last fifth."""
        return median(v for _, v in self.points[-max(1, len(self.points) // 5) :])

    @property
    def allowed(self) -> float:
        """How much more it may be at the end."""
        return max(self.noise, self.share * self.begins)

    @property
    def slope(self) -> float:
        """How much it grows in a second in the later half: the median between every two points (Theil and Sen)."""
        later = self.points[len(self.points) // 2 :]
        some = later[:: -(-len(later) // AT_MOST)]
        return median([(w - v) / (t - s) for (s, v), (t, w) in combinations(some, 2) if t > s] or [0.0])


def grew(series: Series) -> str | None:
    """What is wrong, in words; None when it is as it was, or took a step in the first half and then stayed."""
    more = series.ends - series.begins
    if not series.judged or more <= series.allowed:
        return None
    took = series.points[-1][0] - series.points[0][0]
    if series.slope * took <= series.allowed / 2:
        return None
    hour = series.slope * 3600
    return (
        f"{series.name}: {series.begins:.0f} at the beginning, {series.ends:.0f} {series.unit} at the end, "
        f"and it goes on by {hour:.0f} an hour"
    )


def left_over(name: str, before: int, after: int, allowed: int) -> str | None:
    """What is wrong with a number of things that were counted at rest, before and after; None when nothing is."""
    return None if after <= before + allowed else f"{name}: {before} before, {after} after, at rest both times"
