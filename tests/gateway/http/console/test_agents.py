"""`services/gateway/http/console/agents.py` behind a real server: agents' sessions, and who can take a chat."""

import json

import pytest

from services.common.events.types import AgentState
from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.gateway.http.console import agents
from tests.gateway.asking import Client, show
from tests.gateway.making import AN, BERT, agent_view
from tests.gateway.standing import World


async def test_an_agent_logs_in_and_out(world: World, client: Client) -> None:
    status, _, headers = await client.ask("POST", "/api/agent/session", {"username": AN, "password": "demo"})
    assert status == 204
    assert headers["Set-Cookie"] == f"eloket-agent=token-{AN}; Path=/; HttpOnly; SameSite=Strict"
    cookie = headers["Set-Cookie"].split(";")[0]
    status, me, headers = await client.ask("GET", "/api/agent/me", Cookie=cookie)
    assert (status, me["id"], me["state"], headers["Cache-Control"]) == (200, AN, "available", "no-store")
    status, _, headers = await client.ask("DELETE", "/api/agent/session", Cookie=cookie)
    assert status == 204
    assert headers["Set-Cookie"] == "eloket-agent=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0"
    assert [b for p, b in world.others.asked if p == presence_api.SESSION_END] == [
        f'{{"token":"token-{AN}","everywhere":false}}'
    ]


@pytest.mark.parametrize(("demo", "removed"), [(True, '"cache"'), (False, '"cache", "storage"')])
async def test_a_logout_clears_the_browser_but_no_chat_of_a_citizen(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch, demo: bool, removed: str
) -> None:
    """Cookies stay: that of known browsers outlives a logout. Of the demonstration page the storage stays too."""
    monkeypatch.setattr(agents, "has_demo", lambda: demo)
    cookie = f"eloket-agent={world.others.log_in(AN)}"
    status, _, headers = await client.ask("DELETE", "/api/agent/session", Cookie=cookie)
    assert (status, headers["Clear-Site-Data"]) == (204, removed)
    for method, path in (("GET", "/agent"), ("GET", "/api/agent/me"), ("GET", "/api/button")):
        async with client.session.request(method, path, headers={"Cookie": cookie}) as answer:
            assert "Clear-Site-Data" not in answer.headers


async def test_a_logout_that_presence_cannot_make_clears_nothing(world: World, client: Client) -> None:
    world.others.away.add(presence_api.SESSION_END)
    cookie = f"eloket-agent={world.others.log_in(AN)}"
    status, _, headers = await client.ask("DELETE", "/api/agent/session", Cookie=cookie)
    assert (status, "Clear-Site-Data" in headers, "Set-Cookie" in headers) == (503, False, False)


async def test_a_login_shows_what_browser_it_is_and_keeps_the_answer(world: World, client: Client) -> None:
    """Two cookies; that of the browser outlives a logout, and what is too long for ours is not passed on."""
    answers = {"username": AN, "password": "demo"}
    world.others.device = "first~second"
    async with client.session.post("/api/agent/session", json=answers, headers={"Cookie": "eloket-device=mine"}) as got:
        session, device = got.headers.getall("Set-Cookie")
    assert session.startswith("eloket-agent=")
    assert device == "eloket-device=first~second; Path=/; HttpOnly; SameSite=Strict; Max-Age=15552000"
    long = "x" * 2_049
    await client.ask("POST", "/api/agent/session", answers, Cookie=f"eloket-device={long}")
    asked = [json.loads(b)["device"] for p, b in world.others.asked if p == presence_api.SESSION_OPEN]
    assert asked == ["mine", ""]
    cookie = f"eloket-agent={world.others.log_in(AN)}; eloket-device=first"
    async with client.session.delete("/api/agent/session?everywhere=true", headers={"Cookie": cookie}) as got:
        assert [c.split("=")[0] for c in got.headers.getall("Set-Cookie")] == ["eloket-agent"]
    assert [json.loads(b)["everywhere"] for p, b in world.others.asked if p == presence_api.SESSION_END] == [True]


