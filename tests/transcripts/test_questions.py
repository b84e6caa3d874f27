"""Questions that were left, on the real database."""

from datetime import timedelta

import pytest

from services.database import Database
from services.internal import LeftQuestion, QuestionDone
from services.transcripts.questions import KEPT, KEPT_DONE, MOST, Questions
from tests.transcripts.conftest import OPENED_AT, new_id


def question(department: str = "algemeen", after: float = 0, chat_id: str | None = None, **more: str) -> LeftQuestion:
    fields = {"contact": "02 123 45 67", "text": "Waar is mijn premie?", "locale": "fr", "name": "An Peeters", **more}
    at = OPENED_AT + timedelta(seconds=after)
    return LeftQuestion.model_validate({"chat_id": chat_id or new_id(), "department": department, "at": at, **fields})


def done(chat_id: str, *departments: str) -> QuestionDone:
    return QuestionDone(chat_id=chat_id, agent_id="bert", departments=list(departments))


@pytest.fixture
async def questions(database: Database) -> Questions:
    return Questions(database)


async def test_the_first_question_of_a_chat_stands(questions: Questions) -> None:
    first = question()
    assert await questions.leave(first, OPENED_AT)
    assert not await questions.leave(question(chat_id=first.chat_id, text="Iets anders"), OPENED_AT)
    assert await questions.to_do(["algemeen"]) == [first]


async def test_those_of_ones_own_departments_come_oldest_first(questions: Questions) -> None:
    late, early, other = question(after=60), question("premies", after=5), question("wonen")
    for one in (late, early, other):
        await questions.leave(one, OPENED_AT)
    assert await questions.to_do(["algemeen", "premies"]) == [early, late]
    assert await questions.to_do([]) == []


async def test_an_answer_has_so_many_and_not_more(questions: Questions, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST == 200
    monkeypatch.setattr("services.transcripts.questions.MOST", 2)
    left = [question(after=n) for n in (3, 1, 2)]
    for one in left:
        await questions.leave(one, OPENED_AT)
    assert await questions.to_do(["algemeen"]) == [left[1], left[2]]


async def test_what_is_dealt_with_is_done_once_by_its_own_department(questions: Questions) -> None:
    left = question()
    await questions.leave(left, OPENED_AT)
    assert await questions.done(done(left.chat_id, "wonen"), OPENED_AT) is None
    assert await questions.done(done(left.chat_id), OPENED_AT) is None
    assert await questions.done(done(new_id(), "algemeen"), OPENED_AT) is None
    assert await questions.done(done(left.chat_id, "wonen", "algemeen"), OPENED_AT) is True
    assert await questions.done(done(left.chat_id, "algemeen"), OPENED_AT) is False
    assert await questions.to_do(["algemeen"]) == []
    assert not await questions.leave(question(chat_id=left.chat_id), OPENED_AT), "it is not asked again"


@pytest.mark.parametrize("after", [timedelta(0), timedelta(days=80)])
async def test_none_is_kept_for_longer_than_it_is_said(
    questions: Questions, database: Database, after: timedelta
) -> None:
    left = question()
    await questions.leave(left, OPENED_AT)
    for expected in (OPENED_AT + KEPT, min(OPENED_AT + KEPT, OPENED_AT + after + KEPT_DONE)):
        (kept,) = [d async for d in database["questions"].find({})]
        assert kept["expires_at"] == expected
        await questions.done(done(left.chat_id, "algemeen"), OPENED_AT + after)
    indexes = await database["questions"].index_information()
    assert (indexes["expiry"]["key"], indexes["expiry"]["expireAfterSeconds"]) == ([("expires_at", 1)], 0)
    assert (KEPT.days, KEPT_DONE.days) == (90, 30)
