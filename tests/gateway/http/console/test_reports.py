"""`services/gateway/http/console/reports.py` behind a real server: who may read which figures, and as what."""

import csv
import io
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.common.internal_api.reports import (
    REPORT,
    Figures,
    FiguresQuery,
    FiguresReport,
    NamedFigures,
    PeriodFigures,
)
from services.common.internal_api.transcripts import Reader
from services.gateway.http.console.reports import COLUMNS, harmless
from tests.gateway.asking import Client
from tests.gateway.making import AN, BERT, agent_view
from tests.gateway.standing import World

PATH = "/api/agent/reports"
NOVEMBER = f"{PATH}?from=2026-11-01&until=2026-11-02"
ONE = Figures(offered=3, served=2, abandoned=1, wait_p50=7, wait_p90=9, helped_yes=1, scores=2, score_mean=4.5)
TOLD = FiguresReport(
    timezone="Europe/Brussels",
    total=ONE,
    periods=[
        PeriodFigures(period="2026-11-01", since=date(2026, 11, 1), until=date(2026, 11, 1), figures=ONE),
        PeriodFigures(period="2026-11-02", since=date(2026, 11, 2), until=date(2026, 11, 2), figures=Figures()),
    ],
    departments=[NamedFigures(id="algemeen", figures=ONE), NamedFigures(id="premies", figures=Figures())],
)
WITH_AGENTS = TOLD.model_copy(
    update={"agents": [NamedFigures(id=BERT, figures=ONE), NamedFigures(id='=HYPERLINK("x")', figures=ONE)]}
)


@pytest.fixture
def supervisor(world: World, supervisor: str) -> str:
    """Their cookie; transcripts has a report."""
    world.others.fixed[REPORT] = TOLD
    return supervisor


def queries(world: World) -> list[FiguresQuery]:
    return [FiguresQuery.model_validate_json(body) for path, body in world.others.asked if path == REPORT]


async def test_a_supervisor_reads_the_figures_of_their_departments(
    world: World, client: Client, supervisor: str
) -> None:
    status, told, headers = await client.ask("GET", NOVEMBER, Cookie=supervisor)
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert {k: told[k] for k in ("from", "until", "by", "timezone", "departments", "by_agent")} == {
        "from": "2026-11-01",
        "until": "2026-11-02",
        "by": "day",
        "timezone": "Europe/Brussels",
        "departments": ["algemeen", "premies"],
        "by_agent": None,
    }
    assert told["total"] == ONE.model_dump()
    assert [p["period"] for p in told["periods"]] == ["2026-11-01", "2026-11-02"]
    assert told["periods"][1]["wait_p50"] is None
    assert [d["department"] for d in told["by_department"]] == ["algemeen", "premies"]
    (query,) = queries(world)
    reader = Reader(agent_id=AN, supervisor=True, source="127.0.0.1")
    first, last = date(2026, 11, 1), date(2026, 11, 2)
    assert query == FiguresQuery(since=first, until=last, by="day", departments=["algemeen", "premies"], reader=reader)


async def test_one_department_by_week(world: World, client: Client, supervisor: str) -> None:
    assert (await client.ask("GET", f"{NOVEMBER}&department=premies&by=week", Cookie=supervisor))[0] == 200
    (query,) = queries(world)
    assert (query.departments, query.by) == (["premies"], "week")


async def test_agents_have_their_names_when_transcripts_gives_their_figures(
    world: World, client: Client, supervisor: str
) -> None:
    world.others.log_in(BERT)
    world.others.fixed[REPORT] = WITH_AGENTS
    told = (await client.ask("GET", NOVEMBER, Cookie=supervisor))[1]
    name = world.others.agents[BERT].name
    assert [(a["agent_id"], a["name"]) for a in told["by_agent"]] == [(BERT, name), ('=HYPERLINK("x")', None)]


