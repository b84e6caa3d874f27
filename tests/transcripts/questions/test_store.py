"""Questions that were left, on the real database."""

import asyncio
from datetime import date, datetime, timedelta

import pytest

from services.common.config.retention import Periods
from services.common.internal_api.transcripts import (
    AskedQuestion,
    Claimed,
    Finished,
    LeftQuestion,
    QuestionClaim,
    QuestionDone,
    QuestionReceipt,
    QuestionUndo,
)
from services.common.mongo.client import Database
from services.common.mongo.migrations import upgrade
from services.transcripts.migrations import STEPS
from services.transcripts.questions import store as left_questions
from services.transcripts.questions.number import number_of
from services.transcripts.questions.store import (
    KEPT,
    KEPT_DONE,
    MOST,
    TAKES_FILES,
    ArchiveWanted,
    Questions,
)
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


# ── undoing ──────────────────────────────────────────────────────────────────────────────────────────────────────────


def finish(chat_id: str, agent: str = "an", once: bool = False) -> QuestionDone:
    return QuestionDone(chat_id=chat_id, agent_id=agent, agent_name=agent.title(), departments=["algemeen"], once=once)


def undo(
    chat_id: str, agent: str = "an", of: str | None = None, any_agent: bool = False, department: str = "algemeen"
) -> QuestionUndo:
    return QuestionUndo(chat_id=chat_id, agent_id=agent, departments=[department], of=of, any_agent=any_agent)


AN_DID = Finished(agent_id="an", name="An", at=OPENED_AT)


async def test_what_is_undone_is_as_it_was(questions: Questions, database: Database) -> None:
    left = question()
    await questions.leave(left, left.at)
    await questions.claim(claim(left.chat_id), OPENED_AT)
    [before] = await database["questions"].find({}).to_list(None)
    [listed] = await questions.to_do(["algemeen"], OPENED_AT)
    assert await questions.done(finish(left.chat_id), OPENED_AT) is True
    again = listed.model_copy(update={"undone_at": OPENED_AT})
    assert await questions.undo(undo(left.chat_id), OPENED_AT) == (again, True)
    [after] = await database["questions"].find({}).to_list(None)
    assert after == {**before, "undone_at": OPENED_AT}, "also when it is deleted, and who has it"
    assert await questions.to_do(["algemeen"], OPENED_AT) == [again]
    later = OPENED_AT + timedelta(seconds=9)
    assert await questions.undo(undo(left.chat_id), later) == (again, False), "a repeat changes nothing"
    assert await questions.may_read(left.chat_id, "an", ["algemeen"], OPENED_AT)


async def test_a_claim_that_has_lapsed_meanwhile_is_not_restored(questions: Questions) -> None:
    left = question()
    await questions.leave(left, OPENED_AT)
    await questions.claim(claim(left.chat_id), OPENED_AT)
    await questions.done(finish(left.chat_id), OPENED_AT)
    await questions.undo(undo(left.chat_id), later := OPENED_AT + timedelta(hours=24))
    assert await claimed(questions, later) == [None]
    assert isinstance(await questions.claim(claim(left.chat_id, "bert"), later), LeftQuestion)


async def test_only_who_did_it_and_a_supervisor_undo_it(questions: Questions) -> None:
    left = question()
    await questions.leave(left, OPENED_AT)
    await questions.claim(claim(left.chat_id), OPENED_AT)
    await questions.done(finish(left.chat_id), OPENED_AT)
    assert await questions.undo(undo(left.chat_id, "bert"), OPENED_AT) == AN_DID
    assert await questions.undo(undo(left.chat_id, "bert", of="an"), OPENED_AT) == AN_DID
    assert await questions.undo(undo(left.chat_id, "sofie", of="bert", any_agent=True), OPENED_AT) == AN_DID
    assert await questions.undo(undo(left.chat_id, department="wonen"), OPENED_AT) is None
    assert await questions.undo(undo(new_id()), OPENED_AT) is None
    assert await questions.to_do(["algemeen"], OPENED_AT) == []
    found = await questions.undo(undo(left.chat_id, "sofie", of="an", any_agent=True), OPENED_AT)
    assert isinstance(found, tuple)
    assert found[1]
    assert await claimed(questions) == [None], "an has not got it back: a colleague may deal with it"


