"""`console_host.py` at a whole gateway: the console is answered on its own host alone, and all else on the others."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from services.docgen.role_matrix import ROUTES, Route
from services.gateway.http.pages.static_files import static_files
from services.gateway.http.security.console_host import Site, site_of
from services.gateway.websocket.frames.server import Close
from tests.gateway.http.security.test_security_headers import EVIL, VALUES, alone, people
from tests.gateway.making import AN, CHAT
from tests.gateway.standing import Gateway, Others, World, gateway_of
from tests.support.in_process.routes import WEBSOCKET, routes_of
from tests.support.servers import PATIENCE

PUBLIC_HOST, CONSOLE_HOST = "chat.example.be", "console.example.be"
SETTINGS = {"public_origins": f"https://{PUBLIC_HOST}", "console_origin": f"https://{CONSOLE_HOST}"}
HOSTS: dict[Site, str] = {"public": PUBLIC_HOST, "console": CONSOLE_HOST}
BOTH = {"/healthz", "/readyz", "/metrics", "/favicon.ico", "/api/settings", "/api/oidc-keys/{client}"}
BY_CREDENTIAL = {
    ("POST", "/api/chats/{chat_id}/attachments"),
    ("GET", "/api/chats/{chat_id}/attachments/{attachment_id}"),
    ("GET", "/api/chats/{chat_id}/attachments/{attachment_id}/preview"),
    ("GET", "/api/chats/{chat_id}/transcript"),
}
"""A citizen has them with a token on the public host, and an agent with a cookie on the console's."""
LOGINS = {"/agent", "/ws/agent"}


def path_of(route: str) -> str:
    """An address of this route."""
    for name, value in VALUES.items():
        route = route.replace(name, value)
    return route


def is_for_agents(method: str, route: str) -> bool:
    """Whether the table of roles gives this route to people who have logged in, and to nobody else."""
    rows = [row for row in ROUTES if (row.method, row.route) == (method, route)]
    assert rows or method == WEBSOCKET, f"{method} {route} has no row"

    def is_row_for_agents(row: Route) -> bool:
        return set(row.cells[:4]) <= {401, 403} and any(cell not in (401, 403) for cell in row.cells[4:11])

    return any(map(is_row_for_agents, rows)) or route in LOGINS or route.startswith("/api/agent/")


def expected(method: str, route: str, has_token: bool) -> Site:
    if route in BOTH:
        return "both"
    if (method, route) in BY_CREDENTIAL:
        return "public" if has_token else "console"
    return "console" if is_for_agents(method, route) else "public"


@pytest.fixture
def others() -> Others:
    return Others()


@pytest.fixture
async def gateway(others: Others) -> AsyncIterator[Gateway]:
    async with alone(others, **SETTINGS) as one:
        yield one


