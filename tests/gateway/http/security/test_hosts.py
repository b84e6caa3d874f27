"""`services/gateway/http/security/hosts.py`: a gateway whose origins are named answers for no other host."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.gateway.http.security.test_security_headers import EVIL, Answer, alone, raw, walk
from tests.gateway.standing import Gateway, Others
from tests.support.in_process.routes import routes_of

OWN = "chat.example.be"
PROBES = ("/healthz", "/readyz", "/metrics")


@pytest.fixture
async def named() -> AsyncIterator[Gateway]:
    """A gateway that is reached as https://chat.example.be and http://localhost:8000."""
    async with alone(Others(), public_origins=f"https://{OWN}, http://localhost:8000") as one:
        yield one


@pytest.fixture
async def browser(named: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://{named.address}") as session:
        yield session


@pytest.mark.parametrize("host", [OWN, OWN.upper(), f"{OWN}:443", "localhost:8000"])
async def test_its_own_hosts_are_answered(browser: aiohttp.ClientSession, host: str) -> None:
    async with browser.get("/agent", headers={"Host": host}) as answer:
        assert answer.status == 200


@pytest.mark.parametrize("host", [EVIL, f"{OWN}:8443", f"{OWN}.{EVIL}", f"{EVIL}:443", "localhost", "127.0.0.1", ""])
async def test_another_host_is_refused_by_name(browser: aiohttp.ClientSession, host: str) -> None:
    async with browser.get("/agent", headers={"Host": host}) as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (421, "unknown_host")


async def test_no_route_answers_another_host_but_those_of_probes(
    named: Gateway, browser: aiohttp.ClientSession
) -> None:
    for answer in await walk(named, browser, Host=EVIL):
        refused = answer.route not in PROBES
        assert (answer.status == 421) == refused, answer.route
        assert Answer("", answer.status, answer.headers, answer.body).wrong() == []
        assert EVIL not in str(answer.headers) + answer.body.decode(), answer.route
    assert {("GET", path) for path in PROBES} <= set(routes_of(named.app))


@pytest.mark.parametrize("path", ["/ws/citizen", "/ws/agent"])
async def test_a_websocket_of_another_host_is_not_opened(browser: aiohttp.ClientSession, path: str) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await browser.ws_connect(path, headers={"Host": EVIL, "Origin": f"https://{EVIL}"})
    assert refused.value.status == 421
    assert refused.value.headers
    assert refused.value.headers["X-Content-Type-Options"] == "nosniff"
    async with browser.ws_connect(path, headers={"Host": OWN, "Origin": f"https://{OWN}"}) as socket:
        assert not socket.closed


async def test_a_request_with_no_host_or_two_or_a_wrong_one_is_refused(named: Gateway) -> None:
    for hosts in ((), (OWN, EVIL), (f"{OWN}@{EVIL}",), (f"{OWN}, {EVIL}",)):
        lines = "".join(f"Host: {host}\r\n" for host in hosts).encode()
        status, _ = await raw(named, b"GET /agent HTTP/1.1\r\n" + lines + b"\r\n")
        assert status == 400, hosts