async def test_what_is_being_erased_is_not_opened_again(questions: Questions, database: Database) -> None:
    left = question()
    await questions.leave(left, OPENED_AT)
    await questions.done(finish(left.chat_id), OPENED_AT)
    await database["questions"].update_one({"_id": left.chat_id}, {"$set": {"erasing": {"at": OPENED_AT}}})
    assert await questions.undo(undo(left.chat_id), OPENED_AT) is None
    assert await questions.archive(ArchiveWanted(["algemeen"])) == ([], None)


async def test_who_comes_second_is_refused_and_overwrites_nothing(questions: Questions) -> None:
    left = question()
    await questions.leave(left, OPENED_AT)
    await questions.claim(claim(left.chat_id, "bert"), OPENED_AT)
    sofie = claim(left.chat_id, "sofie", any_agent=True)
    stale = sofie.model_copy(update={"of": "an"})  # her list is from before bert claimed it
    held = await questions.unclaim(stale, OPENED_AT)
    assert isinstance(held, Claimed)
    assert held.agent_id == "bert"
    assert await claimed(questions) == ["bert"]
    await questions.done(finish(left.chat_id, "bert"), OPENED_AT)
    bert_did = Finished(agent_id="bert", name="Bert", at=OPENED_AT)
    assert await questions.unclaim(sofie.model_copy(update={"of": "bert"}), OPENED_AT) == bert_did
    assert await questions.unclaim(sofie, OPENED_AT) is True, "without `of` nobody has it, as before"
    assert await questions.done(finish(left.chat_id, once=True), OPENED_AT) == bert_did
    assert await questions.done(finish(left.chat_id), OPENED_AT) is False
    assert await questions.done(finish(left.chat_id, "bert", once=True), OPENED_AT) is False, "a repeat"
    await questions.undo(undo(left.chat_id, "bert"), OPENED_AT)
    assert await claimed(questions) == ["bert"], "the claim is there: it was not released while the question was done"


async def test_of_acts_at_once_one_order_holds_for_all(questions: Questions, database: Database) -> None:
    """An is done, sofie releases an's claim, bert claims: whatever comes first, each answer is true in that order."""
    others = Questions(database)  # another replica
    seen = set()
    for _ in range(25):
        left = question()
        await questions.leave(left, OPENED_AT)
        await questions.claim(claim(left.chat_id, "an"), OPENED_AT)
        release = claim(left.chat_id, "sofie", any_agent=True).model_copy(update={"of": "an"})
        finished, released, won = await asyncio.gather(
            questions.done(finish(left.chat_id, once=True), OPENED_AT),
            others.unclaim(release, OPENED_AT),
            others.claim(claim(left.chat_id, "bert"), OPENED_AT),
        )
        kept = await database["questions"].find_one({"_id": left.chat_id})
        assert kept is not None
        done, holder = kept["done_at"] is not None, (kept["claim"] or {}).get("agent_id")
        if isinstance(won, LeftQuestion):  # after the release, and before an could be done
            assert (released, holder, done) == (True, "bert", False)
            assert isinstance(finished, Claimed)
        else:
            assert (finished, done) == (True, True)
            assert (released is True and holder is None) or (released == AN_DID and holder == "an")
            assert won is None or (isinstance(won, Claimed) and won.agent_id == "an")
        seen.add(type(released).__name__)
    assert seen <= {"bool", "Finished"}


async def test_of_two_who_undo_and_do_at_once_nothing_is_lost(questions: Questions, database: Database) -> None:
    left = question()
    await questions.leave(left, OPENED_AT)
    for _ in range(10):
        await questions.done(finish(left.chat_id), OPENED_AT)
        one, two, third = await asyncio.gather(
            questions.undo(undo(left.chat_id), OPENED_AT),
            Questions(database).undo(undo(left.chat_id, "sofie", of="an", any_agent=True), OPENED_AT),
            questions.claim(claim(left.chat_id, "bert"), OPENED_AT),
        )
        assert isinstance(one, tuple)
        assert isinstance(two, tuple)
        assert {one[1], two[1]} == {True, False}, "it was opened once"
        assert third is None or isinstance(third, LeftQuestion)
        assert await claimed(questions) == ["bert" if third else None], "a claim of the time after it stays"
        await questions.unclaim(claim(left.chat_id, "bert"), OPENED_AT)


