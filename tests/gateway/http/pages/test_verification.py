"""`verification.py` behind a real server: the page that verifies transcripts, and the public keys."""

import io
from collections.abc import AsyncIterator

import aiohttp
import pytest

from services.common.config.departments import LOCALES
from services.common.evidence import chain
from services.common.evidence.verification import MOST_BYTES, Verdict
from services.common.http.problems import Problem
from services.common.internal_api import transcripts as api
from services.gateway import rate_limits
from services.gateway.http.pages import verification
from tests.gateway.http.citizen.test_after_chat import limited_client
from tests.gateway.making import CHAT
from tests.gateway.standing import Gateway, World

CODE = "7k3f 9qwd xm2p 7k3f 9qwd xm2p"
SIGNED = api.SignedTranscript.model_validate(
    {
        "chat_id": CHAT,
        "department": "algemeen",
        "opened_at": "2026-11-22T15:00:00Z",
        "closed_at": "2026-11-22T15:10:00.000Z",
        "signed_at": "2026-11-22T15:10:05.000Z",
        "entries": 12,
        "kid": "k" * 43,
    }
)


def verified(verdict: str = "intact", *findings: tuple[str, int, int], **more: object) -> api.VerifiedFile:
    said = [
        api.VerifiedMessage(seq=1, party="system", at="2026-11-22T15:00:00.000Z", text="Welkom"),
        api.VerifiedMessage(seq=2, party="citizen", at="gisteren", name="An <b>", text="<script>alert(1)</script>"),
        api.VerifiedMessage(seq=3, party="agent", at="2026-11-22T15:02:00.000Z", removed=True),
        api.VerifiedMessage(seq=4, party="agent", at="2026-11-22T15:02:00.000Z", file="a.pdf"),
    ]
    values: dict[str, object] = {
        "verdict": verdict,
        "findings": [api.VerifiedFinding(why=w, first=f, last=la) for w, f, la in findings],
        "pdf": False,
        "chat_id": CHAT,
        "entries": 4,
        "removed": 1,
        "opened_at": "2026-11-22T15:00:00.000Z",
        "closed_at": "2026-11-22T15:10:00.000Z",
        "signed_at": "2026-11-22T15:10:05.000Z",
        "kid": "k" * 43,
        "messages": said,
    }
    return api.VerifiedFile.model_validate({**values, **more})


