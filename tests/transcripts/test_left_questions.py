"""Questions that were left, on the real database."""

import asyncio
from datetime import datetime, timedelta

import pytest

from services.common.internal_api.transcripts import Claimed, LeftQuestion, QuestionClaim, QuestionDone
from services.common.mongo.client import Database
from services.transcripts.left_questions import KEPT, KEPT_DONE, MOST, Questions
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
    assert await questions.to_do(["algemeen"], OPENED_AT) == [first]


async def test_those_of_ones_own_departments_come_oldest_first(questions: Questions) -> None:
    late, early, other = question(after=60), question("premies", after=5), question("wonen")
    for one in (late, early, other):
        await questions.leave(one, OPENED_AT)
    assert await questions.to_do(["algemeen", "premies"], OPENED_AT) == [early, late]
    assert await questions.to_do([], OPENED_AT) == []


async def test_an_answer_has_so_many_and_not_more(questions: Questions, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST == 200
    monkeypatch.setattr("services.transcripts.left_questions.MOST", 2)
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
    assert (indexes["expiry"]["key"], indexes["expiry"]["expireAfterSeconds"]) == ([("expires_at", 1)], 0)
    assert (KEPT.days, KEPT_DONE.days) == (90, 30)


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


async def test_while_a_colleague_has_it_nobody_else_is_done_with_it(questions: Questions) -> None:
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