# ── the archive ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def archived(questions: Questions, days: int, department: str = "algemeen", chat_id: str | None = None) -> str:
    """A question that was done so many days after the others began; its id."""
    left = question(department, chat_id=chat_id)
    await questions.leave(left, OPENED_AT)
    by = finish(left.chat_id).model_copy(update={"departments": [department]})
    assert await questions.done(by, OPENED_AT + timedelta(days=days)) is True
    return left.chat_id


async def test_the_archive_has_what_is_done_the_newest_first(questions: Questions) -> None:
    old, new, other = [await archived(questions, d, n) for d, n in ((1, "algemeen"), (3, "premies"), (2, "wonen"))]
    await questions.leave(question(), OPENED_AT)
    found, more = await questions.archive(ArchiveWanted(["algemeen", "premies"]))
    assert ([q.chat_id for q in found], more) == ([new, old], None)
    assert found[1].done == Finished(agent_id="an", name="An", at=OPENED_AT + timedelta(days=1))
    assert found[1].text == "Waar is mijn premie?"
    assert await questions.archive(ArchiveWanted([])) == ([], None)
    [alone], _ = await questions.archive(ArchiveWanted(["wonen"], number=number_of(other)))
    assert alone.chat_id == other
    assert await questions.archive(ArchiveWanted(["algemeen"], number=number_of(other))) == ([], None)
    since, until = OPENED_AT + timedelta(days=2), OPENED_AT + timedelta(days=3)
    found, _ = await questions.archive(ArchiveWanted(["algemeen", "premies", "wonen"], since=since, until=until))
    assert [q.chat_id for q in found] == [other]
    await questions.undo(undo(old), OPENED_AT)
    assert [q.chat_id for q in (await questions.archive(ArchiveWanted(["algemeen"])))[0]] == []


async def test_pages_of_the_archive_have_each_question_once(questions: Questions) -> None:
    ids = [await archived(questions, day) for day in (1, 2, 2, 2, 2, 3, 4)]  # four at the same moment
    wanted, seen, before = ArchiveWanted(["algemeen"], limit=2), list[str](), None
    for expected in (2, 2, 2, 1):
        found, before = await questions.archive(ArchiveWanted(wanted.departments, limit=2, before=before))
        assert len(found) == expected
        seen += [q.chat_id for q in found]
        if len(seen) == 2:
            await archived(questions, 9)  # done meanwhile: it is on no later page, and moves nothing
    assert before is None
    assert sorted(seen) == sorted(ids)
    assert seen[:2] == [ids[6], ids[5]]


async def test_who_did_it_in_an_earlier_release_is_named_by_their_claim(
    questions: Questions, database: Database
) -> None:
    claimed_by, unknown = question(), question()
    for one in (claimed_by, unknown):
        await questions.leave(one, OPENED_AT)
    await questions.claim(claim(claimed_by.chat_id), OPENED_AT)
    done_then = {"$set": {"done_at": OPENED_AT, "done_by": "an"}}
    await database["questions"].update_many({}, done_then)
    found, _ = await questions.archive(ArchiveWanted(["algemeen"]))
    assert {q.chat_id: q.done.name for q in found} == {claimed_by.chat_id: "An", unknown.chat_id: None}
    again = unknown.model_copy(update={"undone_at": OPENED_AT})
    assert await questions.undo(undo(unknown.chat_id), OPENED_AT) == (again, True)


async def test_the_archive_is_read_by_an_index(questions: Questions, database: Database) -> None:
    indexes = await database["questions"].index_information()
    assert indexes["archive"]["key"] == [("department", 1), ("done_at", -1), ("_id", -1)]
