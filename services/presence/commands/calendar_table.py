"""`make calendar YEAR=2027`: print for each department the days of that year that differ from the weekly hours."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import date, timedelta

from pydantic import ValidationError

from services.common.config.departments import Departments, load_departments
from services.common.config.opening_hours import Span
from services.common.config.settings import EX_CONFIG, explain
from services.common.config.toml_file import ConfigurationError
from services.presence.opening_hours import Schedule, holidays_of, load_schedules, spans_of
from services.presence.settings import PresenceSettings

DAYS = ("maandag", "dinsdag", "woensdag", "donderdag", "vrijdag", "zaterdag", "zondag")


def main(arguments: list[str]) -> int:
    """Print the table. Return the exit code: 0, 2 without a valid year, or 78 for an invalid configuration."""
    year = arguments[0] if arguments else str(date.today().year)
    if not (year.isascii() and year.isdigit() and 1970 <= int(year) <= 2199):
        print("calendar: YEAR must be a year from 1970 to 2199, such as 2027", file=sys.stderr)
        return 2
    try:
        # Nothing is signed here: the calendar is shown without the installation's secret.
        settings = PresenceSettings(token_secret="of no use here, never kept")  # noqa: S106 - no secret; signs nothing
        departments = load_departments(settings.departments_file)
        lines = list(calendar(settings, departments, int(year)))
    except (ValidationError, ConfigurationError) as error:
        print(*(f"calendar: {line}" for line in explain(error)), sep="\n", file=sys.stderr)
        return EX_CONFIG
    print(*lines, sep="\n")
    return 0


def calendar(settings: PresenceSettings, departments: Departments, year: int) -> Iterator[str]:
    """Yield the lines, in Dutch: a heading for each department, then its closed days and changed hours.

    Holidays have their names.
    """
    schedules = load_schedules(settings, departments)
    for number, department in enumerate(departments.departments):
        schedule = schedules[department.id]
        yield f"{department.id} ({department.names.nl}), {year}"
        if schedule.week is None:
            yield "  altijd open"
            continue
        named = holidays_of(settings, departments, number)
        day = date(year, 1, 1)
        while day.year == year:
            if line := _line(schedule, day, named.get(day)):
                yield f"  {day.isoformat()} {DAYS[day.weekday()]:9} {line}"
            day += timedelta(days=1)


def _line(schedule: Schedule, day: date, holiday: str | None) -> str | None:
    assert schedule.week is not None
    spans, week = spans_of(schedule, day), schedule.week[day.weekday()]
    if spans == week and not holiday:
        return None
    if spans:
        text = f"open {', '.join(_words(span) for span in spans)}"
    elif holiday or schedule.special(day) is not None:
        text = "gesloten"
    else:
        text = "gesloten: brugdag"
    return f"{text} ({holiday})" if holiday else text


def _words(span: Span) -> str:
    return (
        f"{span.opens:%H:%M}-{'24:00' if not span.closes.hour and not span.closes.minute else f'{span.closes:%H:%M}'}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
