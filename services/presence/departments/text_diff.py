"""RULES of what a version has changed, by lines. No I/O.

The time is bounded for any two texts, which is why this is not `difflib`: its time grows with the cube of the lines
where many of them are equal.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from services.common.internal_api.configuration import MOST_CHANGES, ChangedLine

MOST_EDITS = 1_000  # removed and added lines up to which equal lines between them are looked for
MOST_COMPARED = 40_000  # lines of both texts in which they are looked for


def changed_lines(before: str, after: str) -> list[ChangedLine]:
    """Return the lines that differ, each change with a line around it; at most `MOST_CHANGES`.

    Of texts that differ too much all lines are removed and added between the first and the last difference.
    """
    old, new = before.splitlines(), after.splitlines()
    shorter = min(len(old), len(new))
    begin = next((n for n in range(shorter) if old[n] != new[n]), shorter)
    end = next((n for n in range(shorter - begin) if old[-1 - n] != new[-1 - n]), shorter - begin)
    removed, added = old[begin : len(old) - end], new[begin : len(new) - end]
    if not removed and not added:
        return []
    lines = [(" ", line) for line in old[max(0, begin - 1) : begin]]
    x = y = 0
    for equal_x, equal_y in [*_equal(removed, added), (len(removed), len(added))]:
        lines += [("-", line) for line in removed[x:equal_x]]
        lines += [("+", line) for line in added[y:equal_y]]
        lines += [(" ", line) for line in removed[equal_x : equal_x + 1]]
        x, y = equal_x + 1, equal_y + 1
    lines += [(" ", line) for line in old[len(old) - end :][:1]]
    shown = [pair for n, pair in enumerate(lines) if any(mark != " " for mark, _ in lines[max(0, n - 1) : n + 2])]
    return [ChangedLine.model_validate({"mark": mark, "text": text}) for mark, text in shown[:MOST_CHANGES]]


def _equal(removed: Sequence[str], added: Sequence[str]) -> list[tuple[int, int]]:
    """Return the positions of equal lines in both, in order, with the fewest lines between them.

    There are none where more than `MOST_EDITS` lines differ. The algorithm: Myers, "An O(ND) difference algorithm and
    its variations", 1986.
    """
    if len(removed) + len(added) > MOST_COMPARED:
        return []
    reached: list[array[int]] = []  # after d edits: the furthest x on each diagonal k = x - y, from -d to d
    for d in range(MOST_EDITS + 1):
        last = reached[-1] if reached else array("l")
        now = array("l", bytes((2 * d + 1) * last.itemsize))
        for k in range(-d, d + 1, 2):
            x = _next(last, d, k)[0] if d else 0
            while x < len(removed) and x - k < len(added) and removed[x] == added[x - k]:
                x += 1
            now[k + d] = x
            if x >= len(removed) and x - k >= len(added):
                return _path([*reached, now], x, x - k)
        reached.append(now)
    return []


def _next(last: array[int], d: int, k: int) -> tuple[int, int]:
    """Return where edit `d` leads to on diagonal `k` (x), and the diagonal that it comes from."""
    below, above = k - 1 + d - 1, k + 1 + d - 1  # positions in `last`, which begins at -(d - 1)
    if k == -d or (k != d and last[below] < last[above]):
        return last[above], k + 1
    return last[below] + 1, k - 1


def _path(reached: Sequence[array[int]], x: int, y: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for d in range(len(reached) - 1, -1, -1):
        k = x - y
        begin, origin = _next(reached[d - 1], d, k) if d else (0, 0)
        found += [(n, n - k) for n in range(x - 1, begin - 1, -1)]
        if d:
            x = reached[d - 1][origin + d - 1]
            y = x - origin
    return found[::-1]
