"""RULES of a department's info sheet, an HTML page: the button's state, opening hours, contact ways.

It says why the button is blue and until when. No I/O after the import.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from babel.dates import format_date, get_day_names

from services.common.config.departments import Department
from services.common.config.opening_hours import Calendar, Span, Week, parse_hours
from services.common.texts import Catalogue, supported_language
from services.gateway.http.pages.citizen_page import common_values, load_page
from services.gateway.http.pages.contacts import contact_rows

TEXTS = Catalogue(Path(__file__).parent / "translations")
_TEMPLATE = load_page(Path(__file__).parent)
_BABEL = {"nl": "nl_BE", "fr": "fr_BE", "de": "de_BE", "en": "en_GB"}
_DAY = {"nl": "EEEE d MMMM", "fr": "EEEE d MMMM", "de": "EEEE, d. MMMM", "en": "EEEE d MMMM"}  # patterns of CLDR
ZONE = ZoneInfo("Europe/Brussels")  # the texts have a name for this time zone
REASONS = ("available", "closed", "busy", "no_agents", "unknown")


def render(
    department: Department,
    button: Mapping[str, Any],
    locale: str,
    now: datetime,
    *,
    office_hours: str = "Mon-Fri 09:00-17:00",
    holidays: bool = True,
    zone: ZoneInfo = ZONE,
    calendar: Calendar = Calendar(),  # noqa: B008 - it is frozen
    notice: str | None = None,
) -> str:
    """Return the whole page.

    No value of the configuration becomes markup, and the page needs no inline script or style.

    Args:
        department: The department.
        button: The answer of `GET /api/button`.
        locale: The language; one that is not offered becomes Dutch.
        now: The present, with a time zone.
        office_hours: The hours of a department that sets none.
        holidays: Whether public holidays close the chat.
        zone: The time zone of all hours.
        calendar: The calendar of all departments.
        notice: A message to show.
    """
    locale, now = supported_language(locale), now.astimezone(zone)
    week = parse_hours(department.hours or office_hours)
    coming = [] if week is None else list(_coming(department, calendar, now.date()))
    return _TEMPLATE.render(
        **common_values(TEXTS, locale, f"/infofiche/{department.id}"),
        department=department,
        name=department.names.in_(locale),
        state=_state(button, locale, now),
        time=f"{now:%H:%M}",
        notice=notice,
        week=_week(week, locale),
        weekday=now.weekday(),
        holidays=holidays,
        closed_on=[_date(day, locale) for day, spans in coming if not spans],
        changed_on=[(_date(day, locale), spans_in_words(spans, locale)) for day, spans in coming if spans],
        time_zone=TEXTS.text(locale, "zone") if zone == ZONE else TEXTS.text(locale, "other_zone", zone=zone),
        contacts=contact_rows(department.contacts, locale),
    )


def _state(button: Mapping[str, Any], locale: str, now: datetime) -> dict[str, object]:
    """Return colour, reason and revision of the button; `opens` in words when it is closed and the moment is known."""
    reason = button.get("reason") if button.get("reason") in REASONS else "unknown"
    colour = "green" if button.get("colour") == "green" and reason == "available" else "blue"
    reason = "unknown" if colour == "blue" and reason == "available" else reason
    opens = _moment(button.get("opens_at")) if reason == "closed" else None
    return {
        "colour": colour,
        "reason": reason,
        "revision": button.get("revision", 0),
        "opens": when(opens, locale, now) if opens else None,
    }


def _moment(value: object) -> datetime | None:
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    return value if isinstance(value, datetime) and value.tzinfo else None


def when(moment: datetime, locale: str, now: datetime) -> str:
    """Return a moment in words, in the time zone of `now`.

    Examples: `vandaag om 13:00`, `morgen om 09:00`, `op maandag 23 november om 09:00`.
    """
    local = moment.astimezone(now.tzinfo)
    days = (local.date() - now.date()).days
    clock = f"{local:%H:%M}"
    if days in (0, 1):
        return TEXTS.text(locale, "today" if days == 0 else "tomorrow", time=clock)
    return TEXTS.text(locale, "on_day", day=format_date(local.date(), _DAY[locale], locale=_BABEL[locale]), time=clock)


def _week(week: Week | None, locale: str) -> list[tuple[str, str]]:
    """Return the name and the hours of each day, Monday first; nothing when the chat is always open."""
    names = get_day_names("wide", locale=_BABEL[locale])
    return [(names[day], spans_in_words(spans, locale)) for day, spans in enumerate(week or ())]


def _date(day: date, locale: str) -> str:
    """Return a date in words: `donderdag 24 december 2026`."""
    return format_date(day, f"{_DAY[locale]} y", locale=_BABEL[locale])


def spans_in_words(spans: tuple[Span, ...], locale: str) -> str:
    """Return `09:00 – 12:00 en 13:00 – 17:00`, or the word for closed."""
    if not spans:
        return TEXTS.text(locale, "shut")
    parts = [f"{s.opens:%H:%M} – {'24:00' if s.closes == time(0) else f'{s.closes:%H:%M}'}" for s in spans]
    return f" {TEXTS.text(locale, 'and')} ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _coming(department: Department, calendar: Calendar, today: date) -> Iterator[tuple[date, tuple[Span, ...]]]:
    """Yield the days with hours of their own, in order: those of the coming year in a calendar, and later dates."""
    days = {today + timedelta(days=n) for n in range(366)} | {d for d in department.closed_on if d >= today}
    for day in sorted(days):
        own = department.calendar.spans_on(day, department.closed_on)
        spans = calendar.spans_on(day) if own is None else own
        if spans is not None:
            yield day, spans
