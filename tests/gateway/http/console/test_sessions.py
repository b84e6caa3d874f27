"""`sessions.py` behind a real server: who sees and ends which sessions, and what the access log gets first."""

import json
import uuid

import pytest

from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.common.internal_api import sessions as api
from services.common.internal_api import transcripts as transcripts_api
from tests.gateway.asking import Client
from tests.gateway.http.console.stored_configuration import asked, noted
from tests.gateway.http.console.test_access_log import AUDRA, officer
from tests.gateway.making import AN, NOW
from tests.gateway.standing import World

ONE, OTHER = str(uuid.uuid4()), str(uuid.uuid4())
STAMP = "2026-11-23T08:00:00.123Z"
VIEW = api.SessionView(
    id=ONE,
    agent_id=AN,
    name="An",
    current=True,
    begun_at=NOW,
    used_at=NOW,
    expires_at=NOW,
    network="192.0.2.*",
    client=api.Client(browser="firefox", system="windows"),
)
FORMER = api.SessionView(id=OTHER, agent_id=AN, expires_at=NOW)
SHOWN = {
    "id": ONE,
    "current": True,
    "begun_at": STAMP,
    "used_at": STAMP,
    "expires_at": STAMP,
    "network": "192.0.2.*",
    "browser": "firefox",
    "system": "windows",
}
NOTHING = {"current": False, "begun_at": None, "used_at": None, "network": "", "browser": "", "system": ""}


@pytest.fixture
def agent(world: World) -> str:
    """The cookie of an agent."""
    return f"eloket-agent={world.others.log_in(AN)}"


async def test_a_login_says_of_which_kind_the_browser_is(world: World, client: Client) -> None:
    answers = {"username": AN, "password": "demo"}
    mine = {"User-Agent": "Mozilla/5.0 (Windows NT 10.0) Gecko/20100101 Firefox/133.0"}
    assert (await client.ask("POST", "/api/agent/session", answers, **mine))[0] == 204
    (body,) = asked(world, presence_api.SESSION_OPEN)
    assert json.loads(body)["client"] == {"browser": "firefox", "system": "windows"}
    assert "133" not in body, "no version: it is not needed to recognise a session"


async def test_people_list_and_end_their_own_sessions(world: World, client: Client, agent: str) -> None:
    world.others.fixed[api.SESSIONS_OWN] = api.Sessions(sessions=[VIEW, FORMER])
    status, found, headers = await client.ask("GET", "/api/agent/sessions", Cookie=agent)
    assert (status, found["sessions"][0]) == (200, SHOWN)
    assert found["sessions"][1] == {"id": OTHER, "expires_at": STAMP, **NOTHING}
    assert headers["Cache-Control"] == "no-store"
    assert json.loads(asked(world, api.SESSIONS_OWN)[0]) == {"token": f"token-{AN}"}

    assert (await client.ask("DELETE", f"/api/agent/sessions/{OTHER}", Cookie=agent))[0] == 204
    assert json.loads(asked(world, api.SESSIONS_OWN_END)[0]) == {"token": f"token-{AN}", "session_id": OTHER}
    status, problem, _ = await client.ask("DELETE", f"/api/agent/sessions/{'x' * 37}", Cookie=agent)
    assert (status, problem["code"]) == (404, "no_such_session")
    assert len(asked(world, api.SESSIONS_OWN_END)) == 1, "what is no id is not passed on"
    world.others.refused[api.SESSIONS_OWN_END] = Problem(409, "current_session", "Log out in its place.")
    status, problem, _ = await client.ask("DELETE", f"/api/agent/sessions/{ONE}", Cookie=agent)
    assert (status, problem["code"]) == (409, "current_session")
    assert not noted(world), "an own session is no act upon another person"


