"""services/presence/opening_hours.py, over every change of the clock and every holiday from 2024 to 2035."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import holidays
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from services.common.config.opening_hours import DAYS, parse_hours
from services.presence.opening_hours import Schedule, is_open, next_change, next_opening, working_day

BRUSSELS = ZoneInfo("Europe/Brussels")
BELGIAN = holidays.country_holidays("BE")
OFFICE = Schedule(parse_hours("Mon-Fri 09:00-17:00"), BRUSSELS, is_holiday=BELGIAN.__contains__)
ZONES = ("Europe/Brussels", "America/New_York", "Australia/Lord_Howe", "UTC")
SECOND = timedelta(seconds=1)


def local(text: str, zone: ZoneInfo = BRUSSELS) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


def easter(year: int) -> date:
    """Gauss and Butcher: independent of the library."""
    a, b, c = year % 19, year // 100, year % 100
    h = (19 * a + b - b // 4 - (b - (b + 8) // 25 + 1) // 3 + 15) % 30
    k = (32 + 2 * (b % 4) + 2 * (c // 4) - h - c % 4) % 7
    m = (a + 11 * h + 22 * k) // 451
    month, day = divmod(h + k - 7 * m + 114, 31)
    return date(year, month, day + 1)


def legal_holidays(year: int) -> set[date]:
    """The ten of the Belgian Royal Decree of 18 April 1974."""
    fixed = {(1, 1), (5, 1), (7, 21), (8, 15), (11, 1), (11, 11), (12, 25)}
    return {date(year, *d) for d in fixed} | {easter(year) + timedelta(days=n) for n in (1, 39, 50)}


def test_each_day_of_twelve_years_has_its_hours() -> None:
    day = date(2024, 1, 1)
    while day.year < 2036:
        works = day.weekday() < 5 and day not in legal_holidays(day.year)
        for clock, within in ((time(8, 59, 59), False), (time(9), True), (time(16, 59, 59), True), (time(17), False)):
            assert is_open(OFFICE, datetime.combine(day, clock, BRUSSELS)) is (works and within), (day, clock)
        day += timedelta(days=1)


def test_every_opening_of_twelve_years_is_at_nine_on_the_wall() -> None:
    at, openings = datetime(2024, 1, 1, tzinfo=UTC), 0
    while (opening := next_opening(OFFICE, at)) and opening.year < 2036:
        assert opening.astimezone(BRUSSELS).time() == time(9)
        closing = next_change(OFFICE, opening)
        assert closing is not None
        assert closing.astimezone(BRUSSELS).time() == time(17)
        at, openings = closing, openings + 1
    weekdays = sum((date(2024, 1, 1) + timedelta(days=n)).weekday() < 5 for n in range(4383))
    lost = sum(d.weekday() < 5 for year in range(2024, 2036) for d in legal_holidays(year))
    assert openings == weekdays - lost


@pytest.mark.parametrize(
    ("at", "opens"),
    [
        ("2026-11-20T17:00", "2026-11-23T09:00"),  # from Friday to Monday
        ("2026-12-24T18:00", "2026-12-28T09:00"),  # Christmas on a Friday
        ("2026-03-27T18:00", "2026-03-30T09:00"),  # the clocks go forward between
        ("2026-10-23T18:00", "2026-10-26T09:00"),  # and back
    ],
)
def test_opens_next(at: str, opens: str) -> None:
    assert next_opening(OFFICE, local(at)) == local(opens)


def test_has_no_next_opening_while_open() -> None:
    assert next_opening(OFFICE, local("2026-11-23T10:00")) is None


def test_always_is_always() -> None:
    always = Schedule(None, BRUSSELS, frozenset({date(2026, 12, 25)}), BELGIAN.__contains__)
    assert is_open(always, local("2026-12-25T03:00"))
    assert next_change(always, local("2026-12-25T03:00")) is None
    assert next_opening(always, local("2026-12-25T03:00")) is None


def test_a_span_past_midnight_ends_on_the_next_day() -> None:
    night = Schedule(parse_hours("Fri 22:00-02:00"), BRUSSELS)
    assert next_opening(night, local("2026-11-20T12:00")) == local("2026-11-20T22:00")
    assert is_open(night, local("2026-11-21T00:00"))
    assert next_change(night, local("2026-11-20T22:00")) == local("2026-11-21T02:00")


def test_a_closing_day_has_no_hours_by_its_local_date() -> None:
    night = Schedule(parse_hours("Fri 22:00-02:00"), BRUSSELS, frozenset({date(2026, 11, 21)}))
    assert next_change(night, local("2026-11-20T23:00")) == local("2026-11-21T00:00")


def test_the_hour_that_is_repeated_is_open_twice() -> None:
    early = Schedule(parse_hours("Sun 02:00-03:00"), BRUSSELS)
    opening = next_opening(early, local("2026-10-25T00:00"))
    assert opening == datetime(2026, 10, 25, 0, tzinfo=UTC)
    assert next_change(early, opening) == datetime(2026, 10, 25, 2, tzinfo=UTC)


def test_the_hour_that_is_skipped_is_never_open() -> None:
    early = Schedule(parse_hours("Sun 02:00-03:00"), BRUSSELS)
    assert next_opening(early, local("2026-03-29T00:00")) == local("2026-04-05T02:00")


def test_hours_that_the_leap_forward_cuts_off_end_with_it() -> None:
    early = Schedule(parse_hours("Sun 01:00-02:30"), BRUSSELS)
    assert next_change(early, local("2026-03-29T01:00")) == datetime(2026, 3, 29, 1, tzinfo=UTC)


def test_hours_that_begin_within_the_repeated_hour_begin_twice() -> None:
    early = Schedule(parse_hours("Sun 02:30-04:00"), BRUSSELS)
    changes, at = [], datetime(2026, 10, 24, 22, tzinfo=UTC)
    for _ in range(4):
        at = next_change(early, at) or at
        changes.append(at.strftime("%d %H:%M"))
    assert changes == ["25 00:30", "25 01:00", "25 01:30", "25 03:00"]  # UTC


def test_never_opens_again_within_the_horizon() -> None:
    closed = Schedule(parse_hours("Mon 09:00-10:00"), BRUSSELS, is_holiday=lambda _: True)
    assert next_opening(closed, local("2026-01-01")) is None


clocks = st.integers(0, 24 * 4 - 1).map(lambda n: f"{n // 4:02}:{n % 4 * 15:02}")
weeks = st.lists(st.tuples(st.sampled_from(DAYS), clocks, clocks), min_size=1, max_size=6).map(
    lambda rules: "; ".join(f"{day} {opens}-{closes}" for day, opens, closes in rules)
)
leaps = st.sampled_from(
    [
        datetime(y, m, d, tzinfo=UTC)
        for y in range(2024, 2036)
        for m in (3, 4, 10, 11)
        for d in (1, 8, 25, 31 if m in (3, 10) else 30)
    ]
)


@settings(max_examples=150, deadline=None)
@given(
    text=weeks, zone=st.sampled_from(ZONES), start=leaps, minutes=st.integers(0, 8 * 24 * 60), closed=st.integers(0, 9)
)
def test_nothing_changes_before_the_next_change(
    text: str, zone: str, start: datetime, minutes: int, closed: int
) -> None:
    """Held against the plain rule, step by step through the five minutes of the days between."""
    no_changes_before_the_next(
        text, zone, start + timedelta(minutes=minutes), frozenset({(start + timedelta(days=closed)).date()})
    )


def no_changes_before_the_next(text: str, zone: str, at: datetime, closed_on: frozenset[date]) -> None:
    try:
        week = parse_hours(text)
    except ValueError:
        assume(False)
    schedule = Schedule(week, ZoneInfo(zone), closed_on)
    now, change = is_open(schedule, at), next_change(schedule, at)
    end = min(change or at + timedelta(days=9), at + timedelta(days=9))
    step = at
    while step < end:
        assert is_open(schedule, step) is now
        step += timedelta(minutes=5)
    if change:
        assert is_open(schedule, change) is not now
        assert is_open(schedule, change - SECOND) is now


@settings(max_examples=100, deadline=None)
@given(text=weeks, zone=st.sampled_from(ZONES), start=leaps, minutes=st.integers(0, 8 * 24 * 60))
def test_open_is_what_the_clock_on_the_wall_says(text: str, zone: str, start: datetime, minutes: int) -> None:
    try:
        week = parse_hours(text)
    except ValueError:
        assume(False)
    at = start + timedelta(minutes=minutes)
    wall = at.astimezone(ZoneInfo(zone))
    clock, today, yesterday = wall.strftime("%H:%M"), DAYS[wall.weekday()], DAYS[wall.weekday() - 1]
    expected = False
    for rule in text.split("; "):
        day, span = rule.split(" ")
        opens, closes = span.split("-")
        if opens < closes:
            expected |= day == today and opens <= clock < closes
        else:
            expected |= (day == today and opens <= clock) or (day == yesterday and clock < closes)
    assert is_open(Schedule(week, ZoneInfo(zone)), at) is expected


def sunday_feasts(year: int) -> set[date]:
    """Easter and Whit Sunday, which the calendar counts as holidays besides the ten: for who works on Sundays."""
    return {easter(year), easter(year) + timedelta(days=49)}


# ── whole weeks, by the minute, and by the second around every change ────────────────────────────────────────────────

SPANS = {  # by the wall: what is written for the service, and the same as plain numbers for the model
    "Mon-Fri 09:00-12:30,13:00-17:00": lambda d, m: d < 5 and (540 <= m < 750 or 780 <= m < 1020),
    "Sat,Sun 01:30-02:30; Sun 03:00-04:00; Mon 22:00-02:00": lambda d, m: (
        (d >= 5 and 90 <= m < 150) or (d == 6 and 180 <= m < 240) or (d == 0 and m >= 1320) or (d == 1 and m < 120)
    ),
}
WEEKS = {
    "forward 2026": date(2026, 3, 23),
    "Easter Monday 2026": date(2026, 4, 6),
    "national holiday 2026": date(2026, 7, 20),
    "back 2026": date(2026, 10, 19),
    "All Saints 2026, a Sunday": date(2026, 10, 26),
    "Armistice 2026": date(2026, 11, 9),
    "forward 2027, and Easter Monday after it": date(2027, 3, 22),
    "Easter Monday 2027": date(2027, 3, 29),
    "back 2027": date(2027, 10, 25),
    "All Saints 2027, a Monday": date(2027, 11, 1),
}


@pytest.mark.parametrize("hours", SPANS)
@pytest.mark.parametrize("week", WEEKS)
def test_a_whole_week_is_as_the_clock_on_the_wall_says(week: str, hours: str) -> None:
    """Eight days by the minute against the plain model, and by the second for ten seconds around each change."""
    schedule = Schedule(parse_hours(hours), BRUSSELS, is_holiday=BELGIAN.__contains__)

    def model(at: datetime) -> bool:
        wall = at.astimezone(BRUSSELS)
        holiday = wall.date() in legal_holidays(wall.year) | sunday_feasts(wall.year)
        return not holiday and SPANS[hours](wall.weekday(), wall.hour * 60 + wall.minute)

    start = datetime.combine(WEEKS[week], time(0), BRUSSELS).astimezone(UTC)
    minutes = [start + timedelta(minutes=n) for n in range(8 * 24 * 60)]
    opens = [model(at) for at in minutes]
    changes = [n for n in range(1, len(opens)) if opens[n] != opens[n - 1]]
    assert changes or "holiday" in week
    for at, expected in zip(minutes, opens, strict=True):
        assert is_open(schedule, at) is expected, at
    for n in changes:
        for second in range(-10, 11):
            at = minutes[n] + second * SECOND
            assert is_open(schedule, at) is model(at), at
        assert next_change(schedule, minutes[n] - SECOND) == minutes[n]
    following: datetime | None = None
    for n in reversed(range(len(minutes))):
        following = minutes[n] if opens[n] and (n == 0 or not opens[n - 1]) else following
        if n % 15 == 0 and not opens[n] and following:
            assert next_opening(schedule, minutes[n]) == following


@pytest.mark.parametrize(
    ("at", "number", "day"),
    [
        ("2026-11-23T10:00", 1, "2026-11-24"),  # the day itself does not count, also before it opens
        ("2026-11-23T00:00", 1, "2026-11-24"),
        ("2026-11-23T23:59", 1, "2026-11-24"),
        ("2026-11-20T18:00", 1, "2026-11-23"),  # over a weekend
        ("2026-11-20T18:00", 2, "2026-11-24"),
        ("2026-12-24T10:00", 2, "2026-12-29"),  # over Christmas, a Friday
        ("2027-05-05T10:00", 1, "2027-05-10"),  # over the bridge after Ascension Day
        ("2026-12-30T10:00", 1, "2026-12-31"),  # a half day is a working day
        ("2026-12-30T10:00", 2, "2027-01-05"),  # New Year, a weekend, and a closing day
    ],
)
def test_a_working_day_is_one_on_which_the_department_is_open(at: str, number: int, day: str) -> None:
    half = {date(2026, 12, 31): parse_hours("Mon 09:00-12:00")[0]}  # type: ignore[index]
    schedule = Schedule(
        parse_hours("Mon-Fri 09:00-17:00"),
        BRUSSELS,
        closed_on=frozenset({date(2027, 1, 4)}),
        is_holiday=BELGIAN.__contains__,
        special=half.get,
        bridge=True,
    )
    assert working_day(schedule, local(at), number) == date.fromisoformat(day)


def test_a_working_day_is_counted_from_the_local_day() -> None:
    assert working_day(OFFICE, datetime(2026, 11, 23, 22, 59, tzinfo=UTC), 1) == date(2026, 11, 24)
    assert working_day(OFFICE, datetime(2026, 11, 23, 23, 0, tzinfo=UTC), 1) == date(2026, 11, 25)


def test_who_is_always_open_works_from_monday_to_friday_but_for_the_calendar() -> None:
    special = {date(2026, 12, 28): (), date(2027, 1, 2): parse_hours("Mon 09:00-12:00")[0]}  # type: ignore[index]
    schedule = Schedule(None, BRUSSELS, is_holiday=BELGIAN.__contains__, special=special.get)
    days = [working_day(schedule, local("2026-12-24T10:00"), number) for number in range(1, 6)]
    assert [str(day) for day in days] == ["2026-12-29", "2026-12-30", "2026-12-31", "2027-01-02", "2027-01-04"]


def test_a_department_without_working_days_has_none() -> None:
    assert working_day(Schedule(parse_hours("Mon 09:00-17:00"), BRUSSELS), local("2026-11-23T10:00"), 57) == date(
        2027, 12, 27
    )
    assert working_day(Schedule(parse_hours("Mon 09:00-17:00"), BRUSSELS), local("2026-11-23T10:00"), 58) is None


@given(st.datetimes(datetime(2024, 1, 1), datetime(2035, 12, 1)), st.integers(1, 30))
def test_each_working_day_comes_after_the_one_before_and_is_open(at: datetime, number: int) -> None:
    instant = at.replace(tzinfo=UTC)
    day, before = working_day(OFFICE, instant, number), working_day(OFFICE, instant, number - 1 or 1)
    assert day is not None
    assert before is not None
    assert day > instant.astimezone(BRUSSELS).date()
    assert before < day or number == 1
    assert is_open(OFFICE, datetime.combine(day, time(12), BRUSSELS))
