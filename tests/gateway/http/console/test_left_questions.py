"""`left_questions.py` behind a real server: a question is left once, and the agents deal with it."""

from datetime import date
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from services.common.events.chats import CloseRequested
from services.common.events.messages import MessagePosted
from services.common.events.types import ChatStatus, CloseReason
from services.common.http.problems import Problem
from services.common.internal_api import routing as routing_api
from services.common.internal_api import transcripts as transcripts_api
from services.gateway import rate_limits
from services.gateway.http.console import left_questions
from tests.gateway.asking import Client, require_listed_pages_alone
from tests.gateway.making import AN, CHAT, NOW, OTHER, entry, id_of, view
from tests.gateway.standing import KEYS, World, gateway_of

PATH = f"/api/chats/{CHAT}/question"
GIVEN = {"contact": " an@example.be ", "text": " Wanneer?\n"}


async def leave(client: Client, given: object = GIVEN, token: str | None = KEYS.chat_token(CHAT)) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    status, body, _ = await client.ask("POST", PATH, given, **headers)
    return status, body


def left(world: World) -> list[transcripts_api.LeftQuestion]:
    return [
        transcripts_api.LeftQuestion.model_validate_json(b)
        for p, b in world.others.asked
        if p == transcripts_api.QUESTION_LEAVE
    ]


async def test_a_question_is_kept_then_said_then_the_chat_ends(world: World, client: Client) -> None:
    world.others.open(CHAT)
    world.others.chats[CHAT] = view(1, ChatStatus.WAITING, locale="fr", name="An Peeters", question="Iets anders?")
    assert await leave(client) == (
        201,
        {"chat_id": CHAT, "number": None, "answer_within": None, "answer_by": None},
    )
    kept = world.others.questions[CHAT]
    assert (kept.contact, kept.text, kept.department) == ("an@example.be", "Wanneer?", "algemeen")
    assert (kept.locale, kept.name) == ("fr", "An Peeters")
    assert [c.by for c in await world.receive(CloseRequested)] == [CloseReason.CITIZEN]
    said = world.received(MessagePosted)
    assert [(m.text, m.sender.id, m.sender.name) for m in said] == [("Wanneer?", "citizen", "An Peeters")]
    events = [type(f) for f in world.events if isinstance(f, MessagePosted | CloseRequested)]
    assert events == [MessagePosted, CloseRequested]
    assert (await leave(client, {**GIVEN, "text": "Nog iets"}))[0] == 201
    again = await world.receive(MessagePosted, 2)
    assert again[0].id == again[1].id, "a repeat is one message"


async def test_what_was_asked_at_the_start_stands_in_the_chat_already(world: World, client: Client) -> None:
    world.others.open(CHAT)
    world.others.chats[CHAT] = view(1, ChatStatus.WAITING, question="Wanneer?")
    assert (await leave(client))[0] == 201
    await world.receive(CloseRequested)
    assert world.received(MessagePosted) == []


async def test_what_was_sent_as_a_message_is_not_sent_once_more(world: World, client: Client) -> None:
    world.others.open(CHAT)
    world.others.logs[CHAT].append(entry(2, CHAT, text="Wanneer?"))
    world.others.chats[CHAT] = view(1, ChatStatus.WAITING)
    assert (await leave(client))[0] == 201
    await world.receive(CloseRequested)
    assert world.received(MessagePosted) == []


@pytest.mark.parametrize(
    ("status", "more", "answer"),
    [
        (ChatStatus.CLOSED, {"reason": CloseReason.NO_AGENT}, 201),
        (ChatStatus.CLOSED, {"reason": CloseReason.CITIZEN}, 201),  # a repeat whose first answer was lost
        (ChatStatus.CLOSED, {"reason": CloseReason.CITIZEN, "agent_id": AN}, 409),
        (ChatStatus.CLOSED, {"reason": CloseReason.AGENT, "agent_id": AN}, 409),
        (ChatStatus.CLOSED, {"reason": CloseReason.INACTIVE}, 409),
        (ChatStatus.ASSIGNED, {"agent_id": AN}, 409),
    ],
)
async def test_only_who_got_no_agent_leaves_a_question(
    world: World, client: Client, status: ChatStatus, more: dict[str, Any], answer: int
) -> None:
    world.others.chats[CHAT] = view(3, status).model_copy(update=more)
    code, body = await leave(client)
    assert code == answer
    assert body["chat_id"] == CHAT if answer == 201 else body["code"] == "not_waiting"
    assert len(left(world)) == (answer == 201)
    assert world.received(MessagePosted) == []
    assert world.received(CloseRequested) == []


