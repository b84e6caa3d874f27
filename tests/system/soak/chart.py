"""Lines over time as one small SVG, drawn by hand: no library draws it, and every reader of Markdown shows it."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tests.system.soak.growth import Series

WIDTH, HEIGHT, LEFT, TOP, BELOW, RIGHT = 760, 300, 48, 34, 36, 132
COLOURS = ("#1b4f9c", "#0b6b3a", "#9c1b5a", "#8a5a00", "#5b3a9c", "#444444", "#007a87")
DASHES = ("", "6 3", "2 3", "9 3 2 3", "1 4", "12 4", "4 4")  # distinct without colours too
MOST_POINTS = 240


def draw(title: str, lines: Sequence[Series], unit: str) -> str:
    """The picture: minutes from left to right, the unit from zero upwards, each line with its name at its end."""
    last = max(t for line in lines for t, _ in line.points) or 1.0
    top = _round_up(max(v for line in lines for _, v in line.points))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        f'font-size="12" role="img"><title>{escape(title)}</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/><text x="{LEFT}" y="18">{escape(title)}</text>',
        *(_rule(top * n / 4, top) for n in range(5)),
        *(_minute(last * n / 4, last) for n in range(5)),
        f'<text x="{LEFT - 8}" y="{TOP - 4}" text-anchor="end">{escape(unit)}</text>',
    ]
    names = _apart([_y(line.points[-1][1], top) for line in lines])
    for number, (line, y) in enumerate(zip(lines, names, strict=True)):
        points = line.points[:: -(-len(line.points) // MOST_POINTS)]
        path = " ".join(f"{_x(t, last):.1f},{_y(v, top):.1f}" for t, v in points)
        colour, dash = COLOURS[number % len(COLOURS)], DASHES[number % len(DASHES)]
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-dasharray="{dash}"/>')
        label = escape(f"{line.name} {line.ends:.0f}")
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{y + 4:.1f}" fill="{colour}">{label}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _x(t: float, last: float) -> float:
    return LEFT + t / last * (WIDTH - LEFT - RIGHT)


def _y(value: float, top: float) -> float:
    return HEIGHT - BELOW - value / top * (HEIGHT - BELOW - TOP)


def _rule(value: float, top: float) -> str:
    y = _y(value, top)
    return (
        f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:g}</text>'
    )


def _minute(t: float, last: float) -> str:
    return f'<text x="{_x(t, last):.1f}" y="{HEIGHT - 12}" text-anchor="middle">{t / 60:.3g} min</text>'


def _round_up(value: float) -> float:
    return next(float(step * 40) for step in range(1, 10_000) if step * 40 >= value)


def _apart(wanted: Sequence[float], least: float = 14.0) -> list[float]:
    """These heights, moved up where two names would stand upon each other."""
    placed = dict[int, float]()
    lowest = float(HEIGHT - BELOW)
    for number in sorted(range(len(wanted)), key=lambda n: -wanted[n]):
        placed[number] = lowest = min(wanted[number], lowest)
        lowest -= least
    return [placed[number] for number in range(len(wanted))]
