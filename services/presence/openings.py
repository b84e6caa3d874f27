"""The schedules of all departments, from the departments file, the settings and the calendar of public holidays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from zoneinfo import ZoneInfo

from services.departments import ConfigurationError, Departments, parse_hours
from services.presence.hours import Schedule, never
from services.settings import Settings


def load_schedules(settings: Settings, departments: Departments) -> dict[str, Schedule]:
    """Each department's schedule by its id. Raises `ConfigurationError` for bad `HOLIDAYS`, if any is ever closed."""
    default, zone = parse_hours(settings.office_hours), ZoneInfo(settings.timezone)
    weeks = {d.id: parse_hours(d.hours) if d.hours else default for d in departments.departments}
    is_holiday = _calendar(settings.holidays) if any(weeks.values()) else never
    return {d.id: Schedule(weeks[d.id], zone, frozenset(d.closed_on), is_holiday) for d in departments.departments}


def _calendar(code: str) -> Callable[[date], bool]:
    """Whether a day is a public holiday there. Years are worked out by the library when first asked for."""
    if code.strip().lower() in ("", "none"):
        return never
    import holidays  # here, since it loads the calendars of every country: 13 MB

    try:
        days = holidays.country_holidays(code.strip().upper())
    except NotImplementedError:
        raise ConfigurationError(
            f"HOLIDAYS: '{code}' is not the code of a country such as BE; leave it empty for none."
        ) from None
    return days.__contains__
