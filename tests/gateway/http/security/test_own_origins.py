"""Which pages are our own, at a whole gateway: on https a page of http is not, nor is one that is not named."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from services.gateway.websocket.frames.server import Close
from tests.gateway.asking import Client
from tests.gateway.making import AN, CHAT
from tests.gateway.standing import World, gateway_of
from tests.support.servers import PATIENCE

HOST = "chat.example.be"
HTTPS = {"X-Forwarded-Proto": "https"}
# Settings, headers of a request and of the proxy, and which of the origins is own.
CASES: list[tuple[dict[str, str], dict[str, str], dict[str, bool]]] = [
    ({}, {}, {f"http://{HOST}": True, f"https://{HOST}": True}),  # a proxy that is not trusted may have ended TLS
    ({"trusted_proxies": "127.0.0.1"}, HTTPS, {f"http://{HOST}": False, f"https://{HOST}": True}),
    ({"public_origins": f"https://{HOST}"}, {}, {f"http://{HOST}": False, f"https://{HOST}": True}),
    (
        {"public_origins": f"https://{HOST}, https://other.example.be", "trusted_proxies": "127.0.0.1"},
        HTTPS,
        {f"http://{HOST}": False, f"https://{HOST}": True, "https://other.example.be": False},
    ),
]


@contextlib.asynccontextmanager
async def at(world: World, settings: dict[str, str]) -> AsyncIterator[Client]:
    """A browser at a gateway with these settings."""
    jar = aiohttp.DummyCookieJar()
    async with (
        gateway_of(world.settings.model_copy(update=settings)) as gateway,
        aiohttp.ClientSession(f"http://{gateway.address}", cookie_jar=jar) as session,
    ):
        yield Client(session)


async def answer_to_hello(client: Client, path: str, headers: dict[str, str], **members: object) -> str | int:
    """The type of the first frame that answers a hello, or the code with which the websocket is closed."""
    async with client.session.ws_connect(path, headers=headers) as socket:
        with contextlib.suppress(ConnectionError):
            await socket.send_json({"type": "hello", **members})
        answer = await asyncio.wait_for(socket.receive(), PATIENCE)
        return str(answer.json()["type"]) if answer.type is aiohttp.WSMsgType.TEXT else int(answer.data)


@pytest.mark.parametrize(("settings", "forwarded", "own"), CASES)
async def test_an_agents_requests_and_websocket_come_from_our_own_pages(
    world: World, settings: dict[str, str], forwarded: dict[str, str], own: dict[str, bool]
) -> None:
    cookie = {"Cookie": f"__Host-eloket-agent={world.others.log_in(AN)}", "Host": HOST, **forwarded}
    credentials = {"username": AN, "password": "demo"}
    async with at(world, settings) as client:
        for origin, is_own in own.items():
            headers = {**cookie, "Origin": origin}
            for method, path, body, status in (
                ("GET", "/api/agent/me", None, 200),
                ("POST", "/api/agent/session", credentials, 204),
                ("DELETE", "/api/agent/session", None, 204),
            ):
                answered, answer, _ = await client.ask(method, path, body, **headers)
                assert answered == (status if is_own else 403), (path, origin, answer)
            said = await answer_to_hello(client, "/ws/agent", headers, chats={})
            assert said == ("welcome" if is_own else Close.FORBIDDEN_ORIGIN), origin


@pytest.mark.parametrize(("settings", "forwarded", "own"), CASES)
async def test_so_do_those_of_a_citizen_on_our_own_pages(
    world: World, settings: dict[str, str], forwarded: dict[str, str], own: dict[str, bool]
) -> None:
    token = world.others.open(CHAT)
    async with at(world, settings) as client:
        for origin, is_own in own.items():
            headers = {"Host": HOST, "Origin": origin, **forwarded}
            for path in ("/api/chats", "/api/questions", "/api/reservations"):
                _, answer, _ = await client.ask("POST", path, {}, **headers)
                assert (answer.get("code") == "origin_not_allowed") is not is_own, (path, origin)
            said = await answer_to_hello(client, "/ws/citizen", headers, token=token)
            assert said == ("welcome" if is_own else Close.FORBIDDEN_ORIGIN), origin
