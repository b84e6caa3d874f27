"""Figures as Markdown tables."""

from __future__ import annotations

import math
from collections.abc import Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that so large a share of all is not above (nearest rank); not a number without any."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def seconds(value: float) -> str:
    """Three digits are enough to read."""
    return "–" if math.isnan(value) else f"{value:.3g}" if value < 100 else f"{value:.0f}"


def spread(values: Sequence[float]) -> list[str]:
    """How many, p50, p99 and the largest."""
    return [
        str(len(values)),
        seconds(percentile(values, 0.5)),
        seconds(percentile(values, 0.99)),
        seconds(max(values, default=math.nan)),
    ]


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table: the first column to the left, the others to the right."""
    lines = [list(map(str, head)), ["---"] + ["---:"] * (len(head) - 1), *([str(c) for c in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