@pytest.fixture
async def browser(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(f"http://{gateway.address}", cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


def form(content: bytes, name: str = "file") -> aiohttp.FormData:
    made = aiohttp.FormData()
    made.add_field(name, io.BytesIO(content), filename="chat.json")
    return made


async def send(browser: aiohttp.ClientSession, given: object, lang: str = "nl") -> tuple[int, str]:
    async with browser.post(f"/verify?lang={lang}", data=given) as answer:
        assert answer.content_type == "text/html"
        assert answer.headers["Cache-Control"] == "no-store"
        return answer.status, await answer.text()


async def test_a_file_is_passed_on_and_its_answer_shown(world: World, browser: aiohttp.ClientSession) -> None:
    world.others.fixed[api.VERIFY_FILE] = verified()
    status, page = await send(browser, form(b'{"chat_id"'))
    assert [body for path, body in world.others.asked if path == api.VERIFY_FILE] == ['{"chat_id"']
    assert (status, "Het gesprek is echt en volledig" in page) == (200, True)
    assert "2026-11-22 16:10:05 +01:00" in page
    assert "gisteren" in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    assert "Bijlage: a.pdf" in page
    assert "later verwijderd" in page


async def test_pasted_content_is_passed_on_as_it_is(world: World, browser: aiohttp.ClientSession) -> None:
    world.others.fixed[api.VERIFY_FILE] = verified("incomplete", ("entries_missing", 3, 4), ("not_signed", 0, 0))
    status, page = await send(browser, {"pasted": '{"text":"é 😀"}'})
    assert [body for path, body in world.others.asked if path == api.VERIFY_FILE] == ['{"text":"é 😀"}']
    assert (status, "Berichten 3 tot en met 4 ontbreken." in page, "niet ondertekend" in page) == (200, True, True)


async def test_a_code_says_what_was_signed(world: World, browser: aiohttp.ClientSession) -> None:
    world.others.fixed[api.VERIFY_CODE] = SIGNED
    status, page = await send(browser, {"code": CODE}, "en")
    ((_, body),) = [one for one in world.others.asked if one[0] == api.VERIFY_CODE]
    assert api.CodeGiven.model_validate_json(body).code == CODE
    assert (status, "We know this code" in page, CHAT in page, ">12<" in page) == (200, True, True, True)


@pytest.mark.parametrize("lang", LOCALES)
@pytest.mark.parametrize("verdict", Verdict)
async def test_every_verdict_is_said_in_every_language(
    world: World, browser: aiohttp.ClientSession, lang: str, verdict: Verdict
) -> None:
    world.others.fixed[api.VERIFY_FILE] = verified(verdict.value, ("entry_altered", 2, 2), ("of a later release", 0, 0))
    status, page = await send(browser, form(b"{}"), lang)
    assert (status, f'<html lang="{lang}">' in page, f'data-verdict="{verdict}"' in page) == (200, True, True)


async def test_the_pages_of_a_pdf_are_not_verified_and_the_data_are_shown(
    world: World, browser: aiohttp.ClientSession
) -> None:
    world.others.fixed[api.VERIFY_FILE] = verified(pdf=True, entries=900)
    _, page = await send(browser, form(b"%PDF"), "en")
    assert "The pages of a PDF are not verified" in page
    assert "<details open>" in page
    assert "Only the first messages" in page


@pytest.mark.parametrize(
    ("given", "status", "words"),
    [
        ({"code": ""}, 422, "Er ontbreekt iets"),
        ({"other": "x"}, 422, "Er ontbreekt iets"),
        (b"\xff", 422, "Er ontbreekt iets"),
        ({"code": "A" * 41}, 404, "Wij kennen deze code niet"),
        (io.BytesIO(b"pasted=" + b"x" * verification.MOST_PASTED), 413, "te groot"),
        (form(b"x", "other"), 422, "Er ontbreekt iets"),
        (form(b"x" * (MOST_BYTES + 100_000)), 413, "te groot"),
    ],
)
async def test_what_cannot_be_verified_is_refused_with_what_to_do(
    browser: aiohttp.ClientSession, given: object, status: int, words: str
) -> None:
    got, page = await send(browser, given)
    assert (got, words in page, 'role="alert"' in page) == (status, True, True)


async def test_a_file_without_a_declared_length_is_cut_at_the_limit(browser: aiohttp.ClientSession) -> None:
    async def body() -> AsyncIterator[bytes]:
        yield b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
        for _ in range(MOST_BYTES // 65_536 + 2):
            yield bytes(65_536)
        yield b"\r\n--x--\r\n"

    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    async with browser.post("/verify?lang=en", data=body(), headers=headers) as answer:
        assert (answer.status, "too large" in await answer.text()) == (413, True)


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (Problem(404, "unknown_code", "no"), "We do not know this code"),
        (Problem(429, "rate_limited", "no", {"Retry-After": "7"}), "Wait 7 seconds"),
        (Problem(418, "of a later release", "no"), "Nothing can be verified now"),
    ],
)
async def test_what_transcripts_refuses_is_said(
    world: World, browser: aiohttp.ClientSession, problem: Problem, words: str
) -> None:
    world.others.refused[api.VERIFY_CODE] = problem
    status, page = await send(browser, {"code": '"><script>'}, "en")
    assert (status, words in page) == (problem.status, True)
    assert "><script>" not in page


async def test_an_outage_is_said_and_keeps_what_was_typed(world: World, browser: aiohttp.ClientSession) -> None:
    world.others.away.update((api.VERIFY_CODE, api.VERIFY_FILE, api.TRANSCRIPT_KEYS))
    status, page = await send(browser, {"code": CODE}, "en")
    assert (status, f'value="{CODE}"' in page) == (503, True)
    assert (await send(browser, form(b"{}")))[0] == 503
    async with browser.get("/api/transcript-keys") as answer:
        assert (answer.status, (await answer.json(content_type=None))["code"]) == (503, "unavailable")


async def test_the_page_is_in_the_readers_language_and_of_our_own_origin(browser: aiohttp.ClientSession) -> None:
    async with browser.get("/verify", headers={"Accept-Language": "de"}) as answer:
        assert (answer.status, answer.headers["Content-Language"]) == (200, "de")
        assert "Gespräch prüfen" in await answer.text()
    async with browser.post("/verify", data={"code": CODE}, headers={"Origin": "https://evil.example"}) as answer:
        assert answer.status == 403


async def test_too_many_verifications_of_one_address_are_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verification, "VERIFICATIONS_PER_ADDRESS", rate_limits.Limit(1, 1e-2))
    world.others.fixed[api.VERIFY_CODE] = SIGNED
    async with limited_client(world) as client:
        for status in (200, 429):
            async with client.session.post("/verify?lang=en", data={"code": CODE}) as answer:
                page = await answer.text()
                assert (answer.status, "too many verifications" in page) == (status, status == 429)


async def test_the_public_keys_are_a_key_set(world: World, browser: aiohttp.ClientSession) -> None:
    key = chain.jwk(bytes(range(32)))
    world.others.fixed[api.TRANSCRIPT_KEYS] = api.PublicKeys.model_validate({"keys": [key]})
    async with browser.get("/api/transcript-keys") as answer:
        assert answer.content_type == "application/jwk-set+json"
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert await answer.json() == {"keys": [key]}
