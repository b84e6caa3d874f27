"""The schedules of all departments, from the departments file, the settings and the calendar of public holidays."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from zoneinfo import ZoneInfo

import holidays

from services.departments import ConfigurationError, Departments, parse_hours
from services.presence.hours import Schedule, never
from services.settings import Settings


def load_schedules(settings: Settings, departments: Departments) -> dict[str, Schedule]:
    """Each department's schedule by its id. Raises `ConfigurationError` for bad `HOLIDAYS`."""
    default, is_holiday = parse_hours(settings.office_hours), _calendar(settings.holidays)
    zone = ZoneInfo(settings.timezone)
    return {
        d.id: Schedule(parse_hours(d.hours) if d.hours else default, zone, frozenset(d.closed_on), is_holiday)
        for d in departments.departments
    }


def _calendar(code: str) -> Callable[[date], bool]:
    """Whether a day is a public holiday there. Years are worked out by the library when first asked for."""
    if code.strip().lower() in ("", "none"):
        return never
    try:
        days = holidays.country_holidays(code.strip().upper())
    except NotImplementedError:
        raise ConfigurationError(
            f"HOLIDAYS: '{code}' is not the code of a country such as BE; leave it empty for none."
        ) from None
    return days.__contains__
