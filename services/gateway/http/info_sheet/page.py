"""RULES of a department's info sheet, an HTML page: the button's state, opening hours, contact ways.

It says why the button is blue and until when. No I/O.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from babel.dates import format_date, get_day_names

from services.common.config.departments import LOCALES, Calendar, Contact, Department, Span, parse_hours
from services.common.texts import Catalogue, supported_language

TEXTS = Catalogue(Path(__file__).parent / "translations")
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
    """
    locale = supported_language(locale)
    name, title = escape(department.names.in_(locale)), escape(TEXTS.text(locale, "title"))
    hours = department.hours or office_hours
    return f"""<!doctype html>
<html lang="{locale}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}: {name}</title>
<link rel="icon" type="image/svg+xml" href="/static/agent/icon.svg">
<link rel="stylesheet" href="/static/infofiche/infofiche.css">
<script type="module" src="/static/infofiche/live.js"></script>
</head>
<body>
<header>
{_languages(department, locale)}
<p class="kind">{title}</p>
<h1>{name}</h1>
</header>
<main>
{_state(department, button, locale, now.astimezone(zone))}
{_opening(department, hours, locale, now.astimezone(zone), holidays, calendar)}
{_contacts(department, locale)}
</main>
</body>
</html>
"""


def _languages(department: Department, locale: str) -> str:
    def link(one: str) -> str:
        current = ' aria-current="true"' if one == locale else ""
        address = escape(f"/infofiche/{department.id}?lang={one}")
        name = TEXTS.text(one, "language_name")
        return f'<li><a href="{address}" lang="{one}" hreflang="{one}"{current}>{name}</a></li>'

    return f'<nav aria-label="{escape(TEXTS.text(locale, "languages"))}"><ul>{"".join(map(link, LOCALES))}</ul></nav>'


def _state(department: Department, button: Mapping[str, Any], locale: str, now: datetime) -> str:
    reason = button.get("reason") if button.get("reason") in REASONS else "unknown"
    colour = "green" if button.get("colour") == "green" and reason == "available" else "blue"
    reason = "unknown" if colour == "blue" and reason == "available" else reason
    lines = [TEXTS.text(locale, f"reason.{reason}")]
    shown = TEXTS.text(locale, f"colour.{colour}")
    opens = _moment(button.get("opens_at"))
    if reason == "closed" and opens:
        lines.append(TEXTS.text(locale, "opens", when=when(opens, locale, now)))
    return f"""<section aria-labelledby="state-title">
<h2 id="state-title">{escape(TEXTS.text(locale, "state_title"))}</h2>
<div id="state" role="status" data-department="{escape(department.id)}" data-colour="{colour}" data-reason="{reason}" \
data-revision="{escape(str(button.get("revision", 0)))}">
<p class="colour"><span class="sign" aria-hidden="true"></span><strong>{escape(shown)}</strong></p>
<p>{" ".join(escape(line) for line in lines)}</p>
</div>
<p id="as-of" class="small">{escape(TEXTS.text(locale, "as_of", time=f"{now:%H:%M}"))}</p>
<p id="not-live" class="small" role="status" hidden>{escape(TEXTS.text(locale, "not_live"))}</p>
</section>"""


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


def _opening(department: Department, hours: str, locale: str, now: datetime, holidays: bool, calendar: Calendar) -> str:
    today, always = now.date(), parse_hours(hours) is None
    zone = TEXTS.text(locale, "zone") if now.tzinfo == ZONE else TEXTS.text(locale, "other_zone", zone=now.tzinfo)
    note = f"<p>{escape(TEXTS.text(locale, 'holidays'))}</p>" if holidays and not always else ""
    coming = [] if always else list(_coming(department, calendar, today))
    closed = [day for day, spans in coming if not spans]
    changed = {day: spans for day, spans in coming if spans}
    return f"""<section aria-labelledby="hours-title">
<h2 id="hours-title">{escape(TEXTS.text(locale, "hours_title"))}</h2>
{_week(hours, locale, today)}
{note}
{_closing_days(closed, locale)}
{_changed_hours(changed, locale)}
<p class="small">{escape(zone)}</p>
</section>"""


