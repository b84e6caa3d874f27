"""`identification.py` behind a real server: the ticket, declining, and the pages of the citizen."""

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest

from services.common.clock import utcnow
from services.common.events.event import Event
from services.common.events.identification import IdentificationAsked, IdentificationDeclined, IdentificationEnded
from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.common.internal_api import transcripts as transcripts_api
from services.common.messaging.topology import PUBLISHED
from services.gateway import rate_limits
from services.gateway.http.citizen import identification
from tests.gateway.asking import Client
from tests.gateway.making import CHAT, OTHER, id_of
from tests.gateway.standing import KEYS, Gateway, World, gateway_of
from tests.support.departments import identifying_departments
from tests.support.servers import PATIENCE

ROUTE = f"/api/chats/{CHAT}/identification"
BEARER = f"Bearer {KEYS.chat_token(CHAT)}"
FLOW = presence_api.IdentificationFlow(
    url="https://issuer.example/authorize?state=s",
    flow="sealed.flow",
    agent="An <b>",
    department="Algemene vragen",
    locale="fr",
    code="7K4P",
    issuer="Gestion des accès",
)


@contextlib.asynccontextmanager
async def opened(world: World, file: Path, **more: object) -> AsyncIterator[aiohttp.ClientSession]:
    """A browser at a gateway in whose default department agents may ask citizens to identify."""
    settings = world.settings.model_copy(update={"departments_file": identifying_departments(file), **more})
    jar = aiohttp.CookieJar(unsafe=True)
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}", cookie_jar=jar) as s:
        yield s


@pytest.fixture
async def browser(world: World, tmp_path: Path) -> AsyncIterator[aiohttp.ClientSession]:
    world.others.fixed[transcripts_api.IDENTIFICATION_OPEN] = request()
    world.others.fixed[presence_api.IDENTIFY_BEGIN] = presence_api.IdentificationTicket(
        ticket="a.b-c_d", code="7K4P", issuer="Toegangsbeheer"
    )
    world.others.fixed[presence_api.IDENTIFY_OPEN] = FLOW
    async with opened(world, tmp_path / "departments.toml") as session:
        yield session


def request(department: str = "algemeen") -> transcripts_api.OpenIdentification:
    """An agent asks."""
    return transcripts_api.OpenIdentification(
        chat_id=CHAT,
        id=id_of(5),
        agent="An",
        department=department,
        locale="nl",
        until=utcnow() + timedelta(seconds=300),
    )


def no_request() -> Problem:
    return Problem(404, "no_request", "Nobody asks.")


async def test_a_ticket_is_made_of_what_transcripts_says(world: World, browser: aiohttp.ClientSession) -> None:
    status, answer, headers = await Client(browser).ask("POST", ROUTE, Authorization=BEARER)
    assert status == 201
    assert (answer["url"], answer["code"], answer["issuer"]) == ("/identify?ticket=a.b-c_d", "7K4P", "Toegangsbeheer")
    assert 300 - PATIENCE <= answer["expires_in"] <= 300
    assert headers["Cache-Control"] == "no-store"
    (body,) = [body for path, body in world.others.asked if path == presence_api.IDENTIFY_BEGIN]
    wanted = presence_api.IdentificationWanted.model_validate_json(body)
    assert (wanted.chat_id, wanted.id, wanted.agent, wanted.department) == (CHAT, id_of(5), "An", "Algemene vragen")
    assert KEYS.chat_token(CHAT) not in str(answer), "the token of the chat is in no address"


@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_both_need_the_token_of_the_chat_and_a_listed_page(browser: aiohttp.ClientSession, method: str) -> None:
    for headers, status, code in (
        ({}, 401, "unauthenticated"),
        ({"Authorization": f"Bearer {KEYS.chat_token(OTHER)}"}, 403, "forbidden"),
        ({"Authorization": BEARER, "Origin": "https://evil.example"}, 403, "origin_not_allowed"),
    ):
        got, answer, _ = await Client(browser).ask(method, ROUTE, **headers)
        assert (got, answer["code"]) == (status, code)


