"""RULES of opening hours: whether a department is open at an instant, when that changes next, and its working days.

Hours are local time in the department's time zone. The hour that daylight saving skips does not exist; in the hour that
is repeated the department is open both times. A closed day (a public holiday or a closing day) has no hours, by its
local date. `always` applies on closed days too. Schedules come from the departments file, the settings and the calendar
of public holidays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from functools import partial
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from services.common.config.departments import Departments
from services.common.config.faults import Fault
from services.common.config.opening_hours import Span, Week, parse_hours
from services.common.config.settings import Settings
from services.common.config.toml_file import ConfigurationError

MIDNIGHT = time(0)
HORIZON = 400  # days in which the next change is searched
_DAY = timedelta(days=1)
_SATURDAY = 5  # as `date.weekday` counts

# Days of Belgium's communities and regions (ISO 3166-2:BE, and DG for the German-speaking community), which the library
# does not have. 11 July: decree of 6 July 1973; 27 September: decree of 20 July 1973; 15 November: decree of 1 October
# 1990; 8 May: ordinance of 13 April 1995.
BELGIAN: dict[str, dict[tuple[int, int], str]] = {
    "VLG": {(7, 11): "Feestdag van de Vlaamse Gemeenschap"},
    "WAL": {(9, 27): "Fête de la Communauté française"},
    "BRU": {(5, 8): "Irisfeest"},
    "DG": {(11, 15): "Tag der Deutschsprachigen Gemeinschaft"},
}


def usual(_: date) -> tuple[Span, ...] | None:
    """Return None: no day differs from the weekly hours."""
    return None


def never(_: date) -> bool:
    """Return False: no day is a public holiday."""
    return False


@dataclass
class Known:
    """The answer of `hours_at` from `since` until the department opens or closes."""

    since: datetime | None = None
    until: datetime | None = None
    open: bool = False
    opens_at: datetime | None = None


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
        known: What `hours_at` remembers.
    """

    week: Week | None
    zone: ZoneInfo
    closed_on: frozenset[date] = frozenset()
    is_holiday: Callable[[date], bool] = never
    special: Callable[[date], tuple[Span, ...] | None] = usual
    bridge: bool = False
    known: Known = field(default_factory=Known, init=False, compare=False, repr=False)


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


def hours_at(schedule: Schedule, at: datetime) -> tuple[bool, datetime | None]:
    """Return whether the department is open at this instant and, when it is closed, when it opens (UTC).

    The answer is remembered until the department opens or closes, because it is needed each second.
    """
    known = schedule.known
    if known.since is None or known.until is None or not known.since <= at < known.until:
        change = next_change(schedule, at)
        known.open = is_open(schedule, at)
        known.opens_at = None if known.open else change
        known.since, known.until = at, change or at + _DAY
    return known.open, known.opens_at


def next_opening(schedule: Schedule, at: datetime) -> datetime | None:
    """Return when a closed department opens (UTC); None while it is open, or when that is beyond 400 days."""
    return None if is_open(schedule, at) else next_change(schedule, at)


def hours_of_day(schedule: Schedule, at: datetime) -> list[str]:
    """Return the hours of the local day of this instant, as `09:00-12:30`; empty when the department is closed.

    The department must not be one that is always open.
    """
    return hours_of(spans_of(schedule, at.astimezone(schedule.zone).date()))


def hours_of(spans: tuple[Span, ...]) -> list[str]:
    """Return hours of a day as `09:00-12:30`."""
    return [f"{s.opens:%H:%M}-{'24:00' if s.closes == MIDNIGHT else f'{s.closes:%H:%M}'}" for s in spans]


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


def working_day(schedule: Schedule, at: datetime, number: int) -> date | None:
    """Return the local date of the working day with this number after the day of this instant.

    A working day is one on which the department is open, however short; of a department that is always open, a day
    from Monday to Friday that is not closed in its calendar. The day of the instant does not count (Regulation (EEC,
    Euratom) No 1182/71, article 3(1)).

    Returns:
        The date, or None when it is not within 400 days.
    """
    first = at.astimezone(schedule.zone).date()
    days = (first + offset * _DAY for offset in range(1, HORIZON))
    return next(islice((day for day in days if _works(schedule, day)), number - 1, None), None)


