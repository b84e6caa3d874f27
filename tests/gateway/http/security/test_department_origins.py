"""The origins of each department at a whole gateway: who may have its button, its chats and its questions."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed

from services.common.config import watch
from services.gateway.settings import Settings
from services.gateway.websocket.frames.server import Close
from tests.gateway.asking import Client, show
from tests.gateway.browsers import browser, close_code, receive, say
from tests.gateway.making import CHAT, OTHER
from tests.gateway.standing import KEYS, Gateway, World, gateway_of
from tests.support.in_process.routes import routes_of
from tests.support.servers import PATIENCE

A, B, EVIL = "https://a.example.be", "https://b.example.be", "https://evil.example"
REFUSED = (403, "origin_not_allowed")
TEXTS = 'nl = "E", fr = "E", de = "E", en = "E"'
QUESTION: dict[str, Any] = {"contact": "an@example.be", "text": "Wanneer?"}


@pytest.fixture
def departments(world: World, tmp_path: Path) -> Path:
    """`algemeen` (the default) and `elders` list a site each; `premies` lists none."""
    text = world.settings.departments_file.read_text("utf-8")
    offers = 'questions = true\nanswer_within = 2\nstart = "form"'
    text = text.replace("origins = []", f'origins = ["{A}"]\n{offers}', 1)
    text += f'\n[[departments]]\nid = "elders"\nnames = {{ {TEXTS} }}\norigins = ["{B}"]\n{offers}\n'
    text = text.replace('id = "premies"\n', f'id = "premies"\n{offers}\n')
    file = tmp_path / "departments.toml"
    file.write_text(text, "utf-8")
    return file


@pytest.fixture
def settings(world: World, departments: Path) -> Settings:
    return world.settings.model_copy(update={"departments_file": departments})


@pytest.fixture
async def gateway(settings: Settings) -> AsyncIterator[Gateway]:
    async with gateway_of(settings) as one:
        yield one


# Who may have the chat of which department. "": no page; "own": our own page.
MAY = [
    (None, A, True),
    (None, B, False),
    ("algemeen", A, True),
    ("algemeen", B, False),
    ("algemeen", EVIL, False),
    ("algemeen", "null", False),
    ("algemeen", "", True),
    ("algemeen", "own", True),
    ("elders", A, False),
    ("elders", B, True),
    ("elders", "own", True),
    ("premies", A, True),
    ("premies", B, True),
    ("premies", EVIL, False),
]


def sent(origin: str, own: str) -> dict[str, str]:
    """The headers of a request of a page of this origin."""
    return {"Origin": own if origin == "own" else origin} if origin else {}


@pytest.mark.parametrize(("department", "origin", "may"), MAY)
async def test_a_page_starts_reserves_and_asks_in_its_departments_alone(
    world: World, client: Client, department: str | None, origin: str, may: bool
) -> None:
    await show(world, client)
    headers = sent(origin, await client.origin())
    named = {} if department is None else {"department": department}
    is_green = department in (None, "algemeen")
    done = {"/api/questions": (201, None)} if may else {}
    for path in ("/api/chats", "/api/reservations", "/api/questions"):
        body = {**QUESTION, **named} if path == "/api/questions" else named
        status, answer, _ = await client.ask("POST", path, body, **headers)
        reached = (201, None) if is_green else (409, "button_blue")
        assert (status, answer.get("code")) == (done.get(path, reached) if may else REFUSED), path
    token = KEYS.reservation_token(CHAT, department or "algemeen")
    status, answer, _ = await client.ask("POST", "/api/reservations/renew", {"reservation": token}, **headers)
    assert (status, answer.get("code")) == ((200, None) if may else REFUSED)


async def test_an_unknown_department_is_404_for_each_listed_page(client: Client) -> None:
    for path in ("/api/chats", "/api/reservations", "/api/questions"):
        body = {**QUESTION, "department": "nergens"}
        status, answer, _ = await client.ask("POST", path, body, Origin=B)
        assert (status, answer["code"]) == (404, "unknown_department"), path


async def test_no_route_of_a_chat_answers_a_page_of_another_department(gateway: Gateway, client: Client) -> None:
    """Every route with a chat's token. What it answers to the right page is the subject of other tests."""
    token = f"Bearer {KEYS.chat_token(CHAT, department='elders')}"
    routes = [(method, path) for method, path in routes_of(gateway.app) if path.startswith("/api/chats/{chat_id}")]
    assert len(routes) >= 14
    for method, route in routes:
        path = route.replace("{chat_id}", CHAT).replace("{attachment_id}", OTHER)
        body: object = {} if method in ("POST", "PUT") else None
        status, answer, _ = await client.ask(method, path, body, Authorization=token, Origin=A)
        assert (status, answer["code"]) == REFUSED, (method, route)
        if route.endswith(("/stream", "/identification")):
            continue  # an answer that does not end by itself, and one that needs another service
        headers = {"Authorization": token, "Origin": B, "Content-Type": "application/json"}
        async with client.session.request(method, path, data=b"{}", headers=headers) as reached:
            assert b"origin_not_allowed" not in await reached.read(), (method, route)


