"""The route of reports, over HTTP and the real database."""

import asyncio
from typing import Any

import pytest
from pymongo.errors import ExecutionTimeout

from services.common.internal_api.reports import REPORT, FiguresQuery
from services.common.mongo.client import Database
from services.transcripts.after_chat.ratings import Ratings
from services.transcripts.log.store import Store
from services.transcripts.questions.store import Questions
from services.transcripts.statistics.store import Statistics
from tests.transcripts.api.client import ApiClient, require_few_at_a_time
from tests.transcripts.statistics.month import ALGEMEEN, play

QUERY: dict[str, Any] = {
    "since": "2026-10-01",
    "until": "2026-10-31",
    "by": "week",
    "departments": ["algemeen"],
    "reader": {"agent_id": "sofie", "supervisor": True, "source": "192.0.2.1"},
}


@pytest.fixture
async def counted(database: Database, store: Store) -> None:
    statistics = Statistics(database)
    ids = await play(store, Questions(database), Ratings(database, statistics))
    for chat in ids.values():
        await statistics.count_chat(chat)
    async for question in database["questions"].find({}):
        await statistics.count_question(question)


async def test_a_report_is_given_and_its_reading_is_logged(api: ApiClient, database: Database, counted: None) -> None:
    status, told = await api.ask(REPORT, QUERY)
    assert status == 200
    assert (told["total"], told["timezone"], told["agents"]) == (ALGEMEEN, "Europe/Brussels", None)
    assert [p["period"] for p in told["periods"]] == [f"2026-W{week}" for week in range(40, 45)]
    logged = await database["access_log"].find({"act": "report_read"}).to_list(None)
    assert [(e["who"], e["role"], e["department"], e["source"]) for e in logged] == [
        ("sofie", "supervisor", "algemeen", "192.0.2.1")
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"until": "2026-09-30"},
        {"until": "2027-11-05"},
        {"by": "month"},
        {"since": "x"},
    ],
)
async def test_a_report_has_bounds(api: ApiClient, wrong: dict[str, str]) -> None:
    status, told = await api.ask(REPORT, QUERY | wrong)
    assert (status, told["code"]) == (422, "invalid")


async def test_a_report_that_takes_too_long_is_refused(
    api: ApiClient, counted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def slow(self: Statistics, query: FiguresQuery, zone: object) -> object:
        raise ExecutionTimeout("operation exceeded time limit", 50)  # as MongoDB answers after `maxTimeMS`

    monkeypatch.setattr(Statistics, "report", slow)
    status, told = await api.ask(REPORT, QUERY)
    assert (status, told["code"]) == (422, "report_too_large")


async def test_one_supervisor_makes_two_reports_at_a_time_at_most(
    api: ApiClient, counted: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    going, real = asyncio.Event(), Statistics.report

    async def held(self: Statistics, *given: Any) -> Any:
        await going.wait()
        return await real(self, *given)

    monkeypatch.setattr(Statistics, "report", held)
    await require_few_at_a_time(api, REPORT, QUERY, 4, going)
