"""`services/gateway/http/citizen/button.py` behind a real server: the same answers by either way."""

import asyncio
import json

import aiohttp
import pytest
from fastapi import FastAPI

from services.common.config.departments import load_departments
from services.common.http import problems
from services.common.internal_api import presence as presence_api
from services.gateway import button_state
from services.gateway.button_state import Buttons
from services.gateway.http.citizen import button as button_routes
from services.gateway.settings import Settings
from tests.gateway.asking import Client, show
from tests.gateway.standing import SECRET, World, gateway_of, listening
from tests.gateway.test_button_state import button_event
from tests.support.servers import PATIENCE, Account


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


async def next_button(stream: aiohttp.ClientResponse) -> tuple[int, str]:
    """Revision and reason of the next event of an open page; what only keeps it open is passed over."""
    async with asyncio.timeout(PATIENCE):
        while True:
            event = await stream.content.readuntil(b"\n\n")
            if event.startswith(b"event: button\n"):
                revision = int(event.split(b"\n")[1].removeprefix(b"id: "))
                return revision, str(json.loads(event.split(b"data: ")[1])["reason"])


async def test_an_open_page_gets_each_change(world: World, client: Client) -> None:
    await show(world, client)
    async with client.session.get("/api/button/events") as stream:
        assert stream.content_type == "text/event-stream"
        assert (await next_button(stream))[1] == "available"
        await world.publisher.publish(button_event(10**15, green=False))
        assert await next_button(stream) == (10**15, "closed")


async def test_without_the_broker_every_open_page_gets_unknown_at_once(
    world: World, account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And of the return: each time under a higher revision, whatever presence said before."""
    monkeypatch.setattr(button_state, "SILENCE", 1_000.0)  # it is not silence that tells
    async with (
        gateway_of(world.settings.model_copy(update={"rabbitmq_url": account.url})) as gateway,
        aiohttp.ClientSession(f"http://{gateway.address}") as session,
    ):
        await show(world, Client(session))
        world.others.buttons = [button_event(9)]
        async with session.get("/api/button/events") as stream:
            first, reason = await next_button(stream)
            assert reason == "available"
            await asyncio.to_thread(account.close_connections)
            second, reason = await next_button(stream)
            assert reason == "unknown"
            third, reason = await next_button(stream)
            assert reason == "available"
    assert first < second < third


async def test_a_gateway_begins_with_the_colours_that_presence_answers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(button_state, "FIRST_WAIT", 1_000.0)
    world.others.buttons = [button_event(7), button_event(8, green=False, department="premies")]
    async with gateway_of(world.settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        client = Client(session)
        async with asyncio.timeout(PATIENCE):
            while (await client.ask("GET", "/readyz"))[0] != 200:
                await asyncio.sleep(0.02)
        assert (await client.ask("GET", "/api/button"))[1]["colour"] == "green"
        assert (await client.ask("GET", "/api/button?department=premies"))[1]["reason"] == "closed"


async def test_a_gateway_is_not_ready_before_it_knows_a_colour_but_does_not_wait_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(button_state, "FIRST_WAIT", 1_000.0)
    world.others.away.add(presence_api.BUTTONS)
    async with gateway_of(world.settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        client = Client(session)
        status, state, _ = await client.ask("GET", "/readyz")
        assert (status, (await gateway.service.readiness())["button"]) == (503, "not_yet"), state
        monkeypatch.setattr(button_state, "FIRST_WAIT", 0.0)
        assert (await client.ask("GET", "/readyz"))[0] == 200
        assert (await client.ask("GET", "/api/button"))[1]["reason"] == "unknown"


# ── before the router ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_department_is_found_however_it_is_written(client: Client) -> None:
    for query, department in (
        ("", "algemeen"),
        ("?x=1", "algemeen"),
        ("?department=premies", "premies"),
        ("?x=1&department=%70remies", "premies"),
        ("?department=algemeen&department=premies", "premies"),
    ):
        status, button, headers = await client.ask("GET", f"/api/button{query}")
        assert (status, button["department"], headers["Content-Type"]) == (200, department, "application/json"), query


async def test_what_it_does_not_answer_goes_on(client: Client) -> None:
    for path in ("/api/button", "/api/button/events"):
        for query in ("department=", "department=elders", "department=premies&department=elders", "department=%FF"):
            status, problem, _ = await client.ask("GET", f"{path}?{query}")
            assert (status, problem["code"]) == (404, "unknown_department"), query
        status, problem, headers = await client.ask("POST", path, {})
        assert (status, problem["code"], headers["Allow"]) == (405, "method_not_allowed", "GET")


async def test_an_answer_that_is_still_right_has_no_body_and_every_other_one_has(world: World, client: Client) -> None:
    await show(world, client)
    _, button, headers = await client.ask("GET", "/api/button")
    tag = headers["ETag"]
    status, body, unchanged = await client.ask("GET", "/api/button", If_None_Match=f'"other",  W/{tag}')
    assert (status, body) == (304, None)
    assert {n: unchanged[n] for n in ("ETag", "Cache-Control", "Vary")} == {
        n: headers[n] for n in ("ETag", "Cache-Control", "Vary")
    }
    assert (await client.ask("GET", "/api/button", If_None_Match='"other"'))[:2] == (200, button)


async def test_the_routes_alone_give_the_same_answers() -> None:
    """The middleware only saves time: without it nothing is missing."""
    departments = load_departments(Settings(token_secret=SECRET).departments_file)
    buttons, app = Buttons(departments, lambda: True), FastAPI()
    problems.install(app)
    button_routes.add_routes(app, buttons, departments)
    async with listening(app, ws="none") as (_, address), aiohttp.ClientSession(f"http://{address}") as session:
        client = Client(session)
        status, button, headers = await client.ask("GET", "/api/button?department=premies")
        assert (status, button["department"], headers["Content-Type"]) == (200, "premies", "application/json")
        status, body, unchanged = await client.ask(
            "GET", "/api/button?department=premies", If_None_Match=headers["ETag"]
        )
        assert (status, body, unchanged["ETag"]) == (304, None, headers["ETag"])
        assert (await client.ask("GET", "/api/button?department=elders"))[1]["code"] == "unknown_department"
        async with session.get("/api/button/events") as stream:
            assert stream.content_type == "text/event-stream"
            assert (await next_button(stream))[1] == "unknown"
        await buttons.end()
