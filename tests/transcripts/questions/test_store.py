"""Questions that were left, on the real database."""

import asyncio
from datetime import date, datetime, timedelta

import pytest

from services.common.config.retention import Periods
from services.common.internal_api.transcripts import (
    AskedQuestion,
    Claimed,
    LeftQuestion,
    QuestionClaim,
    QuestionDone,
    QuestionReceipt,
)
from services.common.mongo.client import Database
from services.common.mongo.migrations import upgrade
from services.transcripts.migrations import STEPS
from services.transcripts.questions import store as left_questions
from services.transcripts.questions.number import number_of
from services.transcripts.questions.store import KEPT, KEPT_DONE, MOST, TAKES_FILES, Questions
from tests.transcripts.conftest import OPENED_AT, new_id


def question(department: str = "algemeen", after: float = 0, chat_id: str | None = None, **more: str) -> LeftQuestion:
    fields = {"contact": "02 123 45 67", "text": "Waar is mijn premie?", "locale": "fr", "name": "An Peeters", **more}
    at = OPENED_AT + timedelta(seconds=after)
    id_ = chat_id or new_id()
    number = number_of(id_)
    return LeftQuestion.model_validate({"chat_id": id_, "department": department, "at": at, "number": number, **fields})


def asked(request: str = "a", chat_id: str | None = None) -> AskedQuestion:
    """A question that is left without a chat."""
    return AskedQuestion.model_validate(
        {**question(chat_id=chat_id).model_dump(), "source": "button", "request": request}
    )


def done(chat_id: str, *departments: str) -> QuestionDone:
    return QuestionDone(chat_id=chat_id, agent_id="bert", departments=list(departments))


@pytest.fixture
async def questions(database: Database) -> Questions:
    return Questions(database)


async def test_the_first_question_of_a_chat_stands(questions: Questions) -> None:
    first = question()
    assert await questions.leave(first, OPENED_AT)
    assert not await questions.leave(question(chat_id=first.chat_id, text="Iets anders"), OPENED_AT)
    assert await questions.to_do(["algemeen"], OPENED_AT) == [first]


async def test_the_day_of_the_answer_stays_as_it_was_promised_first(questions: Questions, database: Database) -> None:
    chat_id = new_id()
    first = question(chat_id=chat_id, answer_by="2026-12-02")
    for one in (first, question(chat_id=chat_id, answer_by="2026-12-03"), question(chat_id=chat_id)):
        await questions.leave(one, OPENED_AT)
        receipt = await questions.receipt(one)
        assert receipt == QuestionReceipt(number=first.number, at=OPENED_AT, answer_by=date(2026, 12, 2))
    assert await questions.to_do(["algemeen"], OPENED_AT) == [first]


async def test_a_question_of_an_earlier_release_promises_no_day(questions: Questions, database: Database) -> None:
    left = question()
    await questions.leave(left, OPENED_AT)
    await database["questions"].update_one({"_id": left.chat_id}, {"$unset": {"answer_by": True}})
    assert await questions.receipt(left) == QuestionReceipt(number=left.number, at=OPENED_AT)
    assert await questions.to_do(["algemeen"], OPENED_AT) == [left]


async def test_those_of_ones_own_departments_come_oldest_first(questions: Questions) -> None:
    late, early, other = question(after=60), question("premies", after=5), question("wonen")
    for one in (late, early, other):
        await questions.leave(one, OPENED_AT)
    assert await questions.to_do(["algemeen", "premies"], OPENED_AT) == [early, late]
    assert await questions.to_do([], OPENED_AT) == []


