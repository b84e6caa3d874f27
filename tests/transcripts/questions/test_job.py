"""Acts on left questions are in the access log, also when a process dies between the two."""

from datetime import datetime, timedelta

import pytest
from pymongo.errors import AutoReconnect

from services.common.internal_api.transcripts import LeftQuestion, QuestionClaim, QuestionDone, QuestionUndo
from services.common.mongo.client import Database
from services.common.mongo.leases import Leases
from services.transcripts.access_log.store import Access, AccessLog, OwnAct
from services.transcripts.questions import store as left_questions
from services.transcripts.questions.job import LATE, UnloggedActs, log_act
from services.transcripts.questions.store import LogBehind, Questions, Unlogged
from tests.transcripts.conftest import OPENED_AT, new_id

LATER = OPENED_AT + LATE + timedelta(seconds=1)


@pytest.fixture
async def questions(database: Database) -> Questions:
    return Questions(database)


@pytest.fixture
async def access_log(database: Database) -> AccessLog:
    return AccessLog(database, lambda: LATER)


@pytest.fixture
async def chat_id(questions: Questions) -> str:
    left = LeftQuestion(chat_id=new_id(), department="algemeen", contact="02 123", text="Wanneer?", at=OPENED_AT)
    await questions.leave(left, OPENED_AT)
    return left.chat_id


def job(database: Database, access_log: AccessLog, now: datetime = LATER) -> UnloggedActs:
    return UnloggedActs(Questions(database), access_log, Leases(database), lambda: now)


def entry(act: OwnAct, chat_id: str, who: str = "an", role: str = "agent") -> Unlogged:
    return Unlogged(Access(act, who, role, chat_id, source="192.0.2.7"))


async def logged(access_log: AccessLog) -> list[tuple[str | None, ...]]:
    members = ("act", "who", "role", "chat_id", "item", "source")
    return [tuple(e.get(name) for name in members) for e in await access_log.entries(0)]


async def test_what_an_interrupted_request_has_not_logged_the_job_logs_once(
    questions: Questions, access_log: AccessLog, chat_id: str, database: Database
) -> None:
    wish = {"chat_id": chat_id, "agent_id": "an", "agent_name": "An", "departments": ["algemeen"]}
    sofie = {**wish, "agent_id": "sofie", "any_agent": True}
    by_sofie = {"who": "sofie", "role": "supervisor"}
    await questions.claim(QuestionClaim(**wish), OPENED_AT, entry("question_claimed", chat_id))
    await questions.unclaim(QuestionClaim(**sofie), OPENED_AT, entry("question_released", chat_id, **by_sofie))
    await questions.done(QuestionDone(**wish), OPENED_AT, entry("question_done", chat_id))
    await questions.undo(QuestionUndo(**sofie), OPENED_AT, entry("question_undone", chat_id, **by_sofie))
    assert not await job(database, access_log, OPENED_AT + LATE).round()
    assert await logged(access_log) == [], "their requests may be at work still"
    assert not await job(database, access_log).round()
    assert await logged(access_log) == [
        ("question_claimed", "an", "agent", chat_id, None, "192.0.2.7"),
        ("question_released", "sofie", "supervisor", chat_id, "an", "192.0.2.7"),
        ("question_done", "an", "agent", chat_id, None, "192.0.2.7"),
        ("question_undone", "sofie", "supervisor", chat_id, "an", "192.0.2.7"),
    ]
    await job(database, access_log).round()
    assert len(await logged(access_log)) == 4
    kept = await database["questions"].find_one({"_id": chat_id})
    assert kept is not None
    assert "unlogged" not in kept


async def test_an_act_that_was_refused_is_not_logged(
    questions: Questions, access_log: AccessLog, chat_id: str, database: Database
) -> None:
    an = {"chat_id": chat_id, "agent_id": "an", "agent_name": "An", "departments": ["algemeen"]}
    bert = {**an, "agent_id": "bert"}
    await questions.claim(QuestionClaim(**an), OPENED_AT)
    for act, acting in (
        ("question_claimed", questions.claim(QuestionClaim(**bert), OPENED_AT, refused := entry("question_done", "x"))),
        ("question_released", questions.unclaim(QuestionClaim(**bert), OPENED_AT, refused)),
        ("question_done", questions.done(QuestionDone(**bert), OPENED_AT, refused)),
        ("question_undone", questions.undo(QuestionUndo(**bert), OPENED_AT, refused)),
    ):
        await acting
        assert await questions.unlogged(chat_id, refused.id) is None, act
    await job(database, access_log).round()
    assert await logged(access_log) == []


async def test_what_the_log_did_not_take_stays_until_it_does(
    questions: Questions, access_log: AccessLog, chat_id: str, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    done = QuestionDone(chat_id=chat_id, agent_id="an", departments=["algemeen"])
    one = entry("question_done", chat_id)
    await questions.done(done, OPENED_AT, one)

    async def away(_: Access) -> None:
        raise AutoReconnect("the database is away")

    with monkeypatch.context() as broken:
        broken.setattr(access_log, "record", away)
        with pytest.raises(AutoReconnect):
            await log_act(questions, access_log, chat_id, one.id)
    assert await questions.unlogged(chat_id, one.id) == one
    await log_act(questions, access_log, chat_id, one.id)
    await log_act(questions, access_log, chat_id, one.id)
    assert [act for act, *_ in await logged(access_log)] == ["question_done"]
    await job(database, access_log).round()
    assert len(await logged(access_log)) == 1


async def test_without_the_log_there_is_an_end_to_what_may_be_done(
    questions: Questions, chat_id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert left_questions.MOST_UNLOGGED == 20
    monkeypatch.setattr(left_questions, "MOST_UNLOGGED", 2)
    wish = QuestionClaim(chat_id=chat_id, agent_id="an", agent_name="An", departments=["algemeen"])
    for _ in range(2):
        await questions.claim(wish, OPENED_AT, entry("question_claimed", chat_id))
    with pytest.raises(LogBehind):
        await questions.claim(wish, OPENED_AT, entry("question_claimed", chat_id))


async def test_the_job_does_so_many_in_one_round(
    questions: Questions, access_log: AccessLog, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr("services.transcripts.questions.job.AT_A_TIME", 2)
    for _ in range(3):
        left = LeftQuestion(chat_id=new_id(), department="algemeen", contact="02 123", text="Wanneer?", at=OPENED_AT)
        await questions.leave(left, OPENED_AT)
        done = QuestionDone(chat_id=left.chat_id, agent_id="an", departments=["algemeen"])
        await questions.done(done, OPENED_AT, entry("question_done", left.chat_id))
    assert await job(database, access_log).round()
    assert not await job(database, access_log).round()
    assert len(await logged(access_log)) == 3
