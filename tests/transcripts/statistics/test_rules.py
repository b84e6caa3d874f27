"""`services/transcripts/statistics/rules.py`: rows, days, weeks, percentiles and figures."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.transcripts.statistics.rules import Report, bounds, chat_row, days_of, percentile, period_of, row_id

BRUSSELS = ZoneInfo("Europe/Brussels")
AT = datetime(2026, 11, 2, 9, tzinfo=UTC)
CHAT = {"_id": "c", "department": "algemeen", "opened_at": AT, "closed_at": AT + timedelta(seconds=100), "name": "An"}


def said(seq: int, seconds: float, party: str = "system", **more: object) -> dict[str, Any]:
    return {"seq": seq, "party": party, "at": AT + timedelta(seconds=seconds), **more}


def test_the_row_of_a_chat_has_times_and_no_word_of_it() -> None:
    log = [
        said(4, 31.4, "agent", text="geheim"),
        said(1, 0, event="opened"),
        said(3, 12.6, event="assigned", about={"turn": 1, "agent_id": "an", "agent": "An"}),
        said(5, 60, event="transferred", about={"turn": 2, "agent_id": "an"}),
        said(6, 61, event="transferred", about={"turn": 3, "detail": "overflow"}),
        said(7, 70, event="assigned", about={"turn": 3, "agent_id": "bert", "agent": "Bert"}),
        said(8, 100, event="closed", reason="agent"),
    ]
    row = {
        "department": "algemeen",
        "opened_at": AT,
        "served": True,
        "reason": "agent",
        "transfers": 1,
        "wait": 13,
        "duration": 87,
        "first_answer": 31,
    }
    assert chat_row(CHAT, log, with_agent=False) == row
    assert chat_row(CHAT, log, with_agent=True) == {**row, "agent_id": "an"}


def test_a_chat_that_no_agent_accepted_was_abandoned() -> None:
    log = [said(1, 0, event="opened"), said(2, 100, event="closed", reason="no_agent")]
    row = chat_row(CHAT, log, with_agent=True)
    assert row == {
        "department": "algemeen",
        "opened_at": AT,
        "served": False,
        "reason": "no_agent",
        "transfers": 0,
    }


def test_clocks_that_differ_make_no_negative_time() -> None:
    log = [said(1, 0, event="opened"), said(2, -0.6, event="assigned"), said(3, 100, event="closed")]
    assert chat_row(CHAT, log, with_agent=True)["wait"] == 0


def test_the_id_of_a_row_does_not_show_the_number_of_the_chat() -> None:
    number = "0e2f7d3a-0000-4000-8000-000000000000"
    assert row_id(number) == row_id(number) != row_id(number.replace("3", "4"))
    assert number[:8] not in row_id(number)


@pytest.mark.parametrize(
    ("values", "p50", "p90"),
    [
        ([], None, None),
        ([7], 7, 7),
        ([1, 2], 1, 2),
        ([0, 0, 0, 9], 0, 9),
        (list(range(1, 11)), 5, 9),
        (list(range(1, 101)), 50, 90),
        ([3, 1, 2, 2, 2], 2, 3),
    ],
)
def test_percentiles_are_values_that_occurred(values: list[int], p50: int | None, p90: int | None) -> None:
    assert (percentile(Counter(values), 50), percentile(Counter(values), 90)) == (p50, p90)


@pytest.mark.parametrize(
    ("first", "last", "hours"),
    [
        (date(2026, 10, 25), date(2026, 10, 25), 25),
        (date(2027, 3, 28), date(2027, 3, 28), 23),
        (date(2026, 10, 26), date(2026, 10, 26), 24),
        (date(2026, 10, 19), date(2026, 10, 25), 7 * 24 + 1),
    ],
)
def test_a_day_lasts_as_long_as_it_does_in_the_time_zone(first: date, last: date, hours: int) -> None:
    begin, end = (moment.astimezone(UTC) for moment in bounds(first, last, BRUSSELS))
    assert end - begin == timedelta(hours=hours)
    assert begin.astimezone(BRUSSELS).time().isoformat() == "00:00:00"


@pytest.mark.parametrize(
    ("day", "week"),
    [
        ("2026-12-31", "2026-W53"),
        ("2027-01-01", "2026-W53"),
        ("2027-01-03", "2026-W53"),
        ("2027-01-04", "2027-W01"),
        ("2024-12-30", "2025-W01"),
        ("2026-10-25", "2026-W43"),
        ("2026-10-26", "2026-W44"),
    ],
)
def test_weeks_are_those_of_iso_8601(day: str, week: str) -> None:
    assert period_of(date.fromisoformat(day), "week") == week
    assert period_of(date.fromisoformat(day), "day") == day


def test_days_have_both_ends() -> None:
    assert [d.day for d in days_of(date(2026, 2, 27), date(2026, 3, 1))] == [27, 28, 1]


def test_what_is_not_asked_for_is_not_in_the_report() -> None:
    group = {"offered": 1, "served": 0, "transferred": 0, "helped": [None], "scores": [None]}
    group |= {"wait": [], "first_answer": [], "duration": [], "wrap_up": [], "reasons": [], "tags": []}
    day = date(2026, 11, 2)
    made = Report(day, day, "day", ["algemeen", "premies"], with_agents=False)
    made.add_chats(day, "premies", "an", group)
    told = made.result("Europe/Brussels")
    assert told.agents is None
    assert [(d.id, d.figures.offered, d.figures.abandoned) for d in told.departments] == [
        ("algemeen", 0, 0),
        ("premies", 1, 1),
    ]
    assert (told.total.helped_no, told.total.scores, told.total.score_mean) == (0, 0, None)
