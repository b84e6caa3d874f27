"""Canned answers on the real database: codes, revisions, rights and limits."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from services.common.internal_api.transcripts import (
    CannedAnswer,
    CannedAnswerChange,
    CannedAnswerRemoval,
    NewCannedAnswer,
    Reader,
)
from services.common.mongo.client import Database
from services.common.mongo.migrations import upgrade
from services.transcripts import canned_answers
from services.transcripts.canned_answers import CannedAnswers, Obstacle, Refused
from services.transcripts.migrations import STEPS
from tests.transcripts.conftest import OPENED_AT, new_id

DEPARTMENTS = ["algemeen", "premies", "wonen"]
LATER = OPENED_AT + timedelta(minutes=5)


def new(code: str = "groet", *departments: str, by: str = "sofie", **more: Any) -> NewCannedAnswer:
    fields = {"title": "Begroeting", "texts": {"nl": "Goeiedag {{citizen}}", "fr": "Bonjour"}, **more}
    who = Reader(agent_id=by, supervisor=True)
    return NewCannedAnswer(
        id=new_id(), by=who, name=by.title(), code=code, departments=list(departments) or ["algemeen"], **fields
    )


def changed(
    one: CannedAnswer, by: str = "sofie", own: tuple[str, ...] = ("algemeen",), **more: Any
) -> CannedAnswerChange:
    fields = {**one.model_dump(exclude={"changed_at", "changed_by"}), **more}
    return CannedAnswerChange(by=Reader(agent_id=by, supervisor=True), name=by.title(), own=list(own), **fields)


def removal(one: CannedAnswer, *own: str) -> CannedAnswerRemoval:
    by = Reader(agent_id="sofie", supervisor=True)
    return CannedAnswerRemoval(id=one.id, by=by, revision=one.revision, own=list(own) or ["algemeen"])


async def added(answers: CannedAnswers, one: NewCannedAnswer) -> CannedAnswer:
    stored = await answers.add(one, OPENED_AT)
    assert isinstance(stored, CannedAnswer)
    return stored


def why(outcome: CannedAnswer | Refused | None) -> Obstacle:
    assert isinstance(outcome, Refused)
    return outcome.why


@pytest.fixture
async def answers(database: Database) -> CannedAnswers:
    return CannedAnswers(database, DEPARTMENTS)


async def test_an_answer_is_read_by_the_agents_of_its_departments_in_the_order_of_codes(answers: CannedAnswers) -> None:
    both = await added(answers, new("uren", "algemeen", "premies"))
    one = await added(answers, new("groet"))
    assert (one.revision, one.changed_by.name, one.changed_at) == (1, "Sofie", OPENED_AT)
    assert await answers.listed(["algemeen"]) == [one, both]
    assert await answers.listed(["premies", "wonen"]) == [both]
    assert await answers.listed(["wonen"]) == await answers.listed([]) == []


async def test_a_department_has_a_code_once_whoever_is_first(answers: CannedAnswers) -> None:
    outcomes = await asyncio.gather(
        *(answers.add(new("groet", "algemeen", d), OPENED_AT) for d in ("premies", "wonen"))
    )
    (taken,) = (o for o in outcomes if isinstance(o, Refused))
    [stored] = await answers.listed(["algemeen"])
    assert taken == Refused(Obstacle.CODE_TAKEN, stored)
    other = await added(answers, new("uren", "algemeen", "premies", "wonen"))
    (free,) = {"premies", "wonen"}.difference(stored.departments)
    await added(answers, new("groet", free))
    taken_by_change = await answers.change(changed(other, own=tuple(DEPARTMENTS), code="groet"), LATER)
    assert why(taken_by_change) is Obstacle.CODE_TAKEN
    assert other in await answers.listed(["algemeen"])


async def test_of_simultaneous_changes_one_is_stored_and_the_others_learn_what_is_there(answers: CannedAnswers) -> None:
    one = await added(answers, new())
    writers = [f"writer-{n}" for n in range(6)]
    outcomes = await asyncio.gather(*(answers.change(changed(one, w, title=w), LATER) for w in writers))
    (stored,) = (o for o in outcomes if isinstance(o, CannedAnswer))
    assert (stored.revision, stored.changed_by.id, stored.changed_at) == (2, stored.title, LATER)
    assert [o for o in outcomes if isinstance(o, Refused)] == [Refused(Obstacle.CHANGED, stored)] * 5
    assert await answers.listed(["algemeen"]) == [stored]
    assert why(await answers.remove(removal(one))) is Obstacle.CHANGED
    assert await answers.remove(removal(stored)) == stored
    assert await answers.listed(["algemeen"]) == []


async def test_a_request_that_arrives_twice_is_done_once(answers: CannedAnswers) -> None:
    first = new()
    one = await added(answers, first)
    assert await answers.add(first, LATER) == one
    change = changed(one, title="Anders")
    stored = await answers.change(change, LATER)
    assert await answers.change(change, LATER) == stored
    assert isinstance(stored, CannedAnswer)
    assert stored.revision == 2
    await answers.remove(removal(stored))
    assert await answers.remove(removal(stored)) is None
    assert why(await answers.change(changed(stored), LATER)) is Obstacle.UNKNOWN


async def test_only_a_supervisor_of_all_its_departments_changes_an_answer(
    answers: CannedAnswers, database: Database
) -> None:
    both = await added(answers, new("uren", "algemeen", "premies"))
    assert why(await answers.change(changed(both, departments=["algemeen"]), LATER)) is Obstacle.NOT_YOURS
    assert why(await answers.remove(removal(both))) is Obstacle.NOT_YOURS
    assert why(await answers.change(changed(both, own=("wonen",)), LATER)) is Obstacle.UNKNOWN
    assert await answers.remove(removal(both, "wonen")) is None
    assert await answers.listed(["premies"]) == [both]
    gone = CannedAnswers(database, ["algemeen"])  # premies does not exist any more
    stored = await gone.change(changed(both, departments=["algemeen"]), LATER)
    assert isinstance(stored, CannedAnswer)
    assert stored.departments == ["algemeen"]


async def test_the_tag_changes_with_each_change_of_ones_own_answers_alone(answers: CannedAnswers) -> None:
    tags = [await answers.tag(["algemeen"])]
    one = await added(answers, new())
    tags.append(await answers.tag(["algemeen"]))
    stored = await answers.change(changed(one, title="Anders"), LATER)
    assert isinstance(stored, CannedAnswer)
    tags.append(await answers.tag(["algemeen"]))
    await added(answers, new("uren", "premies"))
    assert await answers.tag(["algemeen"]) == tags[2]
    await answers.remove(removal(stored))
    assert await answers.tag(["algemeen"]) == tags[0]
    assert len(set(tags)) == 3


async def test_a_department_has_so_many_answers_and_so_much_text(
    answers: CannedAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (canned_answers.MOST, canned_answers.MOST_BYTES) == (500, 1_000_000)
    monkeypatch.setattr(canned_answers, "MOST", 2)
    monkeypatch.setattr(canned_answers, "MOST_BYTES", 100)
    one, _ = await added(answers, new("a")), await added(answers, new("b"))
    assert why(await answers.add(new("c", "premies", "algemeen"), OPENED_AT)) is Obstacle.TOO_MANY
    assert isinstance(await answers.change(changed(one, texts={"fr": "x" * 70}), LATER), CannedAnswer)
    await added(answers, new("d", "premies", texts={"nl": "é" * 50}))
    assert why(await answers.add(new("e", "premies", texts={"nl": "x"}), OPENED_AT)) is Obstacle.TOO_MANY


async def test_the_step_makes_the_index_in_a_database_of_the_release_before(database: Database) -> None:
    await database["canned_answers"].drop()
    before = [step.what for step in STEPS].index("codes of canned answers")
    await database["schema"].update_one({"_id": "schema"}, {"$set": {"version": before}})
    await upgrade(database, STEPS)
    index = (await database["canned_answers"].index_information())["code"]
    assert (index["unique"], [name for name, _ in index["key"]]) == (True, ["departments", "code"])
