"""RULES of opening hours: whether a department is open at an instant, and when that changes next.

Hours are local time of the department's time zone. In the hour that daylight saving skips nobody can come; in the hour
that it repeats the department is open both times. A closed day (a public holiday or a closing day) has no hours, by its
local date; `always` is always, on closed days too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.common.config.departments import Span, Week

MIDNIGHT = time(0)
HORIZON = 400  # days in which the next change is looked for
_DAY = timedelta(days=1)


def usual(_: date) -> tuple[Span, ...] | None:
    """Every day is as the week says."""
    return None


def never(_: date) -> bool:
    """No day is a public holiday."""
    return False


@dataclass(frozen=True)
class Schedule:
    """The hours of one department. `week` None: always open.

    `special`: the hours of a day that is not as the week says, none at all when it is closed, public holiday or not.
    `bridge`: a working day between a closing day that would have hours and a day without is closed too.
    """

    week: Week | None
    zone: ZoneInfo
    closed_on: frozenset[date] = frozenset()
    is_holiday: Callable[[date], bool] = never
    special: Callable[[date], tuple[Span, ...] | None] = usual
    bridge: bool = False


def is_open(schedule: Schedule, at: datetime) -> bool:
    """Whether the department is open at this instant (an aware time). An end such as 17:00 is closed already."""
    if schedule.week is None:
        return True
    local = at.astimezone(schedule.zone)
    now = local.time()
    spans = spans_of(schedule, local.date())
    return any(s.opens <= now and (now < s.closes or s.closes == MIDNIGHT) for s in spans)


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


def spans_of(schedule: Schedule, day: date) -> tuple[Span, ...]:
    """When a department that is not always open is open on this local day, in order; empty when it is closed."""
    assert schedule.week is not None
    spans = _planned(schedule, day)
    if not (schedule.bridge and spans) or schedule.special(day) is not None:
        return spans
    beside = (day - _DAY, day + _DAY)
    free = not any(_planned(schedule, one) for one in beside)
    return () if free and any(schedule.week[one.weekday()] for one in beside) else spans


def _planned(schedule: Schedule, day: date) -> tuple[Span, ...]:
    """As `spans_of`, without bridge days."""
    assert schedule.week is not None
    special = schedule.special(day)
    if special is not None:
        return special
    closed = day in schedule.closed_on or schedule.is_holiday(day)
    return () if closed else schedule.week[day.weekday()]


def _boundaries(schedule: Schedule, day: date) -> Iterator[datetime]:
    """Every instant of this day at which the answer can change: midnight, ends of spans, and leaps of the clock."""
    assert schedule.week is not None
    yield from _instants(schedule.zone, day, MIDNIGHT)
    for span in spans_of(schedule, day):
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
