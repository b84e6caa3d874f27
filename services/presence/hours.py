"""RULES of the office hours: whether a department is open at an instant, and when that changes next.

Hours are what the clock on the wall of the department's time zone shows. In the hour that daylight saving skips nobody
can come; in the hour that it repeats the department is open both times. A closed day (a public holiday or a closing
day) has no hours, by its local date; `always` is always, on closed days too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.departments import Week

MIDNIGHT = time(0)
HORIZON = 400  # days in which the next change is looked for
_DAY = timedelta(days=1)


def never(_: date) -> bool:
    """No day is a public holiday."""
    return False


@dataclass(frozen=True)
class Schedule:
    """The hours of one department. `week` None: always open."""

    week: Week | None
    zone: ZoneInfo
    closed_on: frozenset[date] = frozenset()
    is_holiday: Callable[[date], bool] = never


def is_open(schedule: Schedule, at: datetime) -> bool:
    """Whether the department is open at this instant (an aware time). An end such as 17:00 is closed already."""
    if schedule.week is None:
        return True
    local = at.astimezone(schedule.zone)
    if not _works(schedule, local.date()):
        return False
    now = local.time()
    return any(s.opens <= now and (now < s.closes or s.closes == MIDNIGHT) for s in schedule.week[local.weekday()])


def next_change(schedule: Schedule, at: datetime) -> datetime | None:
    """The first instant (UTC) after `at` at which open becomes closed or the other way round; None within 400 days."""
    if schedule.week is None:
        return None
    now = is_open(schedule, at)
    first = at.astimezone(schedule.zone).date()
    for offset in range(HORIZON):
        for instant in sorted(_boundaries(schedule, first + offset * _DAY)):
            if instant > at and is_open(schedule, instant) != now:
                return instant
    return None


def next_opening(schedule: Schedule, at: datetime) -> datetime | None:
    """When a department that is closed at `at` opens (UTC); None while it is open, or when that is beyond 400 days."""
    return None if is_open(schedule, at) else next_change(schedule, at)


def _works(schedule: Schedule, day: date) -> bool:
    return day not in schedule.closed_on and not schedule.is_holiday(day)


def _boundaries(schedule: Schedule, day: date) -> Iterator[datetime]:
    """Every instant of this day at which the answer can change: midnight, ends of spans, and leaps of the clock."""
    assert schedule.week is not None
    yield from _instants(schedule.zone, day, MIDNIGHT)
    if _works(schedule, day):
        for span in schedule.week[day.weekday()]:
            yield from _instants(schedule.zone, day, span.opens)
            if span.closes != MIDNIGHT:
                yield from _instants(schedule.zone, day, span.closes)
    leap = _leap(schedule.zone, day)
    if leap:
        yield leap


def _instants(zone: ZoneInfo, day: date, clock: time) -> set[datetime]:
    """The one or two instants at which the wall shows this (or, for a time that is skipped, two harmless others)."""
    return {datetime.combine(day, clock, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1)}


def _leap(zone: ZoneInfo, day: date) -> datetime | None:
    """The instant within this local day at which its clocks are put forward or back, to the second."""
    early = datetime.combine(day, MIDNIGHT, zone).astimezone(UTC)
    late = datetime.combine(day + _DAY, MIDNIGHT, zone).astimezone(UTC)
    before = early.astimezone(zone).utcoffset()
    if late.astimezone(zone).utcoffset() == before:
        return None
    while late - early > timedelta(seconds=1):
        middle = early + timedelta(seconds=(late - early).total_seconds() // 2)
        if middle.astimezone(zone).utcoffset() == before:
            early = middle
        else:
            late = middle
    return late
