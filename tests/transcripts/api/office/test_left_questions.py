"""The questions that citizens leave, over HTTP and the real database."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo.errors import AutoReconnect

from services.common.clock import utcnow
from services.common.http.tokens import Actor
from services.common.internal_api import transcripts as transcripts_api
from services.common.mongo.client import Database
from services.common.mongo.leases import Leases
from services.transcripts.access_log.store import Access, AccessLog
from services.transcripts.app import create_app
from services.transcripts.attachments.previews import LARGE, SMALL
from services.transcripts.attachments.store import Files
from services.transcripts.log.store import Store
from services.transcripts.outbox.store import Outbox
from services.transcripts.questions.job import UnloggedActs
from services.transcripts.questions.number import number_of
from services.transcripts.questions.store import KEPT_DONE, TAKES_FILES, ArchiveWanted, Questions
from services.transcripts.settings import Settings
from services.transcripts.statistics.store import Statistics
from tests.transcripts.api.client import (
    AN,
    BERT,
    CHAT,
    DONE,
    LEFT,
    LIEN,
    SOFIE,
    Answer,
    ApiClient,
    opened,
    require_few_at_a_time,
)
from tests.transcripts.api.conversations.test_previews import measures, png
from tests.transcripts.attachments.test_judging import PNG_BYTES
from tests.transcripts.conftest import new_id


async def test_a_question_has_no_mark_for_webhooks_where_there_are_none(api: ApiClient, database: Database) -> None:
    assert (await api.ask(transcripts_api.QUESTION_LEAVE, LEFT))[0] == 200
    (kept,) = [found async for found in database["questions"].find()]
    assert "announced" not in kept


async def test_a_question_is_left_read_and_dealt_with(api: ApiClient) -> None:
    receipt = {"number": number_of(LEFT["chat_id"]), "at": LEFT["at"], "answer_by": None}
    assert await api.ask(transcripts_api.QUESTION_LEAVE, LEFT) == (200, receipt)
    assert await api.ask(transcripts_api.QUESTION_LEAVE, {**LEFT, "text": "Iets anders"}) == (200, receipt)
    status, answer = await api.ask(transcripts_api.QUESTIONS, {"departments": ["algemeen"]})
    more: dict[str, Any] = {"claimed": None, **receipt, "source": "chat", "form": None, "files": []}
    more["undone_at"] = None
    assert (status, answer) == (200, {"questions": [{**LEFT, **more}]})
    assert (await api.ask(transcripts_api.QUESTION_DONE, DONE))[0] == 204
    assert (await api.ask(transcripts_api.QUESTION_DONE, DONE))[0] == 204
    assert (await api.ask(transcripts_api.QUESTIONS, {"departments": ["algemeen"]}))[1] == {"questions": []}


async def test_no_question_without_its_chat_and_nothing_of_another_department(api: ApiClient) -> None:
    status, answer = await api.ask(transcripts_api.QUESTION_LEAVE, {**LEFT, "chat_id": new_id()})
    assert (status, answer["code"]) == (404, "no_such_chat")
    await api.ask(transcripts_api.QUESTION_LEAVE, LEFT)
    for wrong in ({"departments": ["wonen"]}, {"chat_id": new_id()}):
        status, answer = await api.ask(transcripts_api.QUESTION_DONE, {**DONE, **wrong})
        assert (status, answer["code"]) == (404, "no_such_question")


OWN = {"chat_id": CHAT, "agent_id": "an", "agent_name": "An", "departments": ["algemeen"], "source": "192.0.2.7"}
COLLEAGUE = {**OWN, "agent_id": "bert", "agent_name": "Bert"}
CHIEF = {**OWN, "agent_id": "sofie", "agent_name": "Sofie", "any_agent": True}
ARCHIVE = {"reader": {"agent_id": "bert", "source": "192.0.2.7"}, "departments": ["algemeen"]}


async def acts(database: Database) -> list[tuple[Any, ...]]:
    """What the access log has, and that nothing waits for it."""
    assert await database["questions"].count_documents({"unlogged": {"$exists": True}}) == 0
    found = await database["access_log"].find({}).sort("_id", 1).to_list(None)
    return [tuple(e.get(n) for n in ("act", "who", "role", "chat_id", "item", "department", "source")) for e in found]


async def test_a_question_is_done_undone_and_found_in_the_archive(api: ApiClient, database: Database) -> None:
    await api.ask(transcripts_api.QUESTION_LEAVE, LEFT)
    await api.ask(transcripts_api.QUESTION_CLAIM, OWN)
    assert (await api.ask(transcripts_api.QUESTION_DONE, OWN))[0] == 204
    status, problem = await api.ask(transcripts_api.QUESTION_DONE, {**COLLEAGUE, "once": True})
    assert (status, problem["code"], problem["done"]["name"]) == (409, "question_done", "An")
    status, page = await api.ask(transcripts_api.QUESTION_ARCHIVE, ARCHIVE)
    [found] = page["questions"]
    assert (status, page["next"], found["text"], found["done"]["name"]) == (200, None, LEFT["text"], "An")
    assert "unlogged" not in found
    status, problem = await api.ask(transcripts_api.QUESTION_UNDO, COLLEAGUE)
    assert (status, problem["code"]) == (403, "not_yours")
    status, problem = await api.ask(transcripts_api.QUESTION_UNDO, {**CHIEF, "of": "bert"})
    assert (status, problem["code"], problem["done"]["agent_id"]) == (409, "question_done", "an")
    status, opened_again = await api.ask(transcripts_api.QUESTION_UNDO, {**OWN, "of": "an"})
    assert (status, opened_again["claimed"]["agent_id"]) == (200, "an")
    assert (await api.ask(transcripts_api.QUESTION_UNDO, OWN))[0] == 200, "a repeat, whose answer was lost"
    assert (await api.ask(transcripts_api.QUESTIONS, {"departments": ["algemeen"]}))[1]["questions"] == [opened_again]
    assert (await api.ask(transcripts_api.QUESTION_ARCHIVE, ARCHIVE))[1] == {"questions": [], "next": None}
    status, problem = await api.ask(transcripts_api.QUESTION_UNDO, {**OWN, "departments": ["premies"]})
    assert (status, problem["code"]) == (404, "no_such_question")
    read = ("question_archive_read", "bert", "agent", None, None, "algemeen", "192.0.2.7")
    assert await acts(database) == [
        ("question_claimed", "an", "agent", CHAT, None, None, "192.0.2.7"),
        ("question_done", "an", "agent", CHAT, None, None, "192.0.2.7"),
        read,
        ("question_undone", "an", "agent", CHAT, None, None, "192.0.2.7"),
        read,
    ]


async def test_a_supervisor_releases_and_undoes_for_a_colleague_on_leave(api: ApiClient, database: Database) -> None:
    await api.ask(transcripts_api.QUESTION_LEAVE, LEFT)
    await api.ask(transcripts_api.QUESTION_CLAIM, OWN)
    status, problem = await api.ask(transcripts_api.QUESTION_UNCLAIM, COLLEAGUE)
    assert (status, problem["code"]) == (403, "not_yours")
    status, problem = await api.ask(transcripts_api.QUESTION_UNCLAIM, {**CHIEF, "of": "bert"})
    assert (status, problem["code"], problem["claimed"]["agent_id"]) == (409, "claim_changed", "an")
    for _ in range(2):  # a repeat is no second act
        assert (await api.ask(transcripts_api.QUESTION_UNCLAIM, {**CHIEF, "of": "an"}))[0] == 204
    await api.ask(transcripts_api.QUESTION_DONE, OWN)
    status, problem = await api.ask(transcripts_api.QUESTION_UNCLAIM, {**CHIEF, "of": "an"})
    assert (status, problem["code"]) == (409, "question_done")
    status, answer = await api.ask(transcripts_api.QUESTION_UNDO, {**CHIEF, "of": "an"})
    assert (status, answer["claimed"]) == (200, None)
    assert (await api.ask(transcripts_api.QUESTION_CLAIM, COLLEAGUE))[0] == 200
    assert (await api.ask(transcripts_api.QUESTION_UNCLAIM, COLLEAGUE))[0] == 204
    assert [entry[:5] for entry in await acts(database)] == [
        ("question_claimed", "an", "agent", CHAT, None),
        ("question_released", "sofie", "supervisor", CHAT, "an"),
        ("question_done", "an", "agent", CHAT, None),
        ("question_undone", "sofie", "supervisor", CHAT, "an"),
        ("question_claimed", "bert", "agent", CHAT, None),
        ("question_released", "bert", "agent", CHAT, None),
    ]


async def test_the_archive_is_searched_by_number_and_day_in_bounds(api: ApiClient, database: Database) -> None:
    await api.ask(transcripts_api.QUESTION_LEAVE, LEFT)
    await api.ask(transcripts_api.QUESTION_DONE, DONE)
    # in Brussels it is the 2nd of December by then
    done_at = datetime(2026, 12, 1, 23, 30, tzinfo=UTC)
    await database["questions"].update_one({"_id": CHAT}, {"$set": {"done_at": done_at}})
    number = number_of(CHAT)

    async def found(**more: Any) -> int:
        status, page = await api.ask(transcripts_api.QUESTION_ARCHIVE, {**ARCHIVE, **more})
        assert status == 200, page
        return len(page["questions"])

    assert await found(number=number) == 1
    assert await found(number=number_of(new_id())) == 0
    assert [await found(since=day) for day in ("2026-12-02", "2026-12-03")] == [1, 0]
    assert [await found(until=day) for day in ("2026-12-01", "2026-12-02")] == [0, 1]
    for wrong in ({"number": number[::-1]}, {"number": "x" * 9}, {"limit": 51}, {"limit": 0}, {"before": "x"}):
        status, problem = await api.ask(transcripts_api.QUESTION_ARCHIVE, {**ARCHIVE, **wrong})
        assert (status, problem["code"]) == (422, "invalid"), wrong
    assert ("question_archive_read", "bert", "agent", None, number, "algemeen", "192.0.2.7") in await acts(database)


async def test_few_read_the_archive_at_a_time(api: ApiClient, monkeypatch: pytest.MonkeyPatch) -> None:
    going = asyncio.Event()
    real = Questions.archive

    async def slowly(self: Questions, wanted: ArchiveWanted) -> Any:
        await going.wait()
        return await real(self, wanted)

    monkeypatch.setattr(Questions, "archive", slowly)
    await require_few_at_a_time(api, transcripts_api.QUESTION_ARCHIVE, ARCHIVE, 8, going)


async def test_an_act_that_the_log_does_not_take_is_not_answered_and_is_logged_later(
    api: ApiClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await api.ask(transcripts_api.QUESTION_LEAVE, LEFT)

    async def away(self: AccessLog, access: Access) -> None:
        raise AutoReconnect("the database is away")

    with monkeypatch.context() as broken:
        broken.setattr(AccessLog, "record", away)
        status, problem = await api.ask(transcripts_api.QUESTION_DONE, OWN)
        assert (status, problem["code"]) == (503, "unavailable")
    assert (await api.ask(transcripts_api.QUESTION_DONE, OWN))[0] == 204, "it is done"
    later = utcnow() + timedelta(minutes=1)
    access_log = AccessLog(database, lambda: later)
    await UnloggedActs(Questions(database), access_log, Leases(database), lambda: later).round()
    assert [entry[:4] for entry in await acts(database)] == [("question_done", "an", "agent", CHAT)]


async def test_a_webhook_and_a_report_know_nothing_of_undoing(database: Database) -> None:
    """They go by when a question was left: it is announced and counted once, however often it is done and undone."""
    questions, statistics = Questions(database, announced=True), Statistics(database)
    outbox = Outbox(database, timedelta(days=3))
    await questions.leave(transcripts_api.LeftQuestion.model_validate(LEFT), utcnow())
    for turn in range(2):
        unannounced, _ = await outbox.unannounced(10)
        _, uncounted = await statistics.uncounted(10)
        assert len(unannounced) == len(uncounted) == (turn == 0)
        for one in uncounted:
            await statistics.count_question(one)
            await outbox.question_announced(one["_id"])
        assert await questions.done(transcripts_api.QuestionDone.model_validate(OWN), utcnow())
        assert isinstance(await questions.undo(transcripts_api.QuestionUndo.model_validate(OWN), utcnow()), tuple)
    assert await database["question_statistics"].count_documents({}) == 1


async def test_what_was_left_is_in_no_log(api: ApiClient, capfd: pytest.CaptureFixture[str]) -> None:
    await api.ask(transcripts_api.QUESTION_LEAVE, LEFT)
    await api.ask(transcripts_api.QUESTION_DONE, DONE)
    said = "".join(capfd.readouterr())
    assert "question_left" in said
    assert not any(LEFT[secret] in said for secret in ("contact", "text", "name"))


ID = new_id()
ASKED = {**LEFT, "chat_id": ID, "source": "button", "request": "a"}
ASKER = Actor(party="asker", id=ID)
CLAIM = {"chat_id": ID, "agent_id": "an", "agent_name": "An", "departments": ["algemeen"]}


async def add(api: ApiClient, content: bytes, actor: Actor = ASKER, question: str = ID) -> Answer:
    headers = api.headers(actor, **{"X-File-Name": "foto.png"})
    async with api.client.post(f"/questions/{question}/attachments", data=content, headers=headers) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_a_question_without_a_chat_is_kept_once(api: ApiClient) -> None:
    first = await api.ask(transcripts_api.QUESTION_ASK, ASKED)
    assert first == (200, {"number": number_of(ID), "at": LEFT["at"], "answer_by": None})
    assert await api.ask(transcripts_api.QUESTION_ASK, ASKED) == first
    status, problem = await api.ask(transcripts_api.QUESTION_ASK, {**ASKED, "text": "Iets anders", "request": "b"})
    assert (status, problem["code"]) == (422, "invalid")
    [listed] = (await api.ask(transcripts_api.QUESTIONS, {"departments": ["algemeen"]}))[1]["questions"]
    assert (listed["text"], listed["source"], "request" in listed) == (LEFT["text"], "button", False)


async def test_its_files_are_for_the_agent_who_deals_with_it(api: ApiClient) -> None:
    await api.ask(transcripts_api.QUESTION_ASK, {**ASKED, "at": utcnow().isoformat()})
    status, answered = await add(api, PNG_BYTES)
    assert (status, answered["name"]) == (201, "foto.png")
    path = f"/questions/{ID}/attachments/{answered['id']}"
    assert [(await api.get(path, actor))[0] for actor in (AN, LIEN, ASKER, SOFIE)] == [403, 404, 404, 200]
    status, listed = await api.ask(transcripts_api.QUESTION_CLAIM, CLAIM)
    assert (status, [f["id"] for f in listed["files"]]) == (200, [answered["id"]])
    status, headers, content = await api.get(path, AN)
    assert (status, content) == (200, PNG_BYTES)
    assert headers["Content-Disposition"].startswith("attachment; ")
    assert (await api.get(path, BERT))[0] == 403
    assert (await api.get(f"/questions/{ID}/attachments/{new_id()}", AN))[0] == 404
    assert (await api.get(f"/chats/{ID}/attachments/{answered['id']}", AN))[0] in (403, 404)


async def test_previews_of_its_files_are_for_who_may_read_them(api: ApiClient, database: Database) -> None:
    await api.ask(transcripts_api.QUESTION_ASK, {**ASKED, "at": utcnow().isoformat()})
    _, answered = await add(api, png(2000, 1000))
    path = f"/questions/{ID}/attachments/{answered['id']}/preview"
    assert [(await api.get(path, actor))[0] for actor in (AN, LIEN, ASKER)] == [403, 404, 404]
    assert await database["access_log"].count_documents({"act": "file_read"}) == 0
    await api.ask(transcripts_api.QUESTION_CLAIM, CLAIM)
    for size, most in (("small", SMALL), ("large", LARGE)):
        status, headers, drawn = await api.get(f"{path}?size={size}", AN)
        assert (status, headers["Content-Type"]) == (200, "image/png")
        assert max(measures(drawn)) == most
    assert (await api.get(path, BERT))[0] == 403
    assert (await api.get(path, SOFIE))[0] == 200
    logged = await database["access_log"].find({"act": "file_read"}).to_list(None)
    assert {(one["who"], one["item"]) for one in logged} == {("an", answered["id"]), ("sofie", answered["id"])}


async def test_files_are_added_to_ones_own_question_alone(api: ApiClient) -> None:
    assert (await add(api, PNG_BYTES))[1]["code"] == "no_such_question"
    await api.ask(transcripts_api.QUESTION_ASK, {**ASKED, "at": utcnow().isoformat()})
    for actor in (Actor(party="asker", id=new_id()), Actor(party="citizen", id=ID), AN):
        assert (await add(api, PNG_BYTES, actor))[1]["code"] == "forbidden"
    status, problem = await add(api, b"MZ" + bytes(200))
    assert (status, problem["code"]) == (415, "type_not_allowed")
    late = {**ASKED, "chat_id": new_id(), "at": (utcnow() - TAKES_FILES * 2).isoformat()}
    await api.ask(transcripts_api.QUESTION_ASK, late)
    status, problem = await add(api, PNG_BYTES, Actor(party="asker", id=late["chat_id"]), late["chat_id"])
    assert (status, problem["code"]) == (409, "question_closed")


async def test_a_question_has_so_many_files(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> None:
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, attachment_count=2))) as api:
        await api.ask(transcripts_api.QUESTION_ASK, {**ASKED, "at": utcnow().isoformat()})
        answers = await asyncio.gather(*(add(api, PNG_BYTES) for _ in range(5)))
        assert sorted(status for status, _ in answers) == [201, 201, 413, 413, 413]
        [listed] = (await api.ask(transcripts_api.QUESTIONS, {"departments": ["algemeen"]}))[1]["questions"]
        assert len(listed["files"]) == 2


async def test_the_files_of_a_question_go_with_it(api: ApiClient, database: Database, files: Files) -> None:
    await api.ask(transcripts_api.QUESTION_ASK, {**ASKED, "at": utcnow().isoformat()})
    answered = (await add(api, PNG_BYTES))[1]
    later = utcnow() + KEPT_DONE * 2
    assert await files.clean(later, timedelta(hours=1)) == 0
    await database["questions"].delete_one({"_id": ID})
    assert await files.clean(utcnow(), timedelta(hours=1)) == 0, "a younger one is not looked up"
    assert await files.clean(later, timedelta(hours=1)) == 1
    assert await files.get(answered["id"]) is None
    assert await database["files.chunks"].count_documents({"files_id": answered["id"]}) == 0