async def test_an_answer_has_so_many_and_not_more(questions: Questions, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST == 200
    monkeypatch.setattr("services.transcripts.questions.store.MOST", 2)
    left = [question(after=n) for n in (3, 1, 2)]
    for one in left:
        await questions.leave(one, OPENED_AT)
    assert await questions.to_do(["algemeen"], OPENED_AT) == [left[1], left[2]]


async def test_what_is_dealt_with_is_done_once_by_its_own_department(questions: Questions) -> None:
    left = question()
    await questions.leave(left, OPENED_AT)
    assert await questions.done(done(left.chat_id, "wonen"), OPENED_AT) is None
    assert await questions.done(done(left.chat_id), OPENED_AT) is None
    assert await questions.done(done(new_id(), "algemeen"), OPENED_AT) is None
    assert await questions.done(done(left.chat_id, "wonen", "algemeen"), OPENED_AT) is True
    assert await questions.done(done(left.chat_id, "algemeen"), OPENED_AT) is False
    assert await questions.to_do(["algemeen"], OPENED_AT) == []
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
    assert "expireAfterSeconds" not in indexes["expiry"], "the server would delete what is under a hold"
    assert (KEPT.days, KEPT_DONE.days) == (90, 30)
    assert (Periods().questions, Periods().answered_questions) == (KEPT, KEPT_DONE), "by which the job deletes it"


def claim(
    chat_id: str, agent: str = "an", any_agent: bool = False, departments: list[str] | None = None
) -> QuestionClaim:
    own = ["algemeen"] if departments is None else departments
    return QuestionClaim(
        chat_id=chat_id, agent_id=agent, agent_name=agent.title(), departments=own, any_agent=any_agent
    )


async def claimed(questions: Questions, now: datetime = OPENED_AT) -> list[str | None]:
    return [q.claimed.agent_id if q.claimed else None for q in await questions.to_do(["algemeen"], now)]


async def test_of_many_who_claim_at_once_one_gets_it(questions: Questions, database: Database) -> None:
    left = question()
    await questions.leave(left, OPENED_AT)
    others = Questions(database)  # another replica
    wishes = [(questions, others)[n % 2].claim(claim(left.chat_id, f"agent{n}"), OPENED_AT) for n in range(12)]
    answers = await asyncio.gather(*wishes)
    (won,) = [a for a in answers if isinstance(a, LeftQuestion)]
    assert won.claimed is not None
    assert {a.agent_id for a in answers if isinstance(a, Claimed)} == {won.claimed.agent_id}
    assert await claimed(questions) == [won.claimed.agent_id]
    again = await questions.claim(claim(left.chat_id, won.claimed.agent_id), OPENED_AT + timedelta(hours=1))
    assert isinstance(again, LeftQuestion)
    assert again.claimed == won.claimed, "to claim again what one has changes nothing but its end"


async def test_a_claim_is_released_by_its_agent_or_a_supervisor_and_lapses(questions: Questions) -> None:
    left = question()
    await questions.leave(left, OPENED_AT)
    assert await questions.unclaim(claim(left.chat_id), OPENED_AT) is True, "nobody has it"
    await questions.claim(claim(left.chat_id, "an"), OPENED_AT)
    assert await questions.unclaim(claim(left.chat_id, "bert"), OPENED_AT) is False
    assert await claimed(questions) == ["an"]
    assert await questions.unclaim(claim(left.chat_id, "sofie", any_agent=True), OPENED_AT) is True
    await questions.claim(claim(left.chat_id, "bert"), OPENED_AT)
    assert await questions.unclaim(claim(left.chat_id, "bert"), OPENED_AT) is True
    await questions.claim(claim(left.chat_id, "bert"), OPENED_AT)
    later = OPENED_AT + timedelta(hours=24)
    assert await claimed(questions, later) == [None]
    assert isinstance(await questions.claim(claim(left.chat_id, "an"), later), LeftQuestion)
    for nothing in (claim(new_id()), claim(left.chat_id, departments=["wonen"]), claim(left.chat_id, departments=[])):
        assert await questions.claim(nothing, OPENED_AT) is None
        assert await questions.unclaim(nothing, OPENED_AT) is None


async def test_while_a_colleague_has_it_no_other_agent_is_done_with_it(questions: Questions) -> None:
    left = question()
    await questions.leave(left, OPENED_AT)
    await questions.claim(claim(left.chat_id, "an"), OPENED_AT)
    refused = await questions.done(done(left.chat_id, "algemeen"), OPENED_AT)
    assert isinstance(refused, Claimed)
    assert refused.agent_id == "an"
    own = QuestionDone(chat_id=left.chat_id, agent_id="an", departments=["algemeen"])
    assert await questions.done(own, OPENED_AT) is True
    assert await questions.claim(claim(left.chat_id, "bert"), OPENED_AT) is None, "it is done"


async def test_who_claims_it_reads_its_chat_until_it_is_over(questions: Questions) -> None:
    left = question()

    async def may(agent: str = "an", after: timedelta = timedelta(0), department: str = "algemeen") -> bool:
        return await questions.may_read(left.chat_id, agent, [department], OPENED_AT + after)

    assert not await may()
    await questions.leave(left, OPENED_AT)
    assert not await may()
    await questions.claim(claim(left.chat_id, "an"), OPENED_AT)
    assert [await may(), await may("bert"), await may(department="wonen")] == [True, False, False]
    assert not await may(after=timedelta(hours=24)), "it has lapsed"
    await questions.unclaim(claim(left.chat_id, "an"), OPENED_AT)
    assert not await may()
    await questions.claim(claim(left.chat_id, "an"), OPENED_AT)
    await questions.done(QuestionDone(chat_id=left.chat_id, agent_id="an", departments=["algemeen"]), OPENED_AT)
    assert [await may(), await may("bert"), await may(after=timedelta(days=31))] == [True, False, False]


async def test_a_repeat_gets_the_same_receipt_and_another_request_none(questions: Questions) -> None:
    first = asked()
    assert await questions.leave(first, OPENED_AT)
    receipt = QuestionReceipt(number=number_of(first.chat_id), at=first.at)
    assert await questions.receipt(first) == receipt
    repeat = first.model_copy(update={"at": first.at + timedelta(minutes=5)})
    assert not await questions.leave(repeat, OPENED_AT)
    assert await questions.receipt(repeat) == receipt
    assert await questions.receipt(asked("b", chat_id=first.chat_id)) is None
    assert await questions.receipt(question()) is None
    [listed] = await questions.to_do(["algemeen"], OPENED_AT)
    assert (listed.source, listed.number, listed.files) == ("button", receipt.number, [])


async def test_no_two_questions_have_one_number(
    questions: Questions, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await upgrade(database, STEPS)
    monkeypatch.setattr(left_questions, "number_of", lambda _, attempt: f"number {max(0, attempt - 3)}")
    one, two = question(), question()
    assert await questions.leave(one, OPENED_AT)
    assert await questions.leave(two, OPENED_AT)
    assert not await questions.leave(two, OPENED_AT)
    assert [(await questions.receipt(q)) for q in (one, two)] == [
        QuestionReceipt(number="number 0", at=one.at),
        QuestionReceipt(number="number 1", at=two.at),
    ]
    monkeypatch.setattr(left_questions, "number_of", lambda _, attempt: "number 0")
    with pytest.raises(RuntimeError, match="no number is free"):
        await questions.leave(question(), OPENED_AT)


async def test_a_question_of_an_earlier_release_has_no_number(questions: Questions, database: Database) -> None:
    await upgrade(database, STEPS)
    for _ in range(2):
        old = question().model_dump(exclude={"number", "source", "form", "files"})
        await database["questions"].insert_one({"_id": old["chat_id"], **old, "done_at": None})
    assert [q.number for q in await questions.to_do(["algemeen"], OPENED_AT)] == [None, None]


async def test_files_are_added_for_an_hour_until_it_is_done(questions: Questions) -> None:
    one, of_chat = asked(), question()
    await questions.leave(one, OPENED_AT)
    await questions.leave(of_chat, OPENED_AT)
    assert await questions.takes_files(one.chat_id, OPENED_AT + TAKES_FILES)
    assert await questions.takes_files(one.chat_id, OPENED_AT + TAKES_FILES + timedelta(seconds=1)) is False
    assert await questions.takes_files(of_chat.chat_id, OPENED_AT) is None
    assert await questions.takes_files(new_id(), OPENED_AT) is None
    await questions.done(done(one.chat_id, "algemeen"), OPENED_AT)
    assert await questions.takes_files(one.chat_id, OPENED_AT) is False
