"""`after_chat.py` behind a real server: ratings, codes, and the page that needs no script."""

import contextlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from services.common.http.problems import Problem
from services.common.internal_api import transcripts as transcripts_api
from services.gateway import rate_limits
from services.gateway.http.citizen import after_chat
from services.gateway.http.pages.download_page.page import FORMATS
from tests.gateway.asking import Client
from tests.gateway.making import CHAT, OTHER
from tests.gateway.standing import KEYS, Gateway, World, gateway_of

RATING, CODE = f"/api/chats/{CHAT}/rating", f"/api/chats/{CHAT}/download-code"
BEARER = f"Bearer {KEYS.chat_token(CHAT)}"
TYPED = "7k3f 9qwd xm2p"


@pytest.fixture
async def browser(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://{gateway.address}", cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@contextlib.asynccontextmanager
async def limited_client(world: World, **more: object) -> AsyncIterator[Client]:
    """A browser's side of a gateway with rate limits."""
    settings = world.settings.model_copy(update={"rate_limits": "on", **more})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        yield Client(session)


async def send(browser: aiohttp.ClientSession, form: object, lang: str = "nl") -> tuple[int, str, str]:
    """What the form answers: status, content type and text."""
    async with browser.post(f"/gesprek?lang={lang}", data=form) as answer:
        return answer.status, answer.content_type, await answer.text()


@pytest.mark.parametrize("given", [{"helped": "partly"}, {"score": 4}, {"helped": "yes", "score": 5, "else": 1}])
async def test_a_rating_reaches_transcripts(world: World, client: Client, given: dict[str, object]) -> None:
    assert (await client.ask("POST", RATING, given, Authorization=BEARER))[0] == 204
    ((_, body),) = [one for one in world.others.asked if one[0] == transcripts_api.RATING]
    stored = transcripts_api.Rating.model_validate_json(body)
    assert (stored.chat_id, stored.helped, stored.score) == (CHAT, given.get("helped"), given.get("score"))


@pytest.mark.parametrize(
    "given", [{}, {"score": 0}, {"score": 6}, {"score": True}, {"score": "5"}, {"helped": "ja"}, []]
)
async def test_what_is_no_rating_is_refused(world: World, client: Client, given: object) -> None:
    status, answer, _ = await client.ask("POST", RATING, given, Authorization=BEARER)
    assert (status, answer["code"]) == (422, "invalid")
    assert not [path for path, _ in world.others.asked if path == transcripts_api.RATING]


@pytest.mark.parametrize("path", [RATING, CODE])
async def test_both_need_the_token_of_the_chat_and_a_listed_page(client: Client, path: str) -> None:
    wrong = f"Bearer {KEYS.chat_token(OTHER)}"
    for headers, status, code in (
        ({}, 401, "unauthenticated"),
        ({"Authorization": wrong}, 403, "forbidden"),
        ({"Authorization": BEARER, "Origin": "https://evil.example"}, 403, "origin_not_allowed"),
    ):
        got, answer, _ = await client.ask("POST", path, {"score": 1}, **headers)
        assert (got, answer["code"]) == (status, code)


async def test_a_code_is_made_and_too_many_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(after_chat, "CODES_PER_CHAT", rate_limits.Limit(2, 1e-6))
    expires = datetime(2026, 12, 1, 9, tzinfo=UTC)
    world.others.fixed[transcripts_api.CODE_CREATE] = transcripts_api.DownloadCode(code="A", expires_at=expires)
    wanted = {"code": "A", "expires_at": "2026-12-01T09:00:00.000Z", "url": "/gesprek"}
    async with limited_client(world) as client:
        for _ in range(2):
            assert (await client.ask("POST", CODE, Authorization=BEARER))[:2] == (201, wanted)
        status, answer, headers = await client.ask("POST", CODE, Authorization=BEARER)
    assert (status, answer["code"]) == (429, "rate_limited")
    assert int(headers["Retry-After"]) > 0


@pytest.mark.parametrize("format_", FORMATS)
async def test_the_page_downloads_with_a_code(world: World, browser: aiohttp.ClientSession, format_: str) -> None:
    world.others.files[CHAT] = b"het gesprek"
    world.others.fixed[transcripts_api.CODE_USE] = transcripts_api.CodeFound(chat_id=CHAT, locale="nl")
    async with browser.post("/gesprek", data={"code": TYPED, "format": format_}) as answer:
        assert (answer.status, await answer.read()) == (200, b"het gesprek")
        assert answer.headers["Content-Disposition"] == "attachment"
    assert world.others.downloads == [f"transcript?format={format_}"]
    ((_, body),) = [one for one in world.others.asked if one[0] == transcripts_api.CODE_USE]
    assert transcripts_api.CodeGiven.model_validate_json(body).code == TYPED


@pytest.mark.parametrize(
    ("lang", "words"), [("nl", "niet meer geldig"), ("fr", "plus valable"), ("de", "nicht mehr"), ("en", "no longer")]
)
async def test_a_wrong_code_is_said_in_the_readers_language_and_kept_in_the_form(
    world: World, browser: aiohttp.ClientSession, lang: str, words: str
) -> None:
    world.others.refused[transcripts_api.CODE_USE] = Problem(404, "unknown_code", "no")
    status, kind, page = await send(browser, {"code": '"><script>', "format": "txt"}, lang)
    assert (status, kind) == (404, "text/html")
    assert words in page
    assert f'<html lang="{lang}">' in page
    assert "<script" not in page
    assert 'value="&#34;&gt;&lt;script&gt;"' in page
    assert re.search(r'value="txt" checked', page)


async def test_every_refusal_is_a_page_that_says_what_to_do(world: World, browser: aiohttp.ClientSession) -> None:
    cases: list[tuple[object, int, str]] = [
        ({"code": " ", "format": "pdf"}, 422, "Er ontbreekt iets"),
        ({"format": "pdf"}, 422, "Er ontbreekt iets"),
        ({"code": TYPED, "format": "exe"}, 422, "Er ontbreekt iets"),
        (b"code=%ff\xff", 422, "Er ontbreekt iets"),
        ({"code": TYPED, "x": "y" * 5_000}, 413, "over enkele minuten"),
    ]
    for form, status, words in cases:
        got, kind, page = await send(browser, form)
        assert (got, kind) == (status, "text/html")
        assert words in page
    assert not [path for path, _ in world.others.asked if path == transcripts_api.CODE_USE]
    world.others.away.add(transcripts_api.CODE_USE)
    assert (await send(browser, {"code": TYPED, "format": "pdf"}))[0] == 503


async def test_a_conversation_that_is_too_long_for_a_pdf_says_which_type_has_all(
    world: World, browser: aiohttp.ClientSession
) -> None:
    world.others.fixed[transcripts_api.CODE_USE] = transcripts_api.CodeFound(chat_id=CHAT, locale="nl")
    status, _, page = await send(browser, {"code": TYPED, "format": "pdf"})
    assert status == 404, "the chat is gone"
    assert "over enkele minuten" in page


async def test_attempts_of_one_address_are_limited(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(after_chat, "CODE_USES_PER_ADDRESS", rate_limits.Limit(2, 1e-3))
    world.others.refused[transcripts_api.CODE_USE] = Problem(404, "unknown_code", "no")
    async with limited_client(world) as client:
        for _ in range(2):
            assert (await send(client.session, {"code": TYPED, "format": "pdf"}))[0] == 404
        status, _, page = await send(client.session, {"code": TYPED, "format": "pdf"})
    assert status == 429
    assert re.search(r"Wacht [1-9]\d* seconden", page)


async def test_the_page_of_a_get_shows_no_problem(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/gesprek", headers={"Accept-Language": "de"}) as answer:
        page = await answer.text()
        assert (answer.status, answer.headers["Content-Language"]) == (200, "de")
        assert "form-action 'self'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
    assert 'role="alert"' not in page


DEPARTMENTS = """
default = "a"
privacy = { text = { nl = "Wij bewaren dit.", fr = "Nous gardons ceci.", de = "Wir speichern", en = "We keep this." } }
[[departments]]
id = "a"
names = { nl = "A", fr = "A", de = "A", en = "A" }
[[departments]]
id = "b"
names = { nl = "Bé", fr = "B", de = "B", en = "B" }
[departments.privacy]
text = { nl = "Eigen tekst.", fr = "t", de = "t", en = "t" }
[departments.privacy.url]
nl = "https://www.example.be/nl"
fr = "https://www.example.be/fr"
de = "https://www.example.be/de"
en = "https://www.example.be/en"
"""


async def test_what_a_page_shows_of_a_department(world: World, tmp_path: Path) -> None:
    file = tmp_path / "departments.toml"
    file.write_text(DEPARTMENTS, "utf-8")
    async with limited_client(world, departments_file=file) as client:
        assert (await client.ask("GET", "/api/departments/a?lang=fr"))[1] == {
            "id": "a",
            "name": "A",
            "language": "fr",
            "privacy": {"text": "Nous gardons ceci.", "url": None},
        }
        status, answer, _ = await client.ask("GET", "/api/departments/b")
        assert (status, answer["name"]) == (200, "Bé")
        assert answer["privacy"] == {"text": "Eigen tekst.", "url": "https://www.example.be/nl"}
        status, answer, _ = await client.ask("GET", "/api/departments/c")
        assert (status, answer["code"]) == (404, "unknown_department")
