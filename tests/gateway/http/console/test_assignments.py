"""`services/gateway/http/console/assignments.py` behind a real server: why an agent got a chat."""

from datetime import UTC, datetime, timedelta

import pytest

from services.common.events.types import Choice, ChoiceRule
from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.common.internal_api import routing as routing_api
from services.common.internal_api.transcripts import ACCESS_NOTE, AccessNoted, Reader
from tests.gateway.asking import Client
from tests.gateway.making import AN, BERT, CHAT, NOW, agent_view
from tests.gateway.standing import World

CHOICE = Choice(rule=ChoiceRule.FEWEST_CHATS, candidates=2, speaks=True, chats=0, idle_for=3.5)
ONE = routing_api.Assignment(
    chat_id=CHAT, department="algemeen", turn=1, agent_id=BERT, agent_name="Bert", at=NOW, waited=1.25, choice=CHOICE
)


def only_algemeen() -> presence_api.OpenSession:
    agent = agent_view(AN, supervisor=True, departments=["algemeen"])
    return presence_api.OpenSession(session_id="s", expires_at=datetime.now(UTC) + timedelta(hours=1), agent=agent)


async def test_a_supervisor_reads_the_reasons(world: World, client: Client, supervisor: str) -> None:
    world.others.assignments = [ONE, ONE.model_copy(update={"choice": None})]
    _, listed, headers = await client.ask("GET", "/api/assignments", Cookie=supervisor)
    assert [a["choice"] for a in listed["assignments"]] == [
        {"rule": "fewest_chats", "candidates": 2, "speaks": True, "chats": 0, "idle_for": 3.5},
        None,
    ]
    one = listed["assignments"][0]
    assert (one["chat_id"], one["agent_name"], one["waited"]) == (CHAT, "Bert", 1.25)
    assert one["at"] == "2026-11-23T08:00:00.123Z"
    assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("", {"departments": ["algemeen", "premies"]}),
        ("?department=premies&limit=7", {"departments": ["premies"], "limit": 7}),
        (f"?chat_id={CHAT}", {"chat_id": CHAT, "departments": ["algemeen", "premies"]}),
    ],
)
async def test_of_a_chat_or_of_a_department(
    world: World, client: Client, supervisor: str, query: str, asked: dict[str, object]
) -> None:
    assert (await client.ask("GET", f"/api/assignments{query}", Cookie=supervisor))[0] == 200
    body = next(b for p, b in world.others.asked if p == routing_api.ASSIGNMENTS)
    assert routing_api.AssignmentsQuery.model_validate_json(body) == routing_api.AssignmentsQuery.model_validate(asked)


async def test_a_read_is_noted_for_the_access_log_first_and_is_refused_when_it_cannot_be(
    world: World, client: Client, supervisor: str
) -> None:
    assert (await client.ask("GET", "/api/assignments?department=premies", Cookie=supervisor))[0] == 200
    (noted, _) = [(p, b) for p, b in world.others.asked if p in (ACCESS_NOTE, routing_api.ASSIGNMENTS)]
    assert noted[0] == ACCESS_NOTE
    reader = Reader(agent_id=AN, supervisor=True, source="127.0.0.1")
    wanted = AccessNoted(act="assignments_read", reader=reader, departments=["premies"])
    assert AccessNoted.model_validate_json(noted[1]) == wanted
    world.others.away.add(ACCESS_NOTE)
    assert (await client.ask("GET", "/api/assignments", Cookie=supervisor))[1]["code"] == "unavailable"
    assert len([p for p, _ in world.others.asked if p == routing_api.ASSIGNMENTS]) == 1


async def test_no_other_agent_may_and_the_problem_is_named(world: World, client: Client, supervisor: str) -> None:
    path = "/api/assignments"
    assert (await client.ask("GET", path))[1]["code"] == "unauthenticated"
    cookie = f"eloket-agent={world.others.log_in(BERT)}"
    assert (await client.ask("GET", path, Cookie=cookie))[1]["code"] == "forbidden"
    assert [p for p, _ in world.others.asked if p == routing_api.ASSIGNMENTS] == []
    world.others.sessions[supervisor.partition("=")[2]] = only_algemeen()
    for query in ("?department=premies", f"?department=premies&chat_id={CHAT}"):
        assert (await client.ask("GET", path + query, Cookie=supervisor))[1]["code"] == "forbidden"
    assert [p for p, _ in world.others.asked if p == routing_api.ASSIGNMENTS] == []
    world.others.refused[routing_api.ASSIGNMENTS] = Problem(403, "forbidden", "no")
    assert (await client.ask("GET", f"{path}?chat_id={CHAT}", Cookie=supervisor))[1]["code"] == "forbidden"
    assert (await client.ask("GET", f"{path}?department=elders", Cookie=supervisor))[1]["code"] == "unknown_department"
    for limit in ("0", "501", "x"):
        assert (await client.ask("GET", f"{path}?limit={limit}", Cookie=supervisor))[1]["code"] == "invalid"
    world.others.away.add(routing_api.ASSIGNMENTS)
    assert (await client.ask("GET", path, Cookie=supervisor))[1]["code"] == "unavailable"