def _week(hours: str, locale: str, today: date) -> str:
    week = parse_hours(hours)
    if week is None:
        return f"<p>{escape(TEXTS.text(locale, 'always'))}</p>"
    names = get_day_names("wide", locale=_BABEL[locale])
    rows = "".join(
        f'<tr class="{"today" if day == today.weekday() else "day"}"><th scope="row">{escape(names[day])}</th>'
        f"<td>{escape(spans_in_words(spans, locale))}</td></tr>"
        for day, spans in enumerate(week)
    )
    day_title, hours_title = escape(TEXTS.text(locale, "day")), escape(TEXTS.text(locale, "hours"))
    head = f'<tr><th scope="col">{day_title}</th><th scope="col">{hours_title}</th></tr>'
    return f"<table><thead>{head}</thead><tbody>{rows}</tbody></table>"


def spans_in_words(spans: tuple[Span, ...], locale: str) -> str:
    """Return `09:00 – 12:00 en 13:00 – 17:00`, or the word for closed."""
    if not spans:
        return TEXTS.text(locale, "shut")
    parts = [f"{s.opens:%H:%M} – {'24:00' if s.closes == time(0) else f'{s.closes:%H:%M}'}" for s in spans]
    return f" {TEXTS.text(locale, 'and')} ".join(filter(None, [", ".join(parts[:-1]), parts[-1]]))


def _closing_days(days: list[date], locale: str) -> str:
    if not days:
        return ""
    items = "".join(f"<li>{escape(format_date(day, f'{_DAY[locale]} y', locale=_BABEL[locale]))}</li>" for day in days)
    return f"<p>{escape(TEXTS.text(locale, 'closed_on'))}</p><ul>{items}</ul>"


def _coming(department: Department, calendar: Calendar, today: date) -> Iterator[tuple[date, tuple[Span, ...]]]:
    """Yield the days with hours of their own, in order: those of the coming year in a calendar, and later dates."""
    days = {today + timedelta(days=n) for n in range(366)} | {d for d in department.closed_on if d >= today}
    for day in sorted(days):
        own = department.calendar.told(day, department.closed_on)
        spans = calendar.told(day) if own is None else own
        if spans is not None:
            yield day, spans


def _changed_hours(days: Mapping[date, tuple[Span, ...]], locale: str) -> str:
    if not days:
        return ""
    items = "".join(
        f"<li>{escape(format_date(day, f'{_DAY[locale]} y', locale=_BABEL[locale]))}: "
        f"{escape(spans_in_words(spans, locale))}</li>"
        for day, spans in days.items()
    )
    return f"<p>{escape(TEXTS.text(locale, 'changed_on'))}</p><ul>{items}</ul>"


def _contacts(department: Department, locale: str) -> str:
    if not department.contacts:
        return ""
    items = "".join(_contact(contact, locale) for contact in department.contacts)
    title = escape(TEXTS.text(locale, "contacts_title"))
    return f'<section aria-labelledby="contacts-title"><h2 id="contacts-title">{title}</h2><dl>{items}</dl></section>'


def _contact(contact: Contact, locale: str) -> str:
    value, address = escape(contact.value), contact_address(contact)
    shown = f'<a href="{escape(address)}" rel="noopener">{value}</a>' if address else value
    note = f'<span class="note">{escape(contact.note.in_(locale))}</span>' if contact.note else ""
    return f"<div><dt>{escape(TEXTS.text(locale, f'contact.{contact.kind}'))}</dt><dd>{shown}{note}</dd></div>"


def contact_address(contact: Contact) -> str | None:
    """Return the link of a contact, or None when it is text only. A web page must be http or https."""
    if contact.kind == "phone":
        digits = re.sub(r"[^\d+]", "", contact.value)
        return f"tel:{digits}" if digits else None
    if contact.kind == "email":
        return f"mailto:{contact.value}" if re.fullmatch(r"[^\s@?&]+@[^\s@?&]+", contact.value) else None
    if contact.kind == "web":
        parts = urlsplit(contact.value)
        return contact.value if parts.scheme in ("http", "https") and parts.netloc else None
    return None


def contact_ways(department: Department) -> list[dict[str, str]]:
    """Return the contact ways without their notes, as `GET /api/button` has them: `kind`, `value`, `href`."""
    ways = []
    for contact in department.contacts:
        address = contact_address(contact)
        ways.append({"kind": contact.kind, "value": contact.value, **({"href": address} if address else {})})
    return ways