def _works(schedule: Schedule, day: date) -> bool:
    if schedule.week is not None:
        return bool(spans_of(schedule, day))
    special = schedule.special(day)
    if special is not None:
        return bool(special)
    return day.weekday() < _SATURDAY and day not in schedule.closed_on and not schedule.is_holiday(day)


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


def load_schedules(settings: Settings, departments: Departments) -> dict[str, Schedule]:
    """Return each department's schedule by its id.

    Raises:
        ConfigurationError: The calendar of a department that is not always open, or that takes questions, is invalid.
    """
    default, zone = parse_hours(settings.office_hours), ZoneInfo(settings.timezone)
    found = {}
    for number, department in enumerate(departments.departments):
        week = parse_hours(department.hours) if department.hours else default
        of_all, own = departments.calendar, department.calendar
        has_working_days = week or department.questions
        bridge = of_all.bridge if own.bridge is None else own.bridge
        found[department.id] = Schedule(
            week,
            zone,
            is_holiday=holidays_of(settings, departments, number).__contains__ if has_working_days else never,
            special=partial(departments.spans_on, department),
            bridge=bool(bridge),
        )
    return found


def holidays_of(settings: Settings, departments: Departments, number: int) -> Mapping[date, str]:
    """Return the public holidays of the department with this number, with their names.

    They come from its calendar, that of all departments, or `HOLIDAYS`.

    Raises:
        ConfigurationError: The code is invalid; the message names the file or setting and the place.
    """
    where: list[tuple[str | None, tuple[str | int, ...]]] = [
        (departments.departments[number].calendar.holidays, ("departments", number, "calendar", "holidays")),
        (departments.calendar.holidays, ("calendar", "holidays")),
    ]
    for code, steps in where:
        if code is not None:
            place = ".".join(map(str, steps))
            in_file = settings.config_source == "file"
            name = f"DEPARTMENTS_FILE {settings.departments_file}: {place}" if in_file else place
            return holidays(code, name, steps)
    return holidays(settings.holidays, "HOLIDAYS")


def holidays(code: str, place: str, steps: tuple[str | int, ...] = ()) -> Mapping[date, str]:
    """Return the public holidays of a country (`BE`) or a region (`BE-VLG`).

    The names are Dutch where the library has Dutch names. The library computes a year when a day of it is first
    requested.

    Args:
        code: The code; empty or `none`: none.
        place: What the message calls the place of the code.
        steps: Its place in the departments, for the fault.

    Raises:
        ConfigurationError: The code is unknown; the message names `place`.
    """
    if code.strip().lower() in ("", "none"):
        return {}
    import holidays as library  # imported here, because it loads the calendars of every country: 13 MB

    country, _, region = code.strip().upper().partition("-")
    try:
        known = library.country_holidays(country)
    except NotImplementedError:
        raise ConfigurationError(
            f"{place}: '{code}' is not the code of a country such as BE, or of a region such as BE-VLG; "
            "leave it empty for none.",
            Fault("holidays_country", {"value": code}, steps),
        ) from None
    language = "nl" if "nl" in (known.supported_languages or ()) else None
    if country == "BE" and region in BELGIAN:
        return _Belgian(library.country_holidays(country, language=language), BELGIAN[region])
    regions = {name.upper(): name for name in known.subdivisions}
    if region and region not in regions:
        names = sorted({*regions, *(BELGIAN if country == "BE" else ())})
        raise ConfigurationError(
            f"{place}: '{code}': {country} has no region {region}; it has {', '.join(names) or 'none'}.",
            Fault("holidays_region", {"value": code, "regions": ", ".join(names) or "–"}, steps),
        )
    return library.country_holidays(country, subdiv=regions.get(region), language=language)


class _Belgian(Mapping[date, str]):
    """A country's holidays, and those of a region that have the same date each year."""

    def __init__(self, country: Any, yearly: Mapping[tuple[int, int], str]) -> None:
        self._country, self._yearly = country, yearly

    def __contains__(self, day: object) -> bool:
        return isinstance(day, date) and (day in self._country or (day.month, day.day) in self._yearly)

    def __getitem__(self, day: date) -> str:
        name: str | None = self._country.get(day) or self._yearly.get((day.month, day.day))
        if name is None:
            raise KeyError(day)
        return name

    def __iter__(self) -> Any:
        return iter(self._country)

    def __len__(self) -> int:
        return len(self._country)
