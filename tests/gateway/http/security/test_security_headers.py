"""`services/gateway/http/security/security_headers.py`: every answer of a gateway says what browsers may do with it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass

import aiohttp
import pytest
from fastapi import FastAPI
from fastapi.responses import HTMLResponse, Response
from multidict import CIMultiDict

from services.gateway.settings import Settings
from tests.gateway.making import AN
from tests.gateway.standing import KEYS, SECRET, Gateway, Others, gateway_of, listening
from tests.support.in_process.routes import WEBSOCKET, routes_of
from tests.support.servers import PATIENCE

CHAT, FILE = "0b8f4d6e-3c1a-4f5e-9b7d-2a6c8e0f1a23", "c0ffee00-1111-4222-8333-444455556666"
VALUES = {
    "{agent_id}": "nobody",
    "{answer_id}": FILE,
    "{attachment_id}": FILE,
    "{chat_id}": CHAT,
    "{client}": "agents",
    "{department}": "algemeen",
    "{name:path}": "loket-chat/widget.js",
    "{question_id}": CHAT,
    "{session_id}": "nobody",
    "{version}": "1",
}
"""What stands for the parameters of a route."""
PAGE = "default-src 'none'; script-src 'self'; "
NOTHING = "default-src 'none'; frame-ancestors 'none'"
HOUR = "public, max-age=60"
NO_DATA = {
    "/": ("page", "no-cache"),
    "/agent": ("page", "no-cache"),
    "/gesprek": ("page", "no-store"),
    "/verify": ("page", "no-store"),
    "/identify": ("page", "no-store"),
    "/identify/done": ("page", "no-store"),
    "/infofiche/{department}": ("page", "no-cache"),
    "/toegankelijkheid": ("page", "no-cache"),
    "/favicon.ico": ("page", HOUR),
    "/widget.js": ("file", HOUR),
    "/static/{name:path}": ("file", HOUR),
}
"""Routes that are no data: a page, or a file that other sites load; and for how long it may be kept."""
KEPT = {
    "/api/button": "public, max-age=2",
    "/api/chats/{chat_id}/stream": "no-store, no-transform",
    "/api/departments/{department}": HOUR,
    "/api/settings": HOUR,
    "/api/transcript-keys": HOUR,
}
"""Routes of data without a person in it that may be kept; the others are `no-store`."""
EVIL = "evil.example"


@dataclass
class Answer:
    """An answer and the route that gave it."""

    route: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    def wrong(self, https: bool = False) -> list[str]:
        """What is not as it must be, one line for each header."""
        kind, kept = NO_DATA.get(self.route, ("data", KEPT.get(self.route, "no-store")))
        if self.status >= 400 and self.status != 422:
            kept = "no-store"
        wanted = {
            "Cache-Control": kept,
            "Content-Security-Policy": NOTHING if kind == "data" else PAGE,
            "Cross-Origin-Opener-Policy": "same-origin",
            "Cross-Origin-Resource-Policy": "cross-origin" if kind == "file" else "same-origin",
            "Permissions-Policy": "camera=(), ",
            "Referrer-Policy": "no-referrer" if kind == "data" else "same-origin",
            "X-Content-Type-Options": "nosniff",
            "Strict-Transport-Security": "max-age=31536000" if https else "",
        }
        if self.headers.get("Content-Disposition", "").startswith("attachment"):
            wanted["Content-Security-Policy"] = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"
        return [
            f"{self.route} ({self.status}): {name}: {self.headers.get(name)}"
            for name, value in wanted.items()
            if not self.headers.get(name, "").startswith(value) or (name in self.headers) != bool(value)
        ]


async def walk(gateway: Gateway, client: aiohttp.ClientSession, **headers: str) -> list[Answer]:
    """The answer of every route, and what a gateway answers without one."""
    found = []
    for method, route in [*routes_of(gateway.app), ("GET", "/nowhere"), ("PUT", "/api/chats"), ("TRACE", "/agent")]:
        if method == WEBSOCKET:
            continue
        path = route
        for name, value in VALUES.items():
            path = path.replace(name, value)
        assert "{" not in path, f"{route}: give its parameter a value"
        body = b"{}" if method == "POST" else None
        sent = {"Content-Type": "application/json"} if body else {}
        async with client.request(method, path, data=body, headers=sent | headers, allow_redirects=False) as answer:
            stream = answer.content_type == "text/event-stream"
            read = b"" if stream else await answer.read()
        found.append(Answer(route, answer.status, answer.headers, read))
    return found


@contextlib.asynccontextmanager
async def alone(others: Others, **settings: str) -> AsyncIterator[Gateway]:
    """A gateway without a broker, with these other services."""
    async with listening(others.app(), ws="none") as (_, address):
        urls = dict.fromkeys(("presence_url", "routing_url", "transcripts_url"), f"http://{address}")
        given = {"token_secret": SECRET, "rabbitmq_url": "amqp://127.0.0.1:1", "rate_limits": "off", **urls, **settings}
        async with gateway_of(Settings.model_validate(given), connected=False) as gateway:
            yield gateway


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
async def gateway(others: Others) -> AsyncIterator[Gateway]:
    async with alone(others) as one:
        yield one


@pytest.fixture
async def browser(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True)  # the server ends a connection after an answer 500
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(f"http://{gateway.address}", connector=connector, cookie_jar=jar) as session:
        yield session


def people(others: Others) -> dict[str, dict[str, str]]:
    """The headers by which a gateway knows each of them."""
    token, cookie = others.open(CHAT), others.log_in(AN)
    others.files[CHAT] = b"een bestand"
    return {
        "nobody": {},
        "citizen": {"Authorization": f"Bearer {token}"},
        "agent": {"Cookie": f"eloket-agent={cookie}"},
        "asker": {"Authorization": f"Bearer {KEYS.question_token(CHAT)}"},
    }


async def test_every_answer_of_every_route_has_security_headers(
    others: Others, gateway: Gateway, browser: aiohttp.ClientSession
) -> None:
    succeeded = set()
    for headers in people(others).values():
        for answer in await walk(gateway, browser, **headers):
            assert answer.wrong() == []
            if answer.status < 400:
                succeeded.add(answer.route)
    assert len(succeeded) > 20, "refusals alone would say little"


async def test_on_https_browsers_stay_with_it(others: Others) -> None:
    async with (
        alone(others, trusted_proxies="127.0.0.1") as gateway,
        aiohttp.ClientSession(f"http://{gateway.address}") as session,
    ):
        for answer in await walk(gateway, session, **{"X-Forwarded-Proto": "https"}):
            assert answer.wrong(https=True) == []
        for answer in await walk(gateway, session, **{"X-Forwarded-Proto": "http"}):
            assert answer.wrong() == []


async def test_no_answer_contains_the_host_of_the_request(
    others: Others, gateway: Gateway, browser: aiohttp.ClientSession
) -> None:
    forwarded = {"X-Forwarded-Host": EVIL, "Forwarded": f"host={EVIL}"}
    for headers in people(others).values():
        for answer in await walk(gateway, browser, Host=EVIL, **forwarded, **headers):
            assert EVIL not in str(answer.headers), answer.route
            assert EVIL.encode() not in answer.body, answer.route
    async with browser.get("/infofiche/algemeen/", headers={"Host": EVIL}, allow_redirects=False) as slash:
        assert slash.status == 404


async def test_answers_that_are_made_ahead_of_the_routes_have_them_too(
    gateway: Gateway, browser: aiohttp.ClientSession
) -> None:
    origin = {"Origin": f"http://{gateway.address}", "Access-Control-Request-Method": "POST"}
    async with browser.options("/api/chats", headers=origin) as preflight:
        assert Answer("", preflight.status, preflight.headers, b"").wrong() == []
    async with browser.request("TRACE", "/agent") as traced:
        assert traced.status == 405
    async with browser.post("/api/chats", data=b" " * 70_000, headers={"Content-Type": "application/json"}) as large:
        assert large.status == 413
        assert Answer("", 413, large.headers, b"").wrong() == []
    for refused in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: %b\r\n\r\n" % (b"y" * 40_000)):
        status, headers = await raw(gateway, refused)
        assert status in (400, 431)
        assert Answer("", status, headers, b"").wrong() == []


async def raw(gateway: Gateway, request: bytes) -> tuple[int, Mapping[str, str]]:
    """The status and the headers of the answer to these bytes."""
    host, port = gateway.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(request)
    head = (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)).decode().split("\r\n")
    writer.close()
    pairs = [line.partition(": ") for line in head[1:] if line]
    return int(head[0].split(" ")[1]), CIMultiDict((name, value) for name, _, value in pairs)


async def test_a_route_that_weakens_them_is_found(gateway: Gateway, browser: aiohttp.ClientSession) -> None:
    app: FastAPI = gateway.app

    @app.get("/planted")
    async def planted() -> Response:
        return HTMLResponse("<p>", headers={"Cache-Control": "public, max-age=60"})

    @app.get("/loose")
    async def loose() -> Response:
        return Response(headers={"Content-Security-Policy": "default-src *"})

    wrong = [line for answer in await walk(gateway, browser) for line in answer.wrong()]
    assert wrong == [
        "/planted (200): Cache-Control: public, max-age=60",
        "/loose (200): Content-Security-Policy: default-src *",
    ]
