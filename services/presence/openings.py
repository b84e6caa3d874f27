"""Schedules of all departments, from the departments file, the settings and the calendar of public holidays."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from services.common.config.departments import ConfigurationError, Departments, parse_hours
from services.common.config.settings import Settings
from services.presence.opening_hours import Schedule, never

# Days of Belgium's communities and regions (ISO 3166-2:BE, and DG for the German-speaking community), which the library
# does not have. 11 July: decree of 6 July 1973; 27 September: decree of 20 July 1973; 15 November: decree of 1 October
# 1990; 8 May: ordinance of 13 April 1995.
BELGIAN: dict[str, dict[tuple[int, int], str]] = {
    "VLG": {(7, 11): "Feestdag van de Vlaamse Gemeenschap"},
    "WAL": {(9, 27): "Fête de la Communauté française"},
    "BRU": {(5, 8): "Irisfeest"},
    "DG": {(11, 15): "Tag der Deutschsprachigen Gemeinschaft"},
}


def load_schedules(settings: Settings, departments: Departments) -> dict[str, Schedule]:
    """Return each department's schedule by its id.

    Raises:
        ConfigurationError: The calendar of a department that is not always open is invalid.
    """
    default, zone = parse_hours(settings.office_hours), ZoneInfo(settings.timezone)
    found = {}
    for number, department in enumerate(departments.departments):
        week = parse_hours(department.hours) if department.hours else default
        of_all, own = departments.calendar, department.calendar
        bridge = of_all.bridge if own.bridge is None else own.bridge
        found[department.id] = Schedule(
            week,
            zone,
            is_holiday=holidays_of(settings, departments, number).__contains__ if week else never,
            special=partial(departments.told, department),
            bridge=bool(bridge),
        )
    return found


def holidays_of(settings: Settings, departments: Departments, number: int) -> Mapping[date, str]:
    """Return the public holidays of the department with this number, with their names.

    They come from its calendar, that of all departments, or `HOLIDAYS`.

    Raises:
        ConfigurationError: The code is invalid; the message names the file or setting and the place.
    """
    where = [
        (departments.departments[number].calendar.holidays, f"departments.{number}.calendar.holidays"),
        (departments.calendar.holidays, "calendar.holidays"),
    ]
    for code, place in where:
        if code is not None:
            return holidays(code, f"DEPARTMENTS_FILE {settings.departments_file}: {place}")
    return holidays(settings.holidays, "HOLIDAYS")


def holidays(code: str, place: str) -> Mapping[date, str]:
    """Return the public holidays of a country (`BE`) or a region (`BE-VLG`).

    The names are Dutch where the library has Dutch names. The library computes a year when a day of it is first
    requested.

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
            "leave it empty for none."
        ) from None
    language = "nl" if "nl" in (known.supported_languages or ()) else None
    if country == "BE" and region in BELGIAN:
        return _Belgian(library.country_holidays(country, language=language), BELGIAN[region])
    regions = {name.upper(): name for name in known.subdivisions}
    if region and region not in regions:
        names = sorted({*regions, *(BELGIAN if country == "BE" else ())})
        raise ConfigurationError(
            f"{place}: '{code}': {country} has no region {region}; it has {', '.join(names) or 'none'}."
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
