"""`services/gateway/api.py` and `starting.py` behind a real server: the button, pressing it, and agents' sessions."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest

from services import internal
from services.contracts import AgentState, ChatOpened, ChatStatus
from services.problems import Problem
from tests.gateway.making import AN, BERT, agent_view, view
from tests.gateway.standing import KEYS, Gateway, World, gateway_of, until
from tests.gateway.test_buttons import told

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
HTML = "<b>An</b> ‮​"


class Client:
    """A browser's side of the HTTP interface."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, Any]:
        """Status, body (JSON where it is any) and headers."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.session.request(method, path, data=data, headers=named) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if raw else None, answer.headers

    async def press(self, key: str | None = None, **members: Any) -> tuple[int, Any, Any]:
        named = {} if key is None else {"Idempotency_Key": key}
        return await self.ask("POST", "/api/chats", members, **named)


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[Client]:
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(f"http://{gateway.address}", cookie_jar=jar) as session:
        yield Client(session)


async def show(world: World, client: Client, green: bool = True, revision: int = 9) -> None:
    """Presence tells this colour, and the gateway has heard it."""
    async with asyncio.timeout(10):
        while True:
            await world.publisher.tell(told(revision, green=green))
            _, button, _ = await client.ask("GET", "/api/button")
            if button["reason"] == ("available" if green else "closed"):
                return
            await asyncio.sleep(0.05)


# ── the button ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_button_may_be_cached_and_is_asked_for_by_its_tag(world: World, client: Client) -> None:
    await show(world, client)
    status, button, headers = await client.ask("GET", "/api/button")
    assert status == 200
    assert (button["department"], button["colour"], button["infofiche_url"]) == (
        "algemeen",
        "green",
        "/infofiche/algemeen",
    )
    assert headers["Cache-Control"] == "public, max-age=2"
    for tag in (headers["ETag"], f'"x", W/{headers["ETag"]}'):
        status, _, again = await client.ask("GET", "/api/button?department=algemeen", If_None_Match=tag)
        assert (status, again["ETag"]) == (304, headers["ETag"])
    assert (await client.ask("GET", "/api/button?department=premies", If_None_Match=headers["ETag"]))[0] == 200


@pytest.mark.parametrize("path", ["/api/button?department=elders", "/api/button/events?department="])
async def test_an_unknown_department_has_no_button(client: Client, path: str) -> None:
    status, problem, headers = await client.ask("GET", path)
    assert (status, problem["code"]) == (404, "unknown_department")
    assert headers["Content-Type"] == "application/problem+json"


async def test_an_open_page_hears_of_each_change(world: World, client: Client) -> None:
    await show(world, client)
    async with client.session.get("/api/button/events") as stream:
        assert stream.content_type == "text/event-stream"
        assert b"event: button\n" in await stream.content.readuntil(b"\n\n")
        await world.publisher.tell(told(10**15, green=False))
        event = await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 2)
        assert b'"reason":"closed"' in event


# ── pressing it ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_press_opens_a_chat_with_all_that_was_told(world: World, client: Client) -> None:
    await show(world, client)
    form = {"id": "aanvraag-42", "title": HTML, "url": "https://loket.be/premie?stap=2"}
    members: dict[str, Any] = {
        "department": "algemeen",
        "locale": "fr",
        "name": f" {HTML} ",
        "question": f" {HTML} ",
        "form": form,
    }
    status, started, headers = await client.press(None, **members, unknown={"x": 1})
    assert status == 201
    assert headers["Cache-Control"] == "no-store"
    assert started.keys() == {"chat_id", "token", "websocket"}
    assert KEYS.chat_of(started["token"]) == started["chat_id"]
    opened = (await world.hear(ChatOpened))[0]
    assert (opened.chat_id, opened.locale, opened.name) == (started["chat_id"], "fr", HTML)
    assert opened.question == f" {HTML} ", "kept unchanged"
    assert opened.form is not None
    assert opened.form.model_dump() == form


@pytest.mark.parametrize("locale", [None, "es", "NL", "", "nl-BE"])
async def test_nothing_need_be_told_and_another_language_is_dutch(
    world: World, client: Client, locale: str | None
) -> None:
    await show(world, client)
    status, _, _ = await client.press(locale=locale, name=" ", question="\n ")
    assert status == 201
    opened = (await world.hear(ChatOpened))[0]
    assert (opened.locale, opened.name, opened.question, opened.form) == ("nl", None, None, None)


async def test_a_blue_button_opens_nothing(world: World, client: Client) -> None:
    await show(world, client, green=False)
    status, problem, _ = await client.press()
    assert (status, problem["code"], problem["infofiche_url"]) == (409, "button_blue", "/infofiche/algemeen")
    assert (await client.press(department="elders"))[1]["code"] == "unknown_department"
    assert world.heard(ChatOpened) == []


async def test_a_repeated_press_is_one_chat_even_when_the_button_is_blue_by_then(world: World, client: Client) -> None:
    await show(world, client)
    first = await client.press("sleutel")
    assert (await client.press("sleutel"))[1] == first[1]
    other = await client.press("andere")
    assert other[1]["chat_id"] != first[1]["chat_id"]
    await show(world, client, green=False, revision=10)
    again = await client.press("sleutel")
    assert (again[0], again[1]) == (201, first[1])
    assert (await client.press("nieuwe"))[0] == 409
    assert len(world.heard(ChatOpened)) == 2


async def test_a_press_that_another_replica_took_is_the_same_chat(world: World, client: Client) -> None:
    await show(world, client)
    first = (await client.press("sleutel"))[1]
    chat_id = first["chat_id"]
    opened = (await world.hear(ChatOpened))[0].opened_at
    world.others.chats[chat_id] = view(1, ChatStatus.WAITING, chat_id=chat_id, opened_at=opened)
    await show(world, client, green=False, revision=10)
    async with gateway_of(world.settings) as replica, aiohttp.ClientSession(f"http://{replica.address}") as session:
        assert (await Client(session).press("sleutel"))[1] == first
        world.others.chats[chat_id] = view(1, ChatStatus.CLOSED, chat_id=chat_id, opened_at=LONG_AGO)
        assert (await Client(session).press("sleutel"))[0] == 409, "after ten minutes it is a new press"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'{"name":"\\ud800"}',
        {"name": 7},
        {"name": "x" * 201},
        {"name": "a\0b"},
        {"question": "x" * 4_001},
        {"question": ["x"]},
        {"form": "x"},
        {"form": {"url": "javascript:alert(1)"}},
        {"form": {"url": "https://"}},
        {"form": {"url": "//loket.be"}},
        {"form": {"url": "http://[::1"}},
        {"form": {"title": "x" * 501}},
        {"department": 1},
    ],
)
async def test_a_wrong_press_is_invalid(world: World, client: Client, body: Any) -> None:
    await show(world, client)
    status, problem, _ = await client.ask("POST", "/api/chats", body)
    assert (status, problem["code"]) == (422, "invalid")
    assert world.heard(ChatOpened) == []


async def test_a_press_has_bounds(world: World, client: Client) -> None:
    assert (await client.ask("POST", "/api/chats", {"question": "x" * 65_536}))[0] == 413
    assert (await client.press("x" * 256))[1]["code"] == "invalid"
    assert (await client.press(""))[1]["code"] == "invalid"


async def test_without_a_broker_a_press_is_503_and_the_button_unknown(world: World) -> None:
    settings = world.settings.model_copy(update={"rabbitmq_url": "amqp://127.0.0.1:9/"})
    async with (
        gateway_of(settings, connected=False) as gateway,
        aiohttp.ClientSession(f"http://{gateway.address}") as session,
    ):
        client = Client(session)
        status, problem, headers = await client.press()
        assert (status, problem["code"], headers["Retry-After"]) == (503, "unavailable", "5")
        await until(lambda: gateway.service is not None, "the service")
        assert (await client.ask("GET", "/api/button"))[1]["reason"] == "unknown"
        assert (await client.ask("GET", "/readyz"))[0] == 503
        assert (await client.ask("GET", "/healthz"))[0] == 200


async def test_too_many_presses_from_one_address_are_429(world: World) -> None:
    settings = world.settings.model_copy(update={"rate_limits": "on"})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        client = Client(session)
        answers = [await client.press() for _ in range(61)]
        assert {a[0] for a in answers[:60]} == {409}
        status, problem, headers = answers[60]
        assert (status, problem["code"]) == (429, "rate_limited")
        assert int(headers["Retry-After"]) >= 1


# ── agents ───────────────────────────────────────────────────────────────────────────────────────────────────────────


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
    assert [b for p, b in world.others.asked if p == internal.SESSION_END] == [f'{{"token":"token-{AN}"}}']


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
    world.others.away.add(internal.SESSION_LOOKUP)
    assert (await client.ask(method, path, Cookie=cookie))[1]["code"] == "unavailable"


async def test_logging_in_from_elsewhere_or_wrongly(world: World, client: Client) -> None:
    path, good = "/api/agent/session", {"username": AN, "password": "demo"}
    assert (await client.ask("POST", path, good, Origin="https://evil.be"))[1]["code"] == "forbidden"
    for wrong in ({}, {"username": AN}, {"username": "", "password": "x"}, {"username": AN, "password": 7}):
        assert (await client.ask("POST", path, wrong))[1]["code"] == "invalid"
    world.others.refused[internal.SESSION_OPEN] = Problem(401, "bad_credentials", "no")
    status, problem, headers = await client.ask("POST", path, good)
    assert (status, problem["code"]) == (401, "bad_credentials")
    assert "Set-Cookie" not in headers
    world.others.refused[internal.SESSION_OPEN] = Problem(429, "rate_limited", "no", {"Retry-After": "30"})
    status, _, headers = await client.ask("POST", path, good)
    assert (status, headers["Retry-After"]) == (429, "30")
    world.others.away.add(internal.SESSION_OPEN)
    assert (await client.ask("POST", path, good))[0] == 503
    assert (await client.ask("DELETE", path))[0] == 204, "nobody is logged in"


async def test_those_who_can_take_a_chat_now(world: World, client: Client) -> None:
    cookie = f"eloket-agent={world.others.log_in(AN)}"
    world.others.log_in(BERT)
    world.others.agents["carl"] = agent_view("carl", state=AgentState.PAUSED)
    _, listed, _ = await client.ask("GET", "/api/agents", Cookie=cookie)
    assert [a["id"] for a in listed["agents"]] == [BERT]
    assert [d["id"] for d in listed["departments"]] == ["algemeen", "premies"]
    assert (await client.ask("GET", "/api/agents?department=elders", Cookie=cookie))[0] == 404
