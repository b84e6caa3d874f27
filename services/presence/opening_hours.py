"""RULES of opening hours: whether a department is open at an instant, and when that changes next.

Hours are local time in the department's time zone. The hour that daylight saving skips does not exist; in the hour that
is repeated the department is open both times. A closed day (a public holiday or a closing day) has no hours, by its
local date. `always` applies on closed days too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from services.common.config.departments import Span, Week

MIDNIGHT = time(0)
HORIZON = 400  # days in which the next change is searched
_DAY = timedelta(days=1)


def usual(_: date) -> tuple[Span, ...] | None:
    """Return None: no day differs from the weekly hours."""
    return None


def never(_: date) -> bool:
    """Return False: no day is a public holiday."""
    return False


@dataclass(frozen=True)
class Schedule:
    """The opening hours of one department.

    Attributes:
        week: Hours by day of the week; None: always open.
        zone: The time zone.
        closed_on: Closing days.
        is_holiday: Whether a day is a public holiday.
        special: Returns the hours of a day that differs from the week, public holiday or not; empty when it is
            closed.
        bridge: A working day between a closed day that would have hours and a day without hours is closed too.
    """

    week: Week | None
    zone: ZoneInfo
    closed_on: frozenset[date] = frozenset()
    is_holiday: Callable[[date], bool] = never
    special: Callable[[date], tuple[Span, ...] | None] = usual
    bridge: bool = False


def is_open(schedule: Schedule, at: datetime) -> bool:
    """Return whether the department is open at this instant (with a time zone).

    At an end such as 17:00 it is closed.
    """
    if schedule.week is None:
        return True
    local = at.astimezone(schedule.zone)
    now = local.time()
    spans = spans_of(schedule, local.date())
    return any(s.opens <= now and (now < s.closes or s.closes == MIDNIGHT) for s in spans)


def next_change(schedule: Schedule, at: datetime) -> datetime | None:
    """Return the first instant (UTC) after `at` at which the department opens or closes.

    None when there is none within 400 days.
    """
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
    """Return when a closed department opens (UTC); None while it is open, or when that is beyond 400 days."""
    return None if is_open(schedule, at) else next_change(schedule, at)


def spans_of(schedule: Schedule, day: date) -> tuple[Span, ...]:
    """Return the hours of this local day, in order; empty when the department is closed.

    The department must not be one that is always open.
    """
    assert schedule.week is not None
    spans = _planned(schedule, day)
    if not (schedule.bridge and spans) or schedule.special(day) is not None:
        return spans
    beside = (day - _DAY, day + _DAY)
    free = not any(_planned(schedule, one) for one in beside)
    return () if free and any(schedule.week[one.weekday()] for one in beside) else spans


def _planned(schedule: Schedule, day: date) -> tuple[Span, ...]:
    """Return the hours as `spans_of` does, without bridge days."""
    assert schedule.week is not None
    special = schedule.special(day)
    if special is not None:
        return special
    closed = day in schedule.closed_on or schedule.is_holiday(day)
    return () if closed else schedule.week[day.weekday()]


def _boundaries(schedule: Schedule, day: date) -> Iterator[datetime]:
    """Yield every instant of this day at which the answer can change: midnight, ends of spans, and clock changes."""
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
    """Return the one or two instants of this local time. For a skipped time it returns two others, which do no harm."""
    return {datetime.combine(day, clock, zone).replace(fold=fold).astimezone(UTC) for fold in (0, 1)}


def _leap(zone: ZoneInfo, day: date) -> datetime | None:
    """Return the instant within this local day at which its clock changes, to the second; None when it does not."""
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