async def test_the_same_as_csv(world: World, client: Client, supervisor: str) -> None:
    world.others.log_in(BERT)
    world.others.agents[BERT] = world.others.agents[BERT].model_copy(update={"name": '+Bert "B", Gent'})
    world.others.fixed[REPORT] = WITH_AGENTS
    status, raw, headers = await fetch(client, f"{NOVEMBER}&format=csv", supervisor)
    assert (status, headers["Content-Type"]) == (200, "text/csv; charset=utf-8")
    assert headers["Content-Disposition"] == 'attachment; filename="chat-2026-11-01-2026-11-02.csv"'
    assert raw.startswith(b"\xef\xbb\xbfscope,period,"), "spreadsheets take it for UTF-8"
    text = raw.decode("utf-8-sig")
    assert text.endswith("\r\n")
    assert text.count("\n") == text.count("\r\n") == 8
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert tuple(rows[0]) == COLUMNS
    assert [r["scope"] for r in rows] == ["total", "day", "day", "department", "department", "agent", "agent"]
    assert {r["timezone"] for r in rows} == {"Europe/Brussels"}
    assert (rows[0]["from"], rows[0]["until"], rows[0]["offered"], rows[0]["score_mean"]) == (
        *("2026-11-01", "2026-11-02", "3", "4.5"),
    )
    assert (rows[2]["period"], rows[2]["from"], rows[2]["wait_p50"]) == ("2026-11-02", "2026-11-02", "")
    assert (rows[4]["department"], rows[4]["offered"]) == ("premies", "0")
    assert rows[5]["agent"] == '\'+Bert "B", Gent'
    assert rows[6]["agent_id"] == '\'=HYPERLINK("x")'


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_no_text_is_a_formula(text: str) -> None:
    assert harmless(text) == f"'{text}"


@pytest.mark.parametrize("value", ["premies", "a=b", "", -1, 4.25, None])
def test_what_is_no_formula_stays(value: object) -> None:
    assert harmless(value) == value


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "invalid"),
        ("?from=2026-11-01", "invalid"),
        ("?from=2026-11-01&until=2026-11-1", "invalid"),
        ("?from=1700000000&until=2026-11-01", "invalid"),
        ("?from=2026-11-01&until=2026-11-02&by=month", "invalid"),
        ("?from=2026-11-01&until=2026-11-02&format=xls", "invalid"),
        ("?from=2026-02-29&until=2026-11-02", "invalid_period"),
        ("?from=2026-11-02&until=2026-11-01", "invalid_period"),
        ("?from=0001-01-01&until=0001-01-02", "invalid_period"),
        ("?from=9999-12-30&until=9999-12-31", "invalid_period"),
        ("?from=2025-10-01&until=2026-11-05", "period_too_long"),
    ],
)
async def test_what_is_wrong_with_a_request_is_said(
    world: World, client: Client, supervisor: str, query: str, code: str
) -> None:
    status, answer, _ = await client.ask("GET", PATH + query, Cookie=supervisor)
    assert (status, answer["code"]) == (422, code)
    assert queries(world) == []


async def test_four_hundred_days_are_not_too_many(client: Client, supervisor: str) -> None:
    assert (await client.ask("GET", f"{PATH}?from=2025-10-01&until=2026-11-04", Cookie=supervisor))[0] == 200


async def test_nobody_else_may(world: World, client: Client, supervisor: str) -> None:
    assert (await client.ask("GET", NOVEMBER))[1]["code"] == "unauthenticated"
    cookie = f"eloket-agent={world.others.log_in(BERT)}"
    assert (await client.ask("GET", NOVEMBER, Cookie=cookie))[1]["code"] == "forbidden"
    agent = agent_view(AN, supervisor=True, departments=["algemeen"])
    expires = datetime.now(UTC) + timedelta(hours=1)
    token = supervisor.partition("=")[2]
    world.others.sessions[token] = presence_api.OpenSession(session_id="s", expires_at=expires, agent=agent)
    for department, code in (("premies", "forbidden"), ("elders", "unknown_department")):
        answer = await client.ask("GET", f"{NOVEMBER}&department={department}", Cookie=supervisor)
        assert answer[1]["code"] == code
    assert queries(world) == []
    await client.ask("GET", NOVEMBER, Cookie=supervisor)
    assert [q.departments for q in queries(world)] == [["algemeen"]]


async def test_what_transcripts_refuses_is_passed_on(world: World, client: Client, supervisor: str) -> None:
    world.others.refused[REPORT] = Problem(422, "report_too_large", "no")
    assert (await client.ask("GET", NOVEMBER, Cookie=supervisor))[1]["code"] == "report_too_large"
    world.others.away.add(REPORT)
    for format_ in ("json", "csv"):
        answer = await client.ask("GET", f"{NOVEMBER}&format={format_}", Cookie=supervisor)
        assert (answer[0], answer[1]["code"]) == (503, "unavailable")


async def fetch(client: Client, path: str, cookie: str) -> tuple[int, bytes, Any]:
    async with client.session.get(path, headers={"Cookie": cookie}) as answer:
        return answer.status, await answer.read(), answer.headers