@pytest.mark.parametrize(("department", "origin", "may"), MAY)
async def test_a_hello_is_answered_to_pages_of_the_department_where_the_chat_was_started(
    world: World, gateway: Gateway, department: str | None, origin: str, may: bool
) -> None:
    world.others.open(CHAT)  # it is in `algemeen` now: another department may have passed it on
    headers = sent(origin, f"http://{gateway.address}")
    async with browser(gateway, **headers) as one:
        with contextlib.suppress(ConnectionClosed):  # at once, where no department lists the page
            await say(one, "hello", token=KEYS.chat_token(CHAT, department=department or "algemeen"))
        if may:
            assert (await receive(one))["type"] == "welcome"
        else:
            assert await close_code(one) == Close.FORBIDDEN_ORIGIN


async def test_a_chat_of_a_former_release_or_of_a_removed_department_is_for_each_listed_page(
    world: World, gateway: Gateway
) -> None:
    world.others.open(CHAT)
    for token in (KEYS.chat_token(CHAT), KEYS.chat_token(CHAT, department="weg")):
        for origin in (A, B):
            async with browser(gateway, Origin=origin) as one:
                await say(one, "hello", token=token)
                assert (await receive(one))["type"] == "welcome", origin
        async with browser(gateway, Origin=EVIL) as one:
            assert await close_code(one) == Close.FORBIDDEN_ORIGIN


async def test_a_list_that_changed_counts_from_the_next_hello(
    world: World, settings: Settings, departments: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.02)
    world.others.open(CHAT)
    async with gateway_of(settings) as gateway, browser(gateway, Origin=B) as one:
        await say(one, "hello", token=KEYS.chat_token(CHAT, department="elders"))
        await receive(one, "message")
        text = departments.read_text("utf-8")
        departments.write_text(text.replace(f'"{B}"', f'"{A}"'), "utf-8")
        async with asyncio.timeout(PATIENCE), aiohttp.ClientSession(f"http://{gateway.address}") as session:
            while await granted(session, "/api/button?department=elders", A) is None:
                await asyncio.sleep(0.02)
        await say(one, "hello", token=KEYS.chat_token(CHAT, department="elders"))
        assert await close_code(one) == Close.FORBIDDEN_ORIGIN


async def granted(session: aiohttp.ClientSession, path: str, origin: str) -> str | None:
    """The origin whose pages may read the answer to a page of this origin."""
    async with session.get(path, headers={"Origin": origin}) as answer:
        assert answer.status == 200
        assert "Origin" in answer.headers["Vary"], "a shared cache keeps the answers apart"
        return answer.headers.get("Access-Control-Allow-Origin")


@pytest.mark.parametrize("path", ["/api/button?{}", "/api/button/events?{}", "/api/departments/{}"])
@pytest.mark.parametrize(("department", "origin", "may"), MAY)
async def test_a_page_reads_the_button_and_the_name_of_its_departments_alone(
    client: Client, path: str, department: str | None, origin: str, may: bool
) -> None:
    if "departments" in path:
        if department is None:
            return  # it is in the path
        path = path.format(department)
    else:
        path = path.format(f"department={department}" if department else "")
    if origin in ("", "own"):  # a browser asks no leave for these
        return
    assert await granted(client.session, path, origin) == (origin if may else None)


async def test_a_preflight_is_granted_by_the_department_of_the_address_or_to_each_listed_page(client: Client) -> None:
    asked = {"Access-Control-Request-Method": "GET"}
    for path, origins in (
        ("/api/button?department=elders", {B}),
        ("/api/departments/algemeen", {A}),
        ("/api/departments/premies", {A, B}),
        ("/api/departments/nergens", {A, B}),
        ("/api/chats", {A, B}),
        ("/api/settings", {A, B}),
    ):
        for origin in (A, B, EVIL):
            async with client.session.options(path, headers={**asked, "Origin": origin}) as answer:
                assert answer.status == (200 if origin in origins else 400), (path, origin)
                given = answer.headers.get("Access-Control-Allow-Origin")
                assert given == (origin if origin in origins else None), (path, origin)