async def test_the_token_must_be_that_of_the_chat(world: World, client: Client) -> None:
    world.others.open(CHAT)
    for token, status, code in (
        (None, 401, "unauthenticated"),
        ("nonsense", 401, "unauthenticated"),
        (KEYS.chat_token(OTHER), 403, "forbidden"),
    ):
        answered, problem = await leave(client, token=token)
        assert (answered, problem["code"]) == (status, code)
    cookie = f"eloket-agent={world.others.log_in(AN)}"
    assert (await client.ask("POST", PATH, GIVEN, Cookie=cookie))[0] == 401, "an agent leaves no question"
    gone = view(3, ChatStatus.CLOSED, reason=CloseReason.NO_AGENT, revoked_by="citizen")
    world.others.chats[CHAT] = gone
    answered, problem = await leave(client)
    assert (answered, problem["code"]) == (401, "unauthenticated"), "it was given up"
    assert left(world) == []


WRONG: tuple[object, ...] = (
    b"{",
    {},
    {"contact": "an@example.be"},
    {"text": "Wanneer?"},
    {"contact": " ", "text": "Wanneer?"},
    {"contact": "an@example.be", "text": "\n"},
    {"contact": "x" * 201, "text": "Wanneer?"},
    {"contact": "an@example.be", "text": "x" * 4_001},
    {"contact": "a\0b", "text": "Wanneer?"},
    {"contact": 7, "text": "Wanneer?"},
)


async def test_a_wrong_question_is_invalid(world: World, client: Client) -> None:
    world.others.open(CHAT)
    for wrong in WRONG:
        status, problem = await leave(client, wrong)
        assert (status, problem["code"]) == (422, "invalid"), wrong
    assert left(world) == []


@pytest.mark.parametrize("path", [routing_api.CHATS, transcripts_api.QUESTION_LEAVE])
async def test_a_service_that_is_away_ends_nothing(world: World, client: Client, path: str) -> None:
    world.others.open(CHAT)
    world.others.away.add(path)
    status, problem = await leave(client)
    assert (status, problem["code"]) == (503, "unavailable")
    assert world.received(CloseRequested) == []


async def test_an_unknown_chat_has_no_question(world: World, client: Client) -> None:
    assert (await leave(client))[1]["code"] == "no_such_chat"
    world.others.open(CHAT)
    world.others.refused[transcripts_api.QUESTION_LEAVE] = Problem(404, "no_such_chat", "no such chat")
    assert (await leave(client))[1]["code"] == "no_such_chat"