async def test_an_administrator_ends_the_session_of_another_after_the_log_has_it(world: World, client: Client) -> None:
    world.others.fixed[api.SESSIONS_SEARCH] = api.Sessions(sessions=[VIEW, FORMER], more=True)
    cookie = officer(world, "administrator")
    status, found, _ = await client.ask("POST", "/api/sessions/search", {"search": " an "}, Cookie=cookie)
    assert (status, found["more"]) == (200, True)
    assert found["sessions"][0] == {**SHOWN, "current": False, "agent_id": AN, "name": "An"}
    assert json.loads(asked(world, api.SESSIONS_SEARCH)[0]) == {"search": "an", "session_id": None}
    world.others.asked.clear()

    status, problem, _ = await client.ask("POST", "/api/sessions/end", {"id": "s"}, Cookie=cookie)
    assert (status, problem["code"]) == (409, "current_session"), "the officer's own session is `s`"
    assert (await client.ask("POST", "/api/sessions/end", {"id": ONE}, Cookie=cookie))[0] == 204
    (note,) = noted(world)
    assert (note.act, note.item, note.reader.role, note.reader.agent_id) == (
        "session_ended",
        f"An: {AN}",
        "administrator",
        AUDRA,
    )
    paths = [path for path, _ in world.others.asked]
    assert paths.index(transcripts_api.ACCESS_NOTE) < paths.index(api.SESSIONS_END)
    assert json.loads(asked(world, api.SESSIONS_END)[0]) == {"session_id": ONE, "by": AUDRA}


async def test_what_an_administrator_searches_is_in_the_log_first(world: World, client: Client) -> None:
    world.others.fixed[api.SESSIONS_SEARCH] = api.Sessions(sessions=[VIEW])
    cookie = officer(world, "administrator")
    for search, item in ((" an ", "an"), (" ", None)):
        assert (await client.ask("POST", "/api/sessions/search", {"search": search}, Cookie=cookie))[0] == 200
        note = noted(world)[-1]
        assert (note.act, note.item, note.reader.role) == ("sessions_read", item, "administrator")
        assert (note.reader.agent_id, note.reader.source) == (AUDRA, "127.0.0.1")
    paths = [path for path, _ in world.others.asked]
    assert paths.index(transcripts_api.ACCESS_NOTE) < paths.index(api.SESSIONS_SEARCH)
    world.others.away.add(transcripts_api.ACCESS_NOTE)
    status, problem, _ = await client.ask("POST", "/api/sessions/search", {}, Cookie=cookie)
    assert (status, problem["code"]) == (503, "unavailable")
    assert len(asked(world, api.SESSIONS_SEARCH)) == 2, "nobody reads what the log does not have"


async def test_nothing_ends_that_the_log_has_not_or_that_is_over(world: World, client: Client) -> None:
    cookie = officer(world, "administrator")
    world.others.fixed[api.SESSIONS_SEARCH] = api.Sessions(sessions=[])
    status, problem, _ = await client.ask("POST", "/api/sessions/end", {"id": ONE}, Cookie=cookie)
    assert (status, problem["code"]) == (404, "no_such_session")
    world.others.fixed[api.SESSIONS_SEARCH] = api.Sessions(sessions=[VIEW])
    world.others.away.add(transcripts_api.ACCESS_NOTE)
    status, problem, _ = await client.ask("POST", "/api/sessions/end", {"id": ONE}, Cookie=cookie)
    assert (status, problem["code"]) == (503, "not_logged")
    for wrong in ({"id": "x" * 37}, {"id": ""}, {"id": 7}, {}):
        assert (await client.ask("POST", "/api/sessions/end", wrong, Cookie=cookie))[0] == 422
    assert (await client.ask("POST", "/api/sessions/search", {"search": "x" * 101}, Cookie=cookie))[0] == 422
    assert not asked(world, api.SESSIONS_END)


async def test_others_than_administrators_are_refused(world: World, client: Client, agent: str) -> None:
    for path, body in (("/api/sessions/search", {}), ("/api/sessions/end", {"id": ONE})):
        assert (await client.ask("POST", path, body))[0] == 401
        for cookie in (agent, officer(world, "auditor")):
            status, problem, _ = await client.ask("POST", path, body, Cookie=cookie)
            assert (status, problem["code"]) == (403, "forbidden")
    assert (await client.ask("GET", "/api/agent/sessions"))[0] == 401
    assert (await client.ask("DELETE", f"/api/agent/sessions/{ONE}"))[0] == 401
    assert not asked(world, api.SESSIONS_END)
