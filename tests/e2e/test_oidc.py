"""Agents who log in at an issuer, through the whole system: cookies, websockets, chats that are handed on."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from services.common.clock import utcnow
from services.presence.agents import totp
from tests.support.clients import Agent, citizen, http_client, pair, until_blue
from tests.support.issuer_systems import TOTP_SECRET, client_key, published_keys, running_issuer_system
from tests.support.mock_issuer import MockIssuer
from tests.support.servers import PATIENCE, Broker, System


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str
) -> Iterator[tuple[System, MockIssuer]]:
    """The system authenticates by its key. Roles are checked each second, where the issuer gives a refresh token."""
    home, key = tmp_path_factory.mktemp("issuer"), client_key()
    settings = {"OIDC_REFRESH": "1", "OIDC_CLIENT_SECRET": "", "OIDC_CLIENT_KEYS": key}
    with running_issuer_system(home, broker, mongodb_url, **settings) as made:
        made[1].client_keys = published_keys(made[0], "agents")
        yield made


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[aiohttp.ClientSession]:
    async with http_client(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        yield session


async def log_in(session: aiohttp.ClientSession, base: str) -> str:
    """Log in at the issuer; with what the address of the console says in the end."""
    async with session.get(f"{base}/api/agent/oidc/login") as answer:
        assert answer.status == 200
        assert answer.url.path == "/agent"
        return answer.url.query["login"]


@contextlib.asynccontextmanager
async def colleague(base: str) -> AsyncIterator[Agent]:
    """An agent who has logged in at the issuer and is connected."""
    async with browser() as session:
        assert await log_in(session, base) == "ok"
        one = Agent(base, session, "")
        try:
            await one.connect()
            yield one
        finally:
            await one.leave()


async def test_an_agent_logs_in_chats_and_is_logged_out_by_the_issuer(base: str, issuer: MockIssuer) -> None:
    async with colleague(base) as lien, citizen(base) as visitor:
        me = await (await lien.http.get(f"{base}/api/agent/me")).json()
        assert (me["name"], me["departments"], me["supervisor"]) == ("Lien Peeters", ["algemeen"], False)
        theirs, _ = await pair(visitor, lien)
        async with http_client() as outside:
            url, token = f"{base}/api/agent/oidc/logout", issuer.logout_token(sid="session-1")
            refused = await outside.post(url, data={"logout_token": token[:-4] + "AAAA"})
            assert (refused.status, (await refused.json())["code"]) == (400, "invalid")
            assert (await outside.post(url, data={"other": "x"})).status == 400
            assert (await outside.post(url, data=b"logout_token=%FF&" + b"x" * 40_000)).status == 400
            assert (await lien.http.get(f"{base}/api/agent/me")).status == 200
            accepted = await outside.post(url, data={"logout_token": token})
            assert (accepted.status, accepted.headers["Cache-Control"]) == (200, "no-store")
        assert await lien.socket.closed() == 4401
        await theirs.expect("status", dot="grey")
        assert (await lien.http.get(f"{base}/api/agent/me")).status == 401
        await until_blue(base, "no_agents")
        await theirs.send(type="close")


async def test_the_system_authenticates_by_the_key_that_it_publishes(base: str, issuer: MockIssuer) -> None:
    async with browser() as session:
        assert await log_in(session, base) == "ok"
        published = await session.get(f"{base}/api/oidc-keys/agents")
        assert (published.status, published.headers["Cache-Control"]) == (200, "public, max-age=60")
        [key] = (await published.json(content_type=None))["keys"]
        assert (key["alg"], key["use"], "d" in key) == ("ES256", "sig", False)
        assert (await session.get(f"{base}/api/oidc-keys/citizens")).status == 404, "citizens have no issuer here"
        assert (await session.get(f"{base}/api/oidc-keys/others")).status == 422
    assert issuer.assertions
    assert issuer.refusals == []


async def test_a_role_that_goes_hands_the_chats_on(base: str, issuer: MockIssuer) -> None:
    issuer.refreshes = True
    async with colleague(base) as lien, citizen(base) as visitor:
        theirs, _ = await pair(visitor, lien)
        before = issuer.asked.count("/token")
        async with asyncio.timeout(PATIENCE):
            while issuer.asked.count("/token") < before + 2:
                await asyncio.sleep(0.1)
        assert (await lien.http.get(f"{base}/api/agent/me")).status == 200, "the role is still there"
        issuer.claims["eloket_rol_3d"] = ["bezoeker"]
        assert await lien.socket.closed() == 4401
        await theirs.expect("status", dot="grey")
        assert (await lien.http.get(f"{base}/api/agent/me")).status == 401
        await theirs.send(type="close")


async def test_cookies_of_the_flow_and_of_the_session(base: str, issuer: MockIssuer) -> None:
    async with browser() as session:
        async with session.get(f"{base}/api/agent/oidc/login", allow_redirects=False) as began:
            assert began.status == 303
            assert began.headers["Location"].startswith(f"{issuer.url}/authorize?")
            [flow] = began.headers.getall("Set-Cookie")
            assert flow.startswith("eloket-oidc=")
            assert "HttpOnly; SameSite=Lax" in flow
        async with session.get(began.headers["Location"], allow_redirects=False) as back:
            callback = back.headers["Location"]
        async with browser() as other, other.get(callback, allow_redirects=False) as stolen:
            assert stolen.headers["Location"] == "/agent?login=oidc_expired"
            assert "Set-Cookie" not in stolen.headers
        async with session.get(callback, allow_redirects=False, headers={"Host": "127.0.0.1"}) as done:
            assert done.headers["Location"] == "/agent?login=ok"
            cookies = done.headers.getall("Set-Cookie")
            assert any(one.startswith("eloket-agent=") and "SameSite=Strict" in one for one in cookies)
        async with session.get(callback, allow_redirects=False) as again:
            assert again.headers["Location"] == "/agent?login=oidc_expired"


async def test_the_host_of_a_request_does_not_decide_where_the_issuer_sends_the_browser(base: str) -> None:
    async with http_client() as session:
        headers = {"Host": "evil.example"}
        async with session.get(f"{base}/api/agent/oidc/login", allow_redirects=False, headers=headers) as began:
            assert "evil.example" not in began.headers["Location"]


@pytest.mark.parametrize(
    ("overrides", "error", "code"),
    [
        ({"nonce": "another"}, "", "oidc_failed"),
        ({"acr": "urn:low"}, "", "oidc_acr"),
        ({"eloket_rol_3d": ["bezoeker"]}, "", "oidc_no_role"),
        ({}, "access_denied", "oidc_cancelled"),
    ],
)
async def test_a_failed_login_says_why(
    base: str, issuer: MockIssuer, overrides: dict[str, object], error: str, code: str
) -> None:
    issuer.overrides, issuer.error = overrides, error
    async with browser() as session:
        assert await log_in(session, base) == code
        assert (await session.get(f"{base}/api/agent/me")).status == 401


async def test_a_user_with_two_organisations_chooses(base: str, issuer: MockIssuer) -> None:
    issuer.claims["eloket_rol_3d"] = ["medewerker:OVO000001", "leiding:OVO000002"]
    async with browser() as session:
        assert await log_in(session, base) == "choose"
        assert (await session.get(f"{base}/api/agent/me")).status == 401
        choices = (await (await session.get(f"{base}/api/agent/oidc/choices")).json())["choices"]
        shown = [(one["organisation"], one["supervisor"]) for one in choices]
        assert shown == [("OVO000001", False), ("OVO000002", True)]
        url, headers = f"{base}/api/agent/oidc/choice", {"Origin": base}
        foreign = await session.post(url, json={"choice": choices[1]["id"]}, headers={"Origin": "https://evil.example"})
        assert foreign.status == 403
        assert (await session.post(url, json={"choice": "another"}, headers=headers)).status == 401
        assert (await session.post(url, json={"choice": choices[1]["id"]}, headers=headers)).status == 204
        me = await (await session.get(f"{base}/api/agent/me")).json()
        assert (me["supervisor"], me["departments"]) == (True, ["algemeen", "premies"])
        assert (await session.post(url, json={"choice": choices[0]["id"]}, headers=headers)).status == 401


async def test_passwords_are_for_emergencies_and_need_a_code(base: str) -> None:
    async with browser() as session:
        ways = await (await session.get(f"{base}/api/agent/login")).json()
        assert ways == {"oidc": True, "password": "break_glass"}

        async def attempt(username: str, password: str = "demo", **more: str) -> str:
            body = {"username": username, "password": password, **more}
            answer = await session.post(f"{base}/api/agent/session", json=body, headers={"Origin": base})
            return "ok" if answer.status == 204 else str((await answer.json())["code"])

        code = totp.code_at(TOTP_SECRET, totp.step_of(utcnow()))
        assert await attempt("an") == "bad_credentials"
        assert await attempt("nood", "wrong", code=code) == "bad_credentials"
        assert await attempt("nood") == "totp_required"
        assert await attempt("nood", code="0" if code == "000000" else "000000") == "bad_credentials"
        assert await attempt("nood", code=totp.code_at(TOTP_SECRET, totp.step_of(utcnow()))) == "ok"
        assert (await session.get(f"{base}/api/agent/me")).status == 200


async def test_the_issuer_is_down(base: str, issuer: MockIssuer) -> None:
    async with browser() as session:
        await log_in(session, base)  # the metadata are known
        async with session.get(f"{base}/api/agent/oidc/login", allow_redirects=False) as began:
            place = began.headers["Location"]
        async with session.get(place, allow_redirects=False) as back:
            callback = back.headers["Location"]
        issuer.down = True
        try:
            async with session.get(callback, allow_redirects=False) as answer:
                assert answer.headers["Location"] == "/agent?login=unavailable"
        finally:
            issuer.down = False
