"""`services/gateway/http/console/past_chats.py` behind a real server: who may ask for what, and what is passed on."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from services.common.http.problems import Problem
from services.common.internal_api.past_chats import (
    PAST_CHATS,
    GivenRating,
    PastAgent,
    PastChat,
    PastChatsPage,
    PastChatsQuery,
    PastForm,
)
from services.common.internal_api.transcripts import Reader
from tests.gateway.asking import Client
from tests.gateway.making import AN, BERT
from tests.gateway.standing import World

PATH = "/api/agent/chats/search"
NEXT = "01795973285123-0123456789abcdef"
AT = datetime(2026, 11, 22, 15, 0, 0, 123_000, tzinfo=UTC)
CHAT = PastChat(
    chat_id="c",
    department="algemeen",
    departments=["algemeen"],
    locale="fr",
    opened_at=AT,
    ended_at=AT,
    name="Zoë",
    form=PastForm(title="Parkeerkaart"),
    agents=[PastAgent(id=BERT, name="Bert")],
    rating=GivenRating(helped="yes"),
)


@pytest.fixture(autouse=True)
def page(world: World) -> None:
    """Transcripts has one chat."""
    world.others.fixed[PAST_CHATS] = PastChatsPage(chats=[CHAT], next=NEXT, searched_until=AT)


@pytest.fixture
def agent(world: World) -> str:
    """The cookie of an agent who is no supervisor."""
    return f"eloket-agent={world.others.log_in(BERT)}"


def queries(world: World) -> list[PastChatsQuery]:
    return [PastChatsQuery.model_validate_json(body) for path, body in world.others.asked if path == PAST_CHATS]


async def test_a_supervisor_searches_their_departments(world: World, client: Client, supervisor: str) -> None:
    body = {
        "from": "2026-11-01",
        "until": "2026-11-30",
        "agent": BERT,
        "form": "P-12",
        "locale": "fr",
        "helped": "yes",
        "score": 4,
        "ended_by": "citizen",
        "tag": "phone",
        "text": "kwetterbes",
        "before": NEXT,
        "limit": 50,
    }
    status, told, headers = await client.ask("POST", PATH, body, Cookie=supervisor)
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    at = "2026-11-22T15:00:00.123Z"
    assert told == {
        "chats": [
            {
                "chat_id": "c",
                "department": "algemeen",
                "departments": ["algemeen"],
                "locale": "fr",
                "opened_at": at,
                "ended_at": at,
                "name": "Zoë",
                "form": {"id": None, "title": "Parkeerkaart", "url": None},
                "agents": [{"id": BERT, "name": "Bert"}],
                "ended_by": None,
                "rating": {"helped": "yes", "score": None},
                "left": False,
                "complete": True,
                "closing_reason": None,
                "tags": [],
            }
        ],
        "next": NEXT,
        "searched_until": at,
    }
    (query,) = queries(world)
    assert query == PastChatsQuery(
        reader=Reader(agent_id=AN, supervisor=True, source="127.0.0.1"),
        own=False,
        departments=["algemeen", "premies"],
        since=date(2026, 11, 1),
        until=date(2026, 11, 30),
        agent_id=BERT,
        **{k: v for k, v in body.items() if k not in ("from", "until", "agent")},
    )


async def test_an_agent_searches_their_own(world: World, client: Client, agent: str) -> None:
    for body in ({}, {"own": True}, {"own": None, "text": None}):
        assert (await client.ask("POST", PATH, body, Cookie=agent))[0] == 200
    for query in queries(world):
        assert (query.own, query.departments, query.reader.supervisor) == (True, [], False)
    assert (await client.ask("POST", PATH, {"department": "premies"}, Cookie=agent))[0] == 200
    assert queries(world)[-1].departments == ["premies"]


async def test_a_supervisor_may_search_their_own(world: World, client: Client, supervisor: str) -> None:
    assert (await client.ask("POST", PATH, {"own": True}, Cookie=supervisor))[0] == 200
    assert (await client.ask("POST", PATH, {"department": "premies"}, Cookie=supervisor))[0] == 200
    assert [(q.own, q.departments) for q in queries(world)] == [(True, []), (False, ["premies"])]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"own": False}, 403, "forbidden"),
        ({"agent": AN}, 403, "forbidden"),
        ({"helped": "no"}, 403, "forbidden"),
        ({"score": 5}, 403, "forbidden"),
        ({"department": "elders"}, 404, "unknown_department"),
        ({"from": "2026-02-29"}, 422, "invalid_period"),
        ({"from": "0001-01-01"}, 422, "invalid_period"),
        ({"until": "9999-12-31"}, 422, "invalid_period"),
        ({"from": "2026-11-02", "until": "2026-11-01"}, 422, "invalid_period"),
        ({"from": 1_700_000_000}, 422, "invalid"),
        ({"text": "x" * 201}, 422, "invalid"),
        ({"text": ["x"]}, 422, "invalid"),
        ({"before": "x"}, 422, "invalid"),
        ({"limit": 51}, 422, "invalid"),
        ({"limit": 0}, 422, "invalid"),
        ({"form": ""}, 422, "invalid"),
    ],
)
async def test_what_may_not_be_asked_is_refused(
    world: World, client: Client, agent: str, body: dict[str, Any], status: int, code: str
) -> None:
    got, told, _ = await client.ask("POST", PATH, body, Cookie=agent)
    assert (got, told["code"]) == (status, code)
    assert queries(world) == []


async def test_departments_of_others_are_refused(world: World, client: Client, supervisor: str) -> None:
    assert (await client.ask("POST", PATH, {}))[1]["code"] == "unauthenticated"
    assert (await client.ask("POST", PATH, {"department": "elders"}, Cookie=supervisor))[0] == 404
    assert queries(world) == []


async def test_what_transcripts_refuses_is_passed_on(world: World, client: Client, supervisor: str) -> None:
    world.others.refused[PAST_CHATS] = Problem(422, "query_too_short", "no")
    assert (await client.ask("POST", PATH, {"text": "x"}, Cookie=supervisor))[1]["code"] == "query_too_short"
    world.others.away.add(PAST_CHATS)
    assert (await client.ask("POST", PATH, {}, Cookie=supervisor))[1]["code"] == "unavailable"
