"""`asked_questions.py` behind a real server: a question without a chat, once for each key, and its files."""

import asyncio
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.common.events.types import ChatStatus
from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.common.internal_api import transcripts as transcripts_api
from services.gateway import rate_limits
from services.gateway.clients import presence as presence_client
from services.gateway.http.citizen import asked_questions
from services.gateway.settings import Settings
from tests.gateway.asking import Client, long
from tests.gateway.making import AN, CHAT, id_of, view
from tests.gateway.standing import KEYS, QUESTION_LEFT_AT, World, gateway_of
from tests.support.servers import ROOT

PATH = "/api/questions"
LISTED = "https://loket.example.be"
GIVEN: dict[str, Any] = {
    "contact": " an@example.be ",
    "text": " Wanneer?\n",
    "name": "An Peeters",
    "locale": "fr",
    "form": {"id": "aanvraag-42", "title": "Aanvraag", "url": "https://loket.be/premie"},
}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A full machine may keep the day of the answer waiting."""
    monkeypatch.setattr(presence_client, "ANSWER_DAY_LIMIT", 60.0)


@pytest.fixture
def offering(world: World, tmp_path: Path) -> Settings:
    """Settings with which the default department takes questions, and may be embedded by one site."""
    text = (ROOT / "deploy/departments.toml").read_text("utf-8")
    text = text.replace("origins = []", f'origins = ["{LISTED}"]\nquestions = true\nanswer_within = 2', 1)
    departments = tmp_path / "departments.toml"
    departments.write_text(text, "utf-8")
    return world.settings.model_copy(update={"departments_file": departments})


@pytest.fixture
async def client(offering: Settings) -> AsyncIterator[Client]:
    async with gateway_of(offering) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        yield Client(session)


async def ask(client: Client, key: str | None = "sleutel", **members: object) -> tuple[int, Any]:
    headers = {"Idempotency_Key": long(key)} if key else {}
    status, body, _ = await client.ask("POST", PATH, {**GIVEN, **members}, **headers)
    return status, body


def stored(world: World) -> list[transcripts_api.AskedQuestion]:
    """What transcripts was asked to store."""
    bodies = [body for path, body in world.others.asked if path == transcripts_api.QUESTION_ASK]
    return [transcripts_api.AskedQuestion.model_validate_json(body) for body in bodies]


def answer_days(world: World) -> list[presence_api.AnswerDayQuery]:
    """What presence was asked of the day of the answer."""
    bodies = [body for path, body in world.others.asked if path == presence_api.ANSWER_DAY]
    return [presence_api.AnswerDayQuery.model_validate_json(body) for body in bodies]


async def test_a_question_is_stored_and_answered_with_its_receipt(world: World, client: Client) -> None:
    world.others.fixed[presence_api.ANSWER_DAY] = presence_api.AnswerDay(day=date(2026, 12, 2))
    status, receipt = await ask(client)
    [kept] = stored(world)
    assert status == 201
    assert receipt == {
        "question_id": kept.chat_id,
        "number": "AAAA3333",
        "token": KEYS.question_token(kept.chat_id, QUESTION_LEFT_AT),
        "answer_within": 2,
        "answer_by": "2026-12-02",
    }
    assert answer_days(world) == [presence_api.AnswerDayQuery(department="algemeen", days=2)]
    assert kept.answer_by == date(2026, 12, 2)
    assert (kept.department, kept.locale, kept.name, kept.source) == ("algemeen", "fr", "An Peeters", "button")
    assert (kept.contact, kept.text) == ("an@example.be", "Wanneer?")
    assert kept.form is not None
    assert kept.form.model_dump(exclude_none=True) == GIVEN["form"]


async def test_the_day_that_was_promised_first_stands_and_agents_see_it(world: World, client: Client) -> None:
    for day in (date(2026, 12, 2), date(2026, 12, 3)):
        world.others.fixed[presence_api.ANSWER_DAY] = presence_api.AnswerDay(day=day)
        assert (await ask(client))[1]["answer_by"] == "2026-12-02"
    _, body, _ = await client.ask("GET", PATH, Cookie=f"eloket-agent={world.others.log_in(AN)}")
    assert [question["answer_by"] for question in body["questions"]] == ["2026-12-02"]


async def test_a_question_that_is_left_in_a_chat_is_stored_with_its_day(world: World, client: Client) -> None:
    world.others.fixed[presence_api.ANSWER_DAY] = presence_api.AnswerDay(day=date(2026, 12, 2))
    world.others.open(CHAT)
    world.others.chats[CHAT] = view(1, ChatStatus.WAITING)
    bearer = f"Bearer {KEYS.chat_token(CHAT)}"
    status, receipt, _ = await client.ask("POST", f"/api/chats/{CHAT}/question", GIVEN, Authorization=bearer)
    assert (status, receipt) == (
        201,
        {"chat_id": CHAT, "number": None, "answer_within": 2, "answer_by": "2026-12-02"},
    )
    assert world.others.questions[CHAT].answer_by == date(2026, 12, 2)


async def test_a_question_has_its_receipt_when_presence_refuses_is_away_or_is_slow(
    world: World, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown = Problem(404, "not_found", "An earlier release has no such path.")
    world.others.refused[presence_api.ANSWER_DAY] = unknown
    status, receipt = await ask(client, "een")
    assert (status, receipt["answer_within"], receipt["answer_by"]) == (201, 2, None)
    world.others.away.add(presence_api.ANSWER_DAY)
    status, receipt = await ask(client, "twee")
    assert (status, receipt["answer_within"], receipt["answer_by"]) == (201, 2, None)
    world.others.away.clear()
    world.others.refused.clear()
    monkeypatch.setattr(presence_client, "ANSWER_DAY_LIMIT", 0.05)

    async def slow() -> None:
        await asyncio.sleep(0.5)

    world.others.meanwhile[presence_api.ANSWER_DAY] = slow
    status, receipt = await ask(client, "drie")
    assert (status, receipt["answer_within"], receipt["answer_by"]) == (201, 2, None)
    assert len(stored(world)) == 3


async def test_a_key_is_one_question(world: World, client: Client) -> None:
    assert await ask(client) == await ask(client)
    await ask(client, text="Iets anders")
    await ask(client, "andere")
    await ask(client, None)
    await ask(client, None)
    first, repeat, changed, other, bare, bare_again = stored(world)
    assert (first.chat_id, first.request) == (repeat.chat_id, repeat.request)
    assert (changed.chat_id == first.chat_id, changed.request == first.request) == (True, False)
    assert len({first.chat_id, other.chat_id, bare.chat_id, bare_again.chat_id}) == 4
    world.others.refused[transcripts_api.QUESTION_ASK] = Problem(422, "invalid", "This Idempotency-Key was used.")
    assert (await ask(client))[1]["code"] == "invalid"
    assert (await client.ask("POST", PATH, GIVEN, Idempotency_Key="kort"))[0] == 422


@pytest.mark.parametrize(
    "contact", ["an@example.be", "0470 12 34 56", "+32 (0)2/555.01.00", "\tan@example.be\n", "a.b+c@sub.example.be"]
)
async def test_who_can_be_reached_is_taken(client: Client, contact: str) -> None:
    assert (await ask(client, contact=contact))[0] == 201


@pytest.mark.parametrize(
    "members",
    [
        *({"contact": c} for c in ("", " ", "an", "an@", "an@example", "@b.be", "12 34", "a b@example.be", "x" * 201)),
        *({"text": t} for t in ("", " \n", "x" * 4_001, "a\0b", 7)),
        {"name": "x" * 201},
        {"form": {"url": "javascript:alert(1)"}},
    ],
)
async def test_what_cannot_be_answered_is_refused(world: World, client: Client, members: dict[str, Any]) -> None:
    status, problem = await ask(client, **members)
    assert (status, problem["code"]) == (422, "invalid")
    assert stored(world) == []


async def test_a_department_that_takes_none_says_so(world: World, client: Client) -> None:
    status, problem = await ask(client, department="premies")
    assert (status, problem["code"], problem["infofiche_url"]) == (409, "not_offered", "/infofiche/premies")
    assert (await ask(client, department="elders"))[1]["code"] == "unknown_department"
    assert stored(world) == []


async def test_pages_of_other_sites_leave_no_question(world: World, client: Client) -> None:
    for origin, code in (("https://elders.be", 403), (LISTED, 201), (await client.origin(), 201)):
        assert (await client.ask("POST", PATH, GIVEN, Origin=origin))[0] == code
    status, problem, _ = await client.ask("POST", PATH, b"contact=1", Content_Type="text/plain")
    assert (status, problem["code"]) == (415, "unsupported_media_type")
    assert len(stored(world)) == 2


async def test_unavailable_transcripts_is_answered_with_a_problem(world: World, client: Client) -> None:
    world.others.away.add(transcripts_api.QUESTION_ASK)
    status, problem, headers = await client.ask("POST", PATH, GIVEN)
    assert (status, problem["code"], headers["Retry-After"]) == (503, "unavailable", "5")


async def test_an_address_leaves_so_many(offering: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asked_questions, "QUESTIONS_PER_ADDRESS", rate_limits.Limit(2, 1e-3))
    monkeypatch.setattr(asked_questions, "BARE_QUESTIONS_PER_ADDRESS", rate_limits.Limit(1, 1e-3))
    limited = offering.model_copy(update={"rate_limits": "on"})
    async with gateway_of(limited) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        client = Client(session)
        got = [(await client.ask("POST", PATH, GIVEN))[0] for _ in range(2)]
        got += [(await client.ask("POST", PATH, GIVEN, Origin=LISTED))[0] for _ in range(3)]
        assert got == [201, 429, 201, 201, 429]
        _, problem, headers = await client.ask("POST", PATH, GIVEN)
        assert problem["code"] == "rate_limited"
        assert 900 < int(headers["Retry-After"]) <= 1_000


async def test_a_file_goes_to_ones_own_question_alone(world: World, client: Client) -> None:
    question = id_of(1)
    form = aiohttp.FormData()
    form.add_field("file", b"inhoud", filename="brief.txt")
    for token, status in (
        (None, 401),
        (KEYS.chat_token(question), 401),
        (KEYS.question_token(id_of(2)), 403),
        (KEYS.question_token(question), 201),
    ):
        form = aiohttp.FormData()
        form.add_field("file", b"inhoud", filename="brief.txt")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with client.session.post(f"{PATH}/{question}/attachments", data=form, headers=headers) as answer:
            assert answer.status == status
    assert world.others.files == {question: b"inhoud"}
    assert KEYS.chat_of(KEYS.question_token(question)) is None


async def test_only_agents_read_a_file(world: World, client: Client) -> None:
    question, path = id_of(1), f"{PATH}/{id_of(1)}/attachments/{id_of(3)}"
    world.others.files[question] = b"inhoud"
    token = {"Authorization": f"Bearer {KEYS.question_token(question)}"}
    assert (await client.ask("GET", path, **token))[0] == 401
    cookie = {"Cookie": f"eloket-agent={world.others.log_in(AN)}"}
    async with client.session.get(path, headers=cookie) as answer:
        assert (answer.status, await answer.read()) == (200, b"inhoud")
        assert answer.headers["Content-Disposition"] == "attachment"
    assert (await client.ask("GET", f"{PATH}/x/attachments/y", **cookie))[1]["code"] == "unknown_attachment"
    assert (await client.ask("GET", f"{path}/preview", **token))[0] == 401
    for query, size in (("", "small"), ("?size=large", "large"), ("?size=1%26x", "small")):
        async with client.session.get(f"{path}/preview{query}", headers=cookie) as answer:
            assert (answer.status, answer.headers["Content-Security-Policy"][:18]) == (200, "default-src 'none'")
        assert world.others.downloads[-1] == f"attachments/{id_of(3)}/preview?size={size}"
    async with client.session.get(f"{PATH}/x/attachments/y/preview", headers=cookie) as answer:
        assert answer.status == 404


async def test_identifying_numbers_are_masked(world: World, client: Client) -> None:
    number = "85.07.30-033.28"
    form = {**GIVEN["form"], "field": number, "url": f"https://loket.be/?rrn={number}"}
    assert (await ask(client, text=number, contact="850730033 28", name=number, form=form))[0] == 201
    [kept] = stored(world)
    assert kept.form is not None
    assert {kept.text, kept.contact, kept.name, kept.form.field} == {"•••••••••28"}
    assert kept.form.url == "https://loket.be/?rrn=•••••••••28"


async def test_a_department_refuses_identifying_numbers(world: World, offering: Settings) -> None:
    file = offering.departments_file
    text = file.read_text("utf-8").replace("questions = true", 'questions = true\nnumbers = {national = "refuse"}', 1)
    file.write_text(text, "utf-8")
    async with gateway_of(offering) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        client = Client(session)
        for member in ("text", "name", "contact"):
            status, problem = await ask(client, **{member: "85073003328"})
            assert (status, problem["code"], problem["kinds"]) == (422, "identifying_number", ["national"])
        assert stored(world) == []