async def test_without_a_request_or_a_department_that_wants_it_there_is_no_ticket(
    world: World, browser: aiohttp.ClientSession
) -> None:
    client = Client(browser)
    world.others.fixed[transcripts_api.IDENTIFICATION_OPEN] = request("premies")
    status, answer, _ = await client.ask("POST", ROUTE, Authorization=BEARER)
    assert (status, answer["code"]) == (404, "no_request")
    world.others.refused[transcripts_api.IDENTIFICATION_OPEN] = no_request()
    status, answer, _ = await client.ask("POST", ROUTE, Authorization=BEARER)
    assert (status, answer["code"]) == (404, "no_request")
    assert (await client.ask("DELETE", ROUTE, Authorization=BEARER))[0] == 204, "a repeat"
    assert presence_api.IDENTIFY_BEGIN not in [path for path, _ in world.others.asked]
    assert world.received(IdentificationDeclined) == []


async def test_declining_is_published(world: World, browser: aiohttp.ClientSession) -> None:
    assert (await Client(browser).ask("DELETE", ROUTE, Authorization=BEARER))[0] == 204
    (declined,) = await world.receive(IdentificationDeclined)
    assert (declined.chat_id, declined.id) == (CHAT, id_of(5))


@pytest.mark.parametrize("path", [transcripts_api.IDENTIFICATION_OPEN, presence_api.IDENTIFY_BEGIN])
async def test_a_service_that_is_away_is_said(world: World, browser: aiohttp.ClientSession, path: str) -> None:
    world.others.away.add(path)
    status, answer, headers = await Client(browser).ask("POST", ROUTE, Authorization=BEARER)
    assert (status, answer["code"]) == (503, "unavailable")
    assert headers["Retry-After"]


