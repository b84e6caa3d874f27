"""Opening hours as the departments file and the settings write them: a week's hours, and a calendar of other days."""

from __future__ import annotations

import re
from datetime import date, time, timedelta
from itertools import pairwise
from typing import Annotated

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.common.config.faults import wrong

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
ALWAYS = "always"
_SPAN = re.compile(r"([0-2]\d):([0-5]\d)-([0-2]\d):([0-5]\d)")
_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
_YEARLY = re.compile(r"(\d{2})-(\d{2})")
_EASTER = re.compile(r"easter(?:([+-])(\d{1,3}))?")


class Span(BaseModel):
    """A period of opening hours on one day.

    `closes` 00:00 is the end of that day. A period past midnight is two spans.
    """

    model_config = ConfigDict(frozen=True)
    opens: time
    closes: time


Week = tuple[tuple[Span, ...], ...]  # seven days, Monday first; each day's spans in order


def parse_hours(text: str) -> Week | None:
    """Return the week that `text` describes, or None for `always`.

    Grammar: `Mon-Fri 09:00-12:00,13:00-17:00; Sat 10:00-12:00`. A span that ends before it begins goes past midnight.

    Raises:
        ValueError: The text is invalid; the message says why.
    """
    if text.strip().lower() == ALWAYS:
        return None
    week: list[list[Span]] = [[] for _ in DAYS]
    for rule in filter(None, (part.strip() for part in text.split(";"))):
        days, _, spans = rule.partition(" ")
        for day in _days(days):
            for span in spans.split(","):
                _add(week, day, span.strip())
    if not any(week):
        raise wrong("hours_none", "has no opening hours; give for example 'Mon-Fri 09:00-17:00', or 'always'")
    return tuple(_ordered(spans, DAYS[i]) for i, spans in enumerate(week))


def _days(text: str) -> list[int]:
    days: list[int] = []
    for part in text.split(","):
        first, dash, last = part.partition("-")
        if first not in DAYS or (dash and last not in DAYS):
            raise wrong("hours_day", "'{value}' is not a day or a range of days such as Mon-Fri", value=part)
        start, end = DAYS.index(first), DAYS.index(last if dash else first)
        days += [(start + i) % 7 for i in range((end - start) % 7 + 1)]
    return days


def _add(week: list[list[Span]], day: int, text: str) -> None:
    match = _SPAN.fullmatch(text)
    if not match:
        raise wrong("hours_span", "'{value}' is not a span of time such as 09:00-17:00", value=text)
    a, b, c, d = (int(g) for g in match.groups())
    if a > 23 or c > 24 or (c == 24 and d):
        raise wrong("hours_beyond", "'{value}' has an hour beyond the day", value=text)
    opens, closes = time(a, b), time(c % 24, d)
    if closes > opens or closes == time(0):
        week[day].append(Span(opens=opens, closes=closes))
        return
    if closes == opens:
        problem = "'{value}' begins and ends at the same time; use 00:00-24:00 for a whole day"
        raise wrong("hours_same", problem, value=text)
    week[day].append(Span(opens=opens, closes=time(0)))
    week[(day + 1) % 7].append(Span(opens=time(0), closes=closes))


def _ordered(spans: list[Span], day: str) -> tuple[Span, ...]:
    ordered = sorted(spans, key=lambda s: s.opens)
    for one, two in pairwise(ordered):
        if one.closes == time(0) or two.opens < one.closes:
            raise wrong("hours_overlap", "{value} has spans that overlap", value=day)
    return tuple(ordered)


def easter(year: int) -> date:
    """Return Easter Sunday of the Gregorian calendar (Meeus/Jones/Butcher)."""
    a, (b, c) = year % 19, divmod(year, 100)
    d, e = divmod(b, 4)
    h = (19 * a + b - d - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    i, k = divmod(c, 4)
    weekday = (32 + 2 * e + 2 * i - h - k) % 7
    m = (a + 11 * h + 22 * weekday) // 451
    month, day = divmod(h + weekday - 7 * m + 114, 31)
    return date(year, month, day + 1)


def _day(value: object) -> str:
    text = value.isoformat() if isinstance(value, date) else str(value).strip().lower()
    yearly, relative = _YEARLY.fullmatch(text), _EASTER.fullmatch(text)
    try:
        if yearly:
            date(2024, int(yearly[1]), int(yearly[2]))  # a leap year: 02-29 is a day of some years
        elif relative and int(relative[2] or 0) <= 250:
            return text
        elif _DATED.fullmatch(text):
            date.fromisoformat(text)
        else:
            raise ValueError
    except ValueError:
        problem = "'{value}' is no day such as 2027-05-07, 12-26 (each year) or easter+1"
        raise wrong("day", problem, value=text[:40]) from None
    return text


def _matches(text: str, day: date) -> bool:
    if relative := _EASTER.fullmatch(text):
        offset = int(f"{relative[1] or '+'}{relative[2] or 0}")
        return day == easter(day.year) + timedelta(days=offset)
    return text in (day.isoformat(), f"{day:%m-%d}")


def _spans(value: str) -> str:
    ends = [part.partition("-") for part in value.strip().split(",")]
    if any(" " in part[0] or part[0] >= part[2] for part in ends):
        problem = "'{value}' is not hours of one day such as 09:00-12:00 or 09:00-12:00,13:00-16:00"
        raise wrong("day_hours", problem, value=value[:40])
    parse_hours(f"Mon {value.strip()}")
    return value.strip()


Day = Annotated[str, BeforeValidator(_day)]


class Calendar(BaseModel):
    """Days with other opening hours than the week. A day is a date, a day of each year (`12-26`) or relative to Easter.

    Attributes:
        holidays: Whose public holidays are closed days; None: as without this calendar; empty: none.
        closed: Further closed days.
        hours: Hours of single days, public holidays or not.
        bridge: Whether a working day between a closed day and a day without hours is closed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    holidays: str | None = Field(None, max_length=20)
    closed: tuple[Day, ...] = Field((), max_length=400)
    hours: dict[Day, Annotated[str, AfterValidator(_spans)]] = Field({}, max_length=400)
    bridge: bool | None = None

    @model_validator(mode="after")
    def _one_meaning(self) -> Calendar:
        if both := sorted(set(self.closed) & set(self.hours)):
            raise wrong("closed_with_hours", "'{value}' is closed and has hours", value=both[0])
        return self

    def spans_on(self, day: date, closed_on: tuple[date, ...] = ()) -> tuple[Span, ...] | None:
        """Return the hours of this day, empty when it is closed, or None when this calendar does not mention it.

        An entry for one date precedes an entry for each year.
        """
        if day.isoformat() in self.hours or day in closed_on or day.isoformat() in self.closed:
            return self._hours(self.hours.get(day.isoformat()))
        yearly = [text for text in (*self.hours, *self.closed) if not _DATED.fullmatch(text) and _matches(text, day)]
        return self._hours(self.hours.get(yearly[0])) if yearly else None

    @staticmethod
    def _hours(text: str | None) -> tuple[Span, ...]:
        week = parse_hours(f"Mon {text}") if text else None
        return week[0] if week else ()