async def test_too_many_attempts_are_429(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rate_limits.QUESTIONS_PER_CHAT.burst == 10
    monkeypatch.setattr(left_questions, "QUESTIONS_PER_CHAT", rate_limits.Limit(3, 1e-6))
    world.others.open(CHAT)
    settings = world.settings.model_copy(update={"rate_limits": "on"})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        answers = [await leave(Client(session), {}) for _ in range(4)]
    assert [a[0] for a in answers] == [422] * 3 + [429]


async def test_a_page_that_embeds_the_chat_may_ask_and_another_may_not(world: World, tmp_path: Path) -> None:
    await require_listed_pages_alone(world, tmp_path / "departments.toml", "POST", PATH, "authorization,content-type")


# ── agents ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_agents_see_the_questions_of_their_departments_and_deal_with_them(world: World, client: Client) -> None:
    cookie = f"eloket-agent={world.others.log_in(AN)}"
    one = {"locale": "nl", "name": None, "contact": "0470 00 00 00", "text": "Wanneer?", "at": NOW, "undone_at": NOW}
    for chat_id, department in ((CHAT, "algemeen"), (OTHER, "premies")):
        world.others.questions[chat_id] = transcripts_api.LeftQuestion(chat_id=chat_id, department=department, **one)
    _, listed, headers = await client.ask("GET", "/api/questions", Cookie=cookie)
    shown: dict[str, Any] = {
        **one,
        "chat_id": CHAT,
        "department": "algemeen",
        "at": "2026-11-23T08:00:00.123Z",
        "claimed": None,
        "answer_by": None,
        "undone_at": "2026-11-23T08:00:00.123Z",
    }
    shown |= {"number": None, "source": "chat", "form": None, "files": []}
    assert listed == {"questions": [shown]}
    assert headers["Cache-Control"] == "no-store"
    asked = next(b for p, b in world.others.asked if p == transcripts_api.QUESTIONS)
    reader = transcripts_api.QuestionsQuery.model_validate_json(asked).reader
    assert reader == transcripts_api.Reader(agent_id=AN, source="127.0.0.1")
    assert (await client.ask("POST", f"/api/questions/{CHAT}/done", Cookie=cookie))[0] == 204
    done = [
        transcripts_api.QuestionDone.model_validate_json(b)
        for p, b in world.others.asked
        if p == transcripts_api.QUESTION_DONE
    ]
    by = {"agent_id": AN, "agent_name": "An", "departments": ["algemeen"], "source": "127.0.0.1"}
    assert done == [transcripts_api.QuestionDone(chat_id=CHAT, **by)]
    assert (await client.ask("GET", "/api/questions", Cookie=cookie))[1] == {"questions": []}


async def test_an_agent_claims_a_question_and_gives_it_back(world: World, client: Client) -> None:
    cookie, path = f"eloket-agent={world.others.log_in(AN)}", f"/api/questions/{CHAT}/claim"
    by = transcripts_api.Claimed(agent_id=AN, name="An", at=NOW)
    left = {"locale": "nl", "contact": "0470 00 00 00", "text": "Wanneer?", "at": NOW, "claimed": by}
    world.others.questions[CHAT] = transcripts_api.LeftQuestion(chat_id=CHAT, department="algemeen", **left)
    status, shown, _ = await client.ask("POST", path, Cookie=cookie)
    assert (status, shown["claimed"]) == (200, {"agent_id": AN, "name": "An", "at": "2026-11-23T08:00:00.123Z"})
    assert (await client.ask("DELETE", path, Cookie=cookie))[0] == 204
    asked = [transcripts_api.QuestionClaim.model_validate_json(b) for p, b in world.others.asked if "claim" in p]
    assert {(a.agent_id, tuple(a.departments), a.any_agent) for a in asked} == {(AN, ("algemeen",), False)}
    world.others.refused[transcripts_api.QUESTION_CLAIM] = Problem(409, "claimed", "no", claimed={"name": "Bert"})
    status, refused, _ = await client.ask("POST", path, Cookie=cookie)
    assert (status, refused["code"], refused["claimed"]) == (409, "claimed", {"name": "Bert"})
    for method in ("POST", "DELETE"):
        assert (await client.ask(method, path))[1]["code"] == "unauthenticated"
        assert (await client.ask(method, path, Cookie=cookie, Origin="https://evil.be"))[1]["code"] == "forbidden"
        assert (await client.ask(method, "/api/questions/x/claim", Cookie=cookie))[1]["code"] == "no_such_question"


def archived(chat_id: str, department: str) -> transcripts_api.DoneQuestion:
    done = transcripts_api.Finished(agent_id=AN, name="An", at=NOW)
    left = {"locale": "nl", "contact": "0470 00 00 00", "text": "Wanneer?", "at": NOW, "done": done}
    return transcripts_api.DoneQuestion(chat_id=chat_id, department=department, **left)


async def test_agents_see_what_is_done_in_their_departments(world: World, client: Client) -> None:
    cookie, path = f"eloket-agent={world.others.log_in(AN)}", "/api/questions/archive"
    world.others.archive = [archived(CHAT, "algemeen"), archived(OTHER, "premies")]
    status, page, headers = await client.ask("GET", path, Cookie=cookie)
    assert (status, headers["Cache-Control"]) == (200, "no-store")
    assert [q["chat_id"] for q in page["questions"]] == [CHAT]
    assert page["questions"][0]["done"] == {"agent_id": AN, "name": "An", "at": "2026-11-23T08:00:00.123Z"}
    assert page["next"] == "1-a"
    filters = "number=aaaa-3333&from=2026-11-01&until=2026-11-30&before=5-ab&limit=50&department=algemeen"
    assert (await client.ask("GET", f"{path}?{filters}", Cookie=cookie))[0] == 200
    *_, asked = (b for p, b in world.others.asked if p == transcripts_api.QUESTION_ARCHIVE)
    assert transcripts_api.ArchiveQuery.model_validate_json(asked) == transcripts_api.ArchiveQuery(
        reader=transcripts_api.Reader(agent_id=AN, source="127.0.0.1"),
        departments=["algemeen"],
        number="AAAA3333",
        since=date(2026, 11, 1),
        until=date(2026, 11, 30),
        before="5-ab",
        limit=50,
    )


async def test_what_the_archive_is_not_asked(world: World, client: Client) -> None:
    cookie, path = f"eloket-agent={world.others.log_in(AN)}", "/api/questions/archive"
    for query, status, code in (
        ("number=AAAA333", 422, "invalid"),
        (f"number={'A' * 41}", 422, "invalid"),
        ("from=2026-11-31", 422, "invalid_period"),
        ("from=9999-12-31", 422, "invalid_period"),
        ("from=morgen", 422, "invalid"),
        ("from=2026-11-02&until=2026-11-01", 422, "invalid_period"),
        ("before=x", 422, "invalid"),
        ("limit=51", 422, "invalid"),
        ("limit=0", 422, "invalid"),
        ("department=nowhere", 404, "unknown_department"),
        ("department=premies", 403, "forbidden"),
    ):
        answered, problem, _ = await client.ask("GET", f"{path}?{query}", Cookie=cookie)
        assert (answered, problem["code"]) == (status, code), query
        assert "supervisor" not in problem["detail"], "agents may do this too"
    assert not [p for p, _ in world.others.asked if p == transcripts_api.QUESTION_ARCHIVE]
    world.others.refused[transcripts_api.QUESTION_ARCHIVE] = Problem(429, "rate_limited", "no", {"Retry-After": "5"})
    status, problem, headers = await client.ask("GET", path, Cookie=cookie)
    assert (status, problem["code"], headers["Retry-After"]) == (429, "rate_limited", "5")


async def test_an_agent_opens_a_question_again(world: World, client: Client) -> None:
    cookie, path = f"eloket-agent={world.others.log_in(AN)}", f"/api/questions/{CHAT}/done"
    left = {"locale": "nl", "contact": "0470 00 00 00", "text": "Wanneer?", "at": NOW}
    world.others.questions[CHAT] = transcripts_api.LeftQuestion(chat_id=CHAT, department="algemeen", **left)
    status, shown, _ = await client.ask("DELETE", f"{path}?of={AN}", Cookie=cookie)
    assert (status, shown["chat_id"], shown["claimed"]) == (200, CHAT, None)
    [asked] = (b for p, b in world.others.asked if p == transcripts_api.QUESTION_UNDO)
    by = {"agent_id": AN, "agent_name": "An", "departments": ["algemeen"], "source": "127.0.0.1"}
    assert transcripts_api.QuestionUndo.model_validate_json(asked) == transcripts_api.QuestionUndo(
        chat_id=CHAT, of=AN, **by
    )
    done = {"agent_id": "bert", "name": "Bert", "at": "2026-11-23T08:00:00Z"}
    world.others.refused[transcripts_api.QUESTION_UNDO] = Problem(409, "question_done", "no", done=done)
    status, refused, _ = await client.ask("DELETE", path, Cookie=cookie)
    assert (status, refused["code"], refused["done"]) == (409, "question_done", done)
    assert (await client.ask("DELETE", path))[1]["code"] == "unauthenticated"
    assert (await client.ask("DELETE", path, Cookie=cookie, Origin="https://evil.be"))[1]["code"] == "forbidden"
    assert (await client.ask("DELETE", "/api/questions/x/done", Cookie=cookie))[1]["code"] == "no_such_question"


async def test_who_acts_says_what_they_have_seen(world: World, client: Client) -> None:
    cookie, path = f"eloket-agent={world.others.log_in(AN)}", f"/api/questions/{CHAT}"
    assert (await client.ask("DELETE", f"{path}/claim?of=bert", Cookie=cookie))[0] == 204
    assert (await client.ask("POST", f"{path}/done?once=true", Cookie=cookie))[0] == 204
    bodies = dict(world.others.asked)
    released = transcripts_api.QuestionClaim.model_validate_json(bodies[transcripts_api.QUESTION_UNCLAIM])
    done = transcripts_api.QuestionDone.model_validate_json(bodies[transcripts_api.QUESTION_DONE])
    assert (released.of, released.any_agent, done.once) == ("bert", False, True)
    for query in ("claim?of=" + "x" * 201, "done?of=" + "x" * 201):
        assert (await client.ask("DELETE", f"{path}/{query}", Cookie=cookie))[1]["code"] == "invalid"


async def test_what_is_no_question_cannot_be_dealt_with(world: World, client: Client) -> None:
    cookie = f"eloket-agent={world.others.log_in(AN)}"
    for chat_id in ("x", CHAT.upper()):
        assert (await client.ask("POST", f"/api/questions/{chat_id}/done", Cookie=cookie))[1]["code"] == (
            "no_such_question"
        )
    world.others.refused[transcripts_api.QUESTION_DONE] = Problem(404, "no_such_question", "no")
    status, problem, _ = await client.ask("POST", f"/api/questions/{id_of(1)}/done", Cookie=cookie)
    assert (status, problem["code"]) == (404, "no_such_question")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/questions"),
        ("GET", "/api/questions/archive"),
        ("POST", f"/api/questions/{CHAT}/done"),
        ("DELETE", f"/api/questions/{CHAT}/done"),
    ],
)
async def test_only_agents_on_their_own_pages_may(world: World, client: Client, method: str, path: str) -> None:
    cookie = f"eloket-agent={world.others.log_in(AN)}"
    assert (await client.ask(method, path))[1]["code"] == "unauthenticated"
    assert (await client.ask(method, path, Authorization=f"Bearer {KEYS.chat_token(CHAT)}"))[0] == 401
    assert (await client.ask(method, path, Cookie=cookie, Origin="https://evil.be"))[1]["code"] == "forbidden"
    world.others.away |= {transcripts_api.QUESTIONS, transcripts_api.QUESTION_DONE}
    world.others.away |= {transcripts_api.QUESTION_ARCHIVE, transcripts_api.QUESTION_UNDO}
    assert (await client.ask(method, path, Cookie=cookie))[1]["code"] == "unavailable"


async def test_identifying_numbers_are_masked_in_the_question_and_in_the_conversation(
    world: World, client: Client
) -> None:
    world.others.open(CHAT)
    given = {"contact": "0470 12 34 56, 85.07.30-033.28", "text": "Is 85.07.30-033.28 het juiste nummer?"}
    assert (await leave(client, given))[0] == 201
    kept = world.others.questions[CHAT]
    assert (kept.contact, kept.text) == ("0470 12 34 56, •••••••••28", "Is •••••••••28 het juiste nummer?")
    await world.receive(CloseRequested)
    assert [said.text for said in world.received(MessagePosted)] == [kept.text]