@pytest.fixture
async def browser(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(force_close=True)
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(f"http://{gateway.address}", connector=connector, cookie_jar=jar) as session:
        yield session


async def test_every_route_is_answered_on_its_own_host_alone(
    others: Others, gateway: Gateway, browser: aiohttp.ClientSession
) -> None:
    """Each with the credentials of everyone who might ask, on both hosts."""
    seen: set[Site] = set()
    routes = [one for one in routes_of(gateway.app) if one[0] != WEBSOCKET]
    for who, headers in people(others).items():
        secured = {name: value.replace("eloket-agent=", "__Host-eloket-agent=") for name, value in headers.items()}
        for method, route in routes:
            site = expected(method, route, "Authorization" in headers)
            seen.add(site)
            for here, host in HOSTS.items():
                answer, body = await ask(browser, method, path_of(route), {**secured, "Host": host})
                assert answer.headers["X-Content-Type-Options"] == "nosniff"
                refused = (answer.status, body.get("code")) == (404, "other_host")
                led_away = route == "/agent" and here == "public"
                assert refused == (site not in ("both", here) and not led_away), (who, method, route, here, body)
    assert seen == {"both", "console", "public"}


async def ask(
    browser: aiohttp.ClientSession, method: str, path: str, headers: dict[str, str]
) -> tuple[aiohttp.ClientResponse, dict[str, Any]]:
    """The answer, and its problem document, if it is one."""
    data = b"{}" if method == "POST" else None
    sent = {"Content-Type": "application/json"} if data else {}
    async with browser.request(method, path, data=data, headers=sent | headers, allow_redirects=False) as answer:
        is_problem = answer.content_type == "application/problem+json"
        return answer, await answer.json(content_type=None) if is_problem else {}


def test_each_host_has_the_files_of_its_own_pages_and_what_both_share() -> None:
    found = {name: site_of("GET", f"/static/{name}", False) for name in static_files().files}
    assert {site for name, site in found.items() if name.startswith(("loket-chat/", "infofiche/"))} == {"public"}
    assert {site for name, site in found.items() if name.startswith("shared/")} == {"both"}
    assert {name for name, site in found.items() if name.startswith("agent/") and site != "console"} == {
        "agent/icon.svg"
    }
    for name, site in found.items():
        assert site_of("GET", f"/static/0123abcd/{name}", False) == site


async def test_what_a_person_has_on_the_right_host_is_there(
    others: Others, gateway: Gateway, browser: aiohttp.ClientSession
) -> None:
    cookie = {"Cookie": f"__Host-eloket-agent={others.log_in(AN)}"}
    for path, headers, here in (
        ("/agent", {}, "console"),
        ("/api/agent/me", cookie, "console"),
        ("/api/settings", {}, "console"),
        ("/static/agent/console.js", {}, "console"),
        ("/static/agent/theme.css", {}, "console"),
        ("/widget.js", {}, "public"),
        ("/api/button", {}, "public"),
        ("/infofiche/algemeen", {}, "public"),
        ("/gesprek", {}, "public"),
    ):
        other = {"public": CONSOLE_HOST, "console": PUBLIC_HOST}[here]
        answer, _ = await ask(browser, "GET", path, {**headers, "Host": HOSTS[here]})  # type: ignore[index]
        assert answer.status == 200, path
        answer, _ = await ask(browser, "GET", path, {**headers, "Host": other})
        assert answer.status == (200 if site_of("GET", path, False) == "both" else 302 if path == "/agent" else 404)


async def test_a_bookmark_of_the_console_leads_to_its_host_and_nothing_else_does(
    gateway: Gateway, browser: aiohttp.ClientSession
) -> None:
    for method in ("GET", "HEAD"):
        answer, _ = await ask(browser, method, f"/agent?login=ok&next=https://{EVIL}", {"Host": PUBLIC_HOST})
        assert (answer.status, answer.headers["Location"]) == (302, f"https://{CONSOLE_HOST}/agent")
        assert answer.headers["Cache-Control"] == "no-store"
    for path in ("/agent/", "/agent/x", "/api/agent/oidc/login"):
        answer, _ = await ask(browser, "GET", path, {"Host": PUBLIC_HOST})
        assert "Location" not in answer.headers, path
        assert answer.status == 404


async def test_what_is_on_no_host_is_404_and_another_host_is_421(
    gateway: Gateway, browser: aiohttp.ClientSession
) -> None:
    for host, code in ((PUBLIC_HOST, None), (CONSOLE_HOST, "other_host")):
        answer, body = await ask(browser, "GET", "/nowhere", {"Host": host})
        assert answer.status == 404
        assert code is None or body["code"] == code
    for path in ("/agent", "/widget.js"):
        answer, body = await ask(browser, "GET", path, {"Host": EVIL})
        assert (answer.status, body["code"]) == (421, "unknown_host")


async def test_the_console_is_for_no_page_of_another_origin(gateway: Gateway, browser: aiohttp.ClientSession) -> None:
    """Not of a listed one, and not of our own public pages."""
    asked = {"Host": CONSOLE_HOST, "Access-Control-Request-Method": "GET"}
    for origin in (f"https://{PUBLIC_HOST}", f"https://{EVIL}"):
        for path in ("/api/settings", "/api/agent/me"):
            async with browser.options(path, headers={**asked, "Origin": origin}) as answer:
                assert answer.status == 400
                assert "Access-Control-Allow-Origin" not in answer.headers
        headers = {"Host": CONSOLE_HOST, "Origin": origin}
        answer, body = await ask(browser, "GET", "/api/agent/me", headers)
        assert (answer.status, body["code"]) == (403, "forbidden")


@contextlib.asynccontextmanager
async def open_socket(session: aiohttp.ClientSession, path: str, **headers: str) -> AsyncIterator[Any]:
    """A websocket to one of the hosts."""
    async with session.ws_connect(path, headers=headers) as socket:
        yield socket


async def test_each_websocket_is_on_its_own_host_alone_for_pages_of_that_host(world: World) -> None:
    token, cookie = world.others.open(CHAT), f"__Host-eloket-agent={world.others.log_in(AN)}"
    settings = world.settings.model_copy(update=SETTINGS)
    cases: tuple[tuple[str, str, dict[str, object]], ...] = (
        ("/ws/citizen", PUBLIC_HOST, {"token": token}),
        ("/ws/agent", CONSOLE_HOST, {"chats": {}}),
    )
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        for path, host, hello in cases:
            (other,) = {PUBLIC_HOST, CONSOLE_HOST} - {host}
            headers = {"Cookie": cookie, "Host": host}
            async with open_socket(session, path, **headers, Origin=f"https://{host}") as socket:
                await socket.send_json({"type": "hello", **hello})
                assert (await asyncio.wait_for(socket.receive_json(), PATIENCE))["type"] == "welcome"
            async with open_socket(session, path, **headers, Origin=f"https://{other}") as socket:
                assert (await asyncio.wait_for(socket.receive(), PATIENCE)).data == Close.FORBIDDEN_ORIGIN
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await session.ws_connect(path, headers={**headers, "Host": other, "Origin": f"https://{other}"})
            assert refused.value.status == 404


async def test_without_the_setting_each_host_answers_everything(others: Others) -> None:
    hosts = f"https://{PUBLIC_HOST}, https://{CONSOLE_HOST}"
    jar = aiohttp.DummyCookieJar()
    async with (
        alone(others, public_origins=hosts) as gateway,
        aiohttp.ClientSession(f"http://{gateway.address}", cookie_jar=jar) as session,
    ):
        for host in HOSTS.values():
            for path in ("/agent", "/widget.js", "/gesprek", "/api/settings"):
                answer, _ = await ask(session, "GET", path, {"Host": host})
                assert answer.status == 200, (host, path)