async def test_a_login_says_which_session_the_browser_has(world: World, client: Client) -> None:
    answers = {"username": AN, "password": "demo"}
    for cookie in ("", "eloket-agent=former", f"eloket-agent={'x' * 300}"):
        assert (await client.ask("POST", "/api/agent/session", answers, Cookie=cookie))[0] == 204
    asked = [json.loads(b)["former"] for p, b in world.others.asked if p == presence_api.SESSION_OPEN]
    assert asked == ["", "former", "x" * 200]


async def test_a_password_is_bounded_in_bytes(world: World, client: Client) -> None:
    for password, status in (("x" * 500, 204), ("\U0001f600" * 256, 204), ("\U0001f600" * 257, 422), ("x" * 501, 422)):
        got = await client.ask("POST", "/api/agent/session", {"username": AN, "password": password})
        assert got[0] == status


@pytest.mark.parametrize(("method", "path"), [("GET", "/api/agent/me"), ("GET", "/api/agents")])
async def test_agents_pages_need_a_session_from_our_own_origin(
    world: World, client: Client, method: str, path: str
) -> None:
    cookie = f"eloket-agent={world.others.log_in(AN)}"
    assert (await client.ask(method, path))[1]["code"] == "unauthenticated"
    assert (await client.ask(method, path, Cookie="eloket-agent=stolen"))[0] == 401
    assert (await client.ask(method, path, Cookie=cookie, Origin="https://evil.be"))[1]["code"] == "forbidden"
    assert (await client.ask(method, path, Cookie=cookie, Sec_Fetch_Site="same-site"))[0] == 403
    assert (await client.ask(method, path, Cookie=cookie))[0] == 200
    world.others.away.add(presence_api.SESSION_LOOKUP)
    assert (await client.ask(method, path, Cookie=cookie))[1]["code"] == "unavailable"


async def test_logging_in_from_elsewhere_or_wrongly(world: World, client: Client) -> None:
    path, good = "/api/agent/session", {"username": AN, "password": "demo"}
    assert (await client.ask("POST", path, good, Origin="https://evil.be"))[1]["code"] == "forbidden"
    for wrong in ({}, {"username": AN}, {"username": "", "password": "x"}, {"username": AN, "password": 7}):
        assert (await client.ask("POST", path, wrong))[1]["code"] == "invalid"
    world.others.refused[presence_api.SESSION_OPEN] = Problem(401, "bad_credentials", "no")
    status, problem, headers = await client.ask("POST", path, good)
    assert (status, problem["code"]) == (401, "bad_credentials")
    assert "Set-Cookie" not in headers
    world.others.refused[presence_api.SESSION_OPEN] = Problem(429, "rate_limited", "no", {"Retry-After": "30"})
    status, _, headers = await client.ask("POST", path, good)
    assert (status, headers["Retry-After"]) == (429, "30")
    world.others.away.add(presence_api.SESSION_OPEN)
    assert (await client.ask("POST", path, good))[0] == 503
    assert (await client.ask("DELETE", path))[0] == 204, "nobody is logged in"


async def test_those_who_can_take_a_chat_now(world: World, client: Client) -> None:
    cookie = f"eloket-agent={world.others.log_in(AN)}"
    world.others.log_in(BERT)
    world.others.agents["carl"] = agent_view("carl", state=AgentState.PAUSED)
    _, listed, _ = await client.ask("GET", "/api/agents", Cookie=cookie)
    assert [a["id"] for a in listed["agents"]] == [BERT]
    assert [(d["id"], d["colour"], d["reason"]) for d in listed["departments"]] == [
        ("algemeen", "blue", "unknown"),
        ("premies", "blue", "unknown"),
    ]
    await show(world, client)
    _, listed, _ = await client.ask("GET", "/api/agents", Cookie=cookie)
    assert [(d["colour"], d["reason"]) for d in listed["departments"]] == [("green", "available"), ("blue", "unknown")]
    assert (await client.ask("GET", "/api/agents?department=elders", Cookie=cookie))[0] == 404
