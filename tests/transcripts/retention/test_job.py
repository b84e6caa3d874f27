"""The job of retention on the real database: what it deletes when, what it never deletes, and what it says."""

from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from services.common.config.departments import Department, Departments, Text
from services.common.config.retention import DepartmentRetention, Retention
from services.common.internal_api.erasures import HoldWanted
from services.common.internal_api.transcripts import QuestionDone, QuestionUndo
from services.common.mongo.leases import Leases
from services.transcripts.access_log.store import AccessLog
from services.transcripts.retention import job as retention_job
from services.transcripts.retention.job import RetentionJob
from tests.transcripts.conftest import OPENED_AT, new_id
from tests.transcripts.retention.conftest import NOW, Archive

NAMES = Text(nl="A", fr="A", de="A", en="A")
RULES = Retention(confirmed=True, conversation=100, files=50, notes=70, questions=90, answered_questions=30)


def job(archive: Archive, general: Retention = RULES, own: DepartmentRetention | None = None) -> RetentionJob:
    both = (
        Department(id="algemeen", names=NAMES),
        Department(id="premies", names=NAMES, retention=own or DepartmentRetention()),
    )
    departments = Departments(default="algemeen", retention=general, departments=both)
    return RetentionJob(
        archive.erasures, Leases(archive.database), departments, lambda: NOW, AccessLog(archive.database, lambda: NOW)
    )


async def test_each_category_goes_when_its_period_has_ended(archive: Archive) -> None:
    ages = {days: await archive.chat(closed_at=NOW - timedelta(days=days), parts=False) for days in (49, 51, 71, 101)}
    for chat in ages.values():
        await archive.file(chat, "w")
        await archive.database["notes"].insert_one({"_id": new_id(), "chat_id": chat, "text": "w"})
    await archive.question(ages[101], at=NOW)
    for _ in range(2):  # the second round finds nothing
        await job(archive).round()
    places = {days: set(await archive.places(chat)) - {"bytes"} for days, chat in ages.items()}
    assert places == {
        49: {"chats", "entries", "past_chats", "notes", "attachments"},
        51: {"chats", "entries", "past_chats", "notes"},
        71: {"chats", "entries", "past_chats"},
        101: {"questions"},  # it has a period of its own
    }
    assert await archive.database["files.chunks"].count_documents({}) == 1
    rows = await archive.erasures.report(OPENED_AT, NOW + timedelta(seconds=1))
    assert {(r.category, r.chats, r.by) for r in rows} == {
        *(("files", 3, "period"), ("notes", 2, "period"), ("conversation", 1, "period"), ("past_chats", 1, "period")),
    }
    assert await archive.erasures.last_run() == NOW


async def test_until_the_operator_confirms_only_left_questions_go(archive: Archive) -> None:
    chat, number = await archive.chat(), new_id()
    await archive.question(number, at=NOW - timedelta(days=91))
    unconfirmed = job(archive, Retention(conversation=100))
    with capture_logs() as logs:
        unconfirmed.announce()
    assert [(one["event"], one["departments"]) for one in logs] == [
        ("retention_not_confirmed", ["algemeen", "premies"])
    ]
    await unconfirmed.round()
    assert await archive.places(number) == {}
    assert {"chats", "entries", "notes", "attachments"} <= set(await archive.places(chat))
    with capture_logs() as logs:
        job(archive).announce()
    assert logs == []


async def test_a_department_is_judged_by_its_own_periods(archive: Archive) -> None:
    closed = NOW - timedelta(days=20)
    general, own = [await archive.chat(closed, d, parts=False) for d in ("algemeen", "premies")]
    former = await archive.chat(NOW - timedelta(days=101), "opgeheven", parts=False)
    await job(archive, own=DepartmentRetention(conversation=10)).round()
    assert set(await archive.store.chats([general, own, former])) == {general}


async def test_open_and_held_chats_stay_however_old_and_the_others_behind_them_go(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention_job, "AT_A_TIME", 2)
    open_ = await archive.chat(closed_at=None, parts=False)
    held = [await archive.chat(OPENED_AT + timedelta(minutes=n), parts=False) for n in range(3)]
    for chat in held:
        until = NOW + timedelta(days=1)
        await archive.erasures.hold(HoldWanted(chat_id=chat, by="griffie", reason="zaak", until=until), NOW)
    old = [await archive.chat(OPENED_AT + timedelta(hours=n), parts=False) for n in range(1, 6)]
    rounds = 1
    while await job(archive).round():
        rounds += 1
    assert rounds == 3
    assert set(await archive.store.chats([open_, *held, *old])) == {open_, *held}


async def test_an_answered_question_goes_before_an_open_one_and_a_held_one_stays(archive: Archive) -> None:
    answered, open_, held = new_id(), new_id(), new_id()
    for number in (answered, open_, held):
        await archive.question(number, at=NOW - timedelta(days=40))
    done = {"$set": {"done_at": NOW - timedelta(days=31)}}
    await archive.database["questions"].update_many({"_id": {"$in": [answered, held]}}, done)
    until = NOW + timedelta(days=1)
    await archive.erasures.hold(HoldWanted(chat_id=held, by="griffie", reason="zaak", until=until), NOW)
    await job(archive).round()
    assert {d["_id"] async for d in archive.database["questions"].find({})} == {open_, held}


async def test_a_question_that_is_opened_again_during_the_round_stays(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, database = new_id(), archive.database
    await archive.question(number, at=NOW - timedelta(days=40))
    done_at = NOW - timedelta(days=31)
    await archive.questions.done(QuestionDone(chat_id=number, agent_id="an", departments=["algemeen"]), done_at)
    real = archive.erasures._record

    async def record(*given: Any) -> None:
        undo = QuestionUndo(chat_id=number, agent_id="an", departments=["algemeen"])
        assert isinstance(await archive.questions.undo(undo, NOW), tuple)
        await real(*given)

    monkeypatch.setattr(archive.erasures, "_record", record)
    await job(archive).round()
    assert [d["done_at"] async for d in database["questions"].find({"_id": number})] == [None]


async def test_counts_and_receipts_go_after_the_period_of_statistics(archive: Archive) -> None:
    chat = await archive.chat(closed_at=NOW - timedelta(days=101), parts=False)
    await job(archive).round()
    assert await archive.erasures.erased([chat]) == {chat}
    later = job(archive, RULES.model_copy(update={"statistics": 10}))
    later._clock = lambda: NOW + timedelta(days=11)
    await later.round()
    assert await archive.erasures.erased([chat]) == set()
    assert await archive.database["deletions"].count_documents({}) == 0


async def test_the_server_deletes_no_question_by_itself_any_more(archive: Archive) -> None:
    indexes = await archive.database["questions"].index_information()
    assert "expireAfterSeconds" not in indexes["expiry"]