async def test_too_many_tickets_are_refused(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identification, "IDENTIFICATIONS_PER_CHAT", rate_limits.Limit(2, 1e-6))
    monkeypatch.setattr(identification, "IDENTIFICATIONS_PER_ADDRESS", rate_limits.Limit(2, 1e-6))
    world.others.refused[transcripts_api.IDENTIFICATION_OPEN] = no_request()
    world.others.fixed[presence_api.IDENTIFY_OPEN] = FLOW
    async with opened(world, tmp_path / "departments.toml", rate_limits="on") as browser:
        client = Client(browser)
        statuses = [(await client.ask("POST", ROUTE, Authorization=BEARER))[0] for _ in range(3)]
        pages = [(await browser.get("/identify?ticket=t")).status for _ in range(2)]
        async with browser.get("/identify?ticket=t", headers={"Accept-Language": "nl"}) as page:
            assert (page.status, int(page.headers["Retry-After"]) > 0) == (429, True)
            assert "te veel pogingen na elkaar" in await page.text()
        async with browser.get("/identify/callback?state=s", allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/identify/done?outcome=rate_limited&lang="
    assert statuses == [404, 404, 429]
    assert pages == [200, 200]


async def test_the_page_shows_who_asks_and_leads_to_the_issuer_with_a_cookie(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/identify?ticket=a.b") as answer:
        text = await answer.text()
        assert answer.status == 200
        assert answer.headers["Content-Language"] == "fr"
        assert answer.headers["Cache-Control"] == "no-store"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Referrer-Policy"] == "same-origin", "the issuer does not get the address with the ticket"
        cookie = answer.headers["Set-Cookie"]
    assert "eloket-identify=sealed.flow; Path=/; HttpOnly; SameSite=Lax" in cookie
    assert "An &lt;b&gt; de Algemene vragen" in text
    assert "7K4P" in text
    assert 'href="https://issuer.example/authorize?state=s"' in text
    assert "<script" not in text


@pytest.mark.parametrize(
    ("problem", "status", "words"),
    [
        (Problem(401, "identification_expired", "Used."), 410, "niet meer geldig"),
        (Problem(404, "not_found", "None here."), 410, "niet meer geldig"),
        (Problem(503, "unavailable", "Away."), 503, "antwoordt niet"),
    ],
)
async def test_a_page_that_cannot_be_opened_says_so(
    world: World, browser: aiohttp.ClientSession, problem: Problem, status: int, words: str
) -> None:
    world.others.refused[presence_api.IDENTIFY_OPEN] = problem
    async with browser.get("/identify?ticket=a.b", headers={"Accept-Language": "nl"}) as answer:
        assert answer.status == status
        assert "Set-Cookie" not in answer.headers
        assert words in await answer.text()


async def test_what_is_longer_than_any_ticket_or_state_is_expired_and_passed_on_to_nobody(
    world: World, browser: aiohttp.ClientSession
) -> None:
    world.others.fixed[presence_api.IDENTIFY_FINISH] = presence_api.IdentificationOutcome(
        outcome="identified", locale="nl"
    )
    async with browser.get(f"/identify?ticket={'x' * 5_000}", headers={"Accept-Language": "nl"}) as answer:
        assert answer.status == 410
        assert "niet meer geldig" in await answer.text()
    async with browser.get(f"/identify/callback?state={'s' * 500}", allow_redirects=False) as answer:
        asked = parse_qs(urlsplit(answer.headers["Location"]).query)
        assert asked["outcome"] == ["expired"]
    assert not {presence_api.IDENTIFY_OPEN, presence_api.IDENTIFY_FINISH} & {path for path, _ in world.others.asked}


async def test_the_callback_passes_on_what_the_browser_has_and_shows_what_became_of_it(
    world: World, browser: aiohttp.ClientSession
) -> None:
    outcome = presence_api.IdentificationOutcome(outcome="identified", locale="de")
    world.others.fixed[presence_api.IDENTIFY_FINISH] = outcome
    await browser.get("/identify?ticket=a.b")
    async with browser.get("/identify/callback?state=s&code=c&iss=https://i.example", allow_redirects=False) as answer:
        assert answer.status == 303
        place = answer.headers["Location"]
        assert "eloket-identify=; " in answer.headers["Set-Cookie"]
        assert "Max-Age=0" in answer.headers["Set-Cookie"]
    assert place == "/identify/done?outcome=identified&lang=de"
    (body,) = [body for path, body in world.others.asked if path == presence_api.IDENTIFY_FINISH]
    sent = presence_api.OidcAnswer.model_validate_json(body)
    assert (sent.flow, sent.state, sent.code, sent.iss) == ("sealed.flow", "s", "c", "https://i.example")
    async with browser.get(place) as page:
        text = await page.text()
        assert page.headers["Content-Language"] == "de"
    assert "Sie können dieses Fenster schließen." in text
    assert "/static/identify/close.js" in text


@pytest.mark.parametrize(
    ("problem", "outcome"),
    [
        (Problem(401, "identification_expired", "Used."), "expired"),
        (Problem(503, "unavailable", "Away."), "unavailable"),
    ],
)
async def test_a_callback_that_fails_leads_to_the_same_page(
    world: World, browser: aiohttp.ClientSession, problem: Problem, outcome: str
) -> None:
    world.others.refused[presence_api.IDENTIFY_FINISH] = problem
    async with browser.get("/identify/callback?state=s&code=c", allow_redirects=False) as answer:
        asked = parse_qs(urlsplit(answer.headers["Location"]).query)
        assert answer.headers["Location"].startswith("/identify/done?")
        assert asked["outcome"] == [outcome]


@pytest.mark.parametrize("outcome", ["cancelled", "failed", "expired", "unavailable"])
async def test_a_page_that_says_what_to_do_next_does_not_close_itself(
    browser: aiohttp.ClientSession, outcome: str
) -> None:
    async with browser.get(f"/identify/done?outcome={outcome}&lang=en") as page:
        text = await page.text()
    assert "You can close this window." in text
    assert "<script" not in text


async def test_the_last_page_takes_no_text_from_its_address(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/identify/done?outcome=<b>evil</b>&lang=<i>") as answer:
        text = await answer.text()
    assert "evil" not in text
    assert "Deze pagina is niet meer geldig" in text


def test_a_gateway_may_not_say_who_a_citizen_is() -> None:
    def publishers(kind: type[Event]) -> list[str]:
        type_ = kind.model_fields["type"].default
        return [service for service, types in PUBLISHED.items() if type_ in types]

    assert publishers(IdentificationEnded) == ["presence"]
    assert publishers(IdentificationAsked) == publishers(IdentificationDeclined) == ["gateway"]


async def test_the_routes_are_there_without_an_issuer(gateway: Gateway) -> None:
    async with aiohttp.ClientSession(f"http://{gateway.address}") as session, session.get("/identify") as answer:
        assert answer.status == 410
