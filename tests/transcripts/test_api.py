"""Mirrors services/transcripts/api, attachments and log/reader.py, over HTTP and the real database."""

import asyncio
import contextlib
import hashlib
import io
import json
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote

import aiohttp
import psutil
import pypdf
import pytest
from fastapi import FastAPI
from pymongo.errors import AutoReconnect

from services.common.events.chats import ChatState
from services.common.events.messages import NotePosted
from services.common.events.types import Cause, ChatStatus, Entry, Party
from services.common.http.tokens import Actor, Keys
from services.common.internal_api import transcripts as transcripts_api
from services.common.mongo.client import Database
from services.transcripts.api import context
from services.transcripts.app import create_app
from services.transcripts.attachments import compound, uploads
from services.transcripts.attachments.kinds import ALLOWED
from services.transcripts.attachments.store import DOOMED, FREE, KEPT, UPLOADING, Files
from services.transcripts.attachments.uploads import AT_ALL, OF_ONE_CHAT, RECEIVED_OF_ONE_CHAT
from services.transcripts.log import reader
from services.transcripts.log.sequencing import event_id
from services.transcripts.log.store import Store
from services.transcripts.settings import Settings
from tests.support.http_server import served
from tests.support.servers import PATIENCE
from tests.transcripts.attachments.test_judging import EXE_BYTES, PNG_BYTES
from tests.transcripts.attachments.test_virus_scan import EICAR, no_scanner, scanner
from tests.transcripts.conftest import OPENED_AT, SECRET, entry, new_id, opened_event, seal_entry, until
from tests.transcripts.made import PNG, bombs

KEYS = Keys(SECRET)
CHAT = new_id()
CITIZEN = Actor(party="citizen", id=CHAT)
AN = Actor(party="agent", id="an", departments=["algemeen"])
BERT = Actor(party="agent", id="bert", departments=["algemeen"])
SOFIE = Actor(party="agent", id="sofie", supervisor=True, departments=["algemeen"])
LIEN = Actor(party="agent", id="lien", supervisor=True, departments=["premies"])
LEFT: dict[str, Any] = {
    "chat_id": CHAT,
    "department": "algemeen",
    "locale": "fr",
    "name": "An Peeters",
    "contact": "02 123 45 67",
    "text": "Waar is mijn premie?",
    "at": "2026-11-22T15:04:05.678000Z",
}
DONE = {"chat_id": CHAT, "agent_id": "bert", "departments": ["algemeen", "premies"]}
Answer = tuple[int, dict[str, Any]]


@dataclass
class Door:
    """The service, asked as a gateway asks it."""

    client: aiohttp.ClientSession

    def headers(self, actor: Actor | None, **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {KEYS.service_token('gateway', actor)}", **more}

    async def upload(self, content: Any, name: str = "foto.png", actor: Actor = CITIZEN, chat: str = CHAT) -> Answer:
        headers = self.headers(actor, **{"X-File-Name": quote(name)})
        async with self.client.post(f"/chats/{chat}/attachments", data=content, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str, actor: Actor | None = CITIZEN) -> tuple[int, Any, bytes]:
        async with self.client.get(path, headers=self.headers(actor)) as answer:
            return answer.status, answer.headers, await answer.read()

    async def ask(self, path: str, body: dict[str, Any]) -> Answer:
        async with self.client.post(path, json=body, headers=self.headers(None)) as answer:
            return answer.status, await answer.json(content_type=None)


@contextlib.asynccontextmanager
async def opened(app: FastAPI) -> AsyncIterator[Door]:
    """The running service, ready: what is still connecting when it ends could not be closed."""
    async with served(app) as client:
        async with asyncio.timeout(PATIENCE):
            while True:
                async with client.get("/readyz") as answer:
                    if (await answer.json())["status"] == "ok":
                        break
                await asyncio.sleep(0.05)
        yield Door(client)


@pytest.fixture
async def door(make_settings: Callable[..., Settings], store: Store, vhost_url: str) -> AsyncIterator[Door]:
    await fill(store)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, upload_idle=120.0))) as made:
        yield made


async def fill(store: Store) -> None:
    await store.open_chats([opened_event(CHAT)])
    await store.note_states([(CHAT, 2, "an")])
    log = [
        entry(CHAT, 1, Party.SYSTEM, "Welkom", event=Cause.OPENED),
        entry(CHAT, 2),
        entry(CHAT, 3, Party.AGENT, "Ja?"),
    ]
    for one in log:
        await store.insert([one])


async def counted_files(database: Database) -> int:
    """How many files count in the quota of the chat."""
    chat = await database["chats"].find_one({"_id": CHAT})
    assert chat is not None
    return int(chat["files"])


async def state_of(files: Files, id_: str) -> str | None:
    file = await files.get(id_)
    return file.state if file else None


class Looks:
    """How often the service has looked whether a log has an entry that was heard of."""

    number = 0


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch) -> Looks:
    """Counts them. The service looks for as long as a test is patient."""
    made, real = Looks(), Store.grown

    async def grown(self: Store, after: Mapping[str, int]) -> dict[str, int]:
        made.number += 1
        return await real(self, after)

    monkeypatch.setattr(Store, "grown", grown)
    monkeypatch.setattr(reader, "PATIENCE", PATIENCE)
    return made


async def seal(store: Store, at: datetime) -> None:
    end = seal_entry(CHAT, 4).model_copy(update={"at": at})
    await store.insert([end])
    await store.close_chats([end])


# ── history and tails ────────────────────────────────────────────────────────────────────────────────────────────────


async def test_history_is_in_the_order_of_seq_after_what_the_asker_has(door: Door, store: Store) -> None:
    status, answer = await door.ask(
        transcripts_api.HISTORY, {"chats": [{"chat_id": CHAT, "after": 1}, {"chat_id": new_id()}]}
    )
    assert status == 200
    (chat,) = transcripts_api.History.model_validate(answer).chats
    assert ([e.seq for e in chat.entries], chat.last_seq, chat.sealed, chat.notes) == ([2, 3], 3, False, [])
    await seal(store, OPENED_AT)
    _, answer = await door.ask(transcripts_api.HISTORY, {"chats": [{"chat_id": CHAT, "after": 4}]})
    (chat,) = transcripts_api.History.model_validate(answer).chats
    assert (chat.entries, chat.last_seq, chat.sealed, chat.closed_at) == ([], 4, True, OPENED_AT)


async def test_history_waits_for_what_the_asker_has_heard_of(
    door: Door, store: Store, looks: Looks, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {"chats": [{"chat_id": CHAT, "after": 3, "at_least": 4}]}
    asking = asyncio.create_task(door.ask(transcripts_api.HISTORY, wanted))
    await until(lambda: looks.number > 1 or asking.done(), "a second look")
    assert not asking.done()
    await store.insert([entry(CHAT, 4)])
    _, answer = await asking
    assert [e["seq"] for e in answer["chats"][0]["entries"]] == [4]
    monkeypatch.setattr(reader, "PATIENCE", 0.1)
    _, answer = await door.ask(transcripts_api.HISTORY, {"chats": [{"chat_id": CHAT, "after": 4, "at_least": 9}]})
    assert answer["chats"][0]["last_seq"] == 4


async def test_a_page_of_history_is_bounded(door: Door, store: Store) -> None:
    await store.insert([entry(CHAT, n) for n in range(4, 520)], in_order=True)
    _, answer = await door.ask(transcripts_api.HISTORY, {"chats": [{"chat_id": CHAT}]})
    assert [e["seq"] for e in answer["chats"][0]["entries"]] == list(range(1, transcripts_api.PAGE + 1))
    assert answer["chats"][0]["last_seq"] == 519


async def test_notes_only_when_asked_and_never_in_a_transcript(door: Door, store: Store) -> None:
    secret = NotePosted(chat_id=CHAT, id=new_id(), agent_id="an", agent_name="An", text="geheime notitie")
    await store.add_note(secret, OPENED_AT)
    _, answer = await door.ask(transcripts_api.HISTORY, {"chats": [{"chat_id": CHAT}]})
    assert answer["chats"][0]["notes"] == []
    _, answer = await door.ask(transcripts_api.HISTORY, {"chats": [{"chat_id": CHAT}], "notes": True})
    assert [n["text"] for n in answer["chats"][0]["notes"]] == ["geheime notitie"]
    for format_ in ("txt", "html", "json"):
        _, _, content = await door.get(f"/chats/{CHAT}/transcript?format={format_}")
        assert b"geheime" not in content


async def test_tails(door: Door) -> None:
    status, answer = await door.ask(transcripts_api.TAILS, {"chat_ids": [CHAT, new_id()]})
    assert (status, answer) == (200, {"tails": {CHAT: 3}}), "as a former gateway asks"
    unknown = new_id()
    for has, told in ((1, {CHAT: 2}), (3, {}), (9, {})):
        body = {"chat_ids": [CHAT, unknown], "after": {CHAT: has, unknown: 0}}
        assert await door.ask(transcripts_api.TAILS, body) == (200, {"tails": told})


async def test_only_services_may_ask(door: Door) -> None:
    asked: list[tuple[str, dict[str, Any]]] = [
        (transcripts_api.HISTORY, {"chats": []}),
        (transcripts_api.TAILS, {"chat_ids": []}),
        (transcripts_api.QUESTION_LEAVE, LEFT),
        (transcripts_api.QUESTIONS, {"departments": []}),
        (transcripts_api.QUESTION_DONE, DONE),
    ]
    for path, body in asked:
        async with door.client.post(path, json=body) as answer:
            assert answer.status == 401
    for path in (f"/chats/{CHAT}/transcript", f"/chats/{CHAT}/attachments/x"):
        bad = {"Authorization": f"Bearer {KEYS.chat_token(CHAT)}"}
        async with door.client.get(path, headers=bad) as answer:
            assert (answer.status, (await answer.json(content_type=None))["code"]) == (401, "unauthenticated")


# ── questions that were left ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_question_is_left_read_and_dealt_with(door: Door) -> None:
    assert (await door.ask(transcripts_api.QUESTION_LEAVE, LEFT))[0] == 204
    assert (await door.ask(transcripts_api.QUESTION_LEAVE, {**LEFT, "text": "Iets anders"}))[0] == 204
    status, answer = await door.ask(transcripts_api.QUESTIONS, {"departments": ["algemeen"]})
    assert (status, answer) == (200, {"questions": [{**LEFT, "claimed": None}]})
    assert (await door.ask(transcripts_api.QUESTION_DONE, DONE))[0] == 204
    assert (await door.ask(transcripts_api.QUESTION_DONE, DONE))[0] == 204
    assert (await door.ask(transcripts_api.QUESTIONS, {"departments": ["algemeen"]}))[1] == {"questions": []}


async def test_no_question_without_its_chat_and_nothing_of_another_department(door: Door) -> None:
    status, answer = await door.ask(transcripts_api.QUESTION_LEAVE, {**LEFT, "chat_id": new_id()})
    assert (status, answer["code"]) == (404, "no_such_chat")
    await door.ask(transcripts_api.QUESTION_LEAVE, LEFT)
    for wrong in ({"departments": ["wonen"]}, {"chat_id": new_id()}):
        status, answer = await door.ask(transcripts_api.QUESTION_DONE, {**DONE, **wrong})
        assert (status, answer["code"]) == (404, "no_such_question")


async def test_what_was_left_is_in_no_log(door: Door, capfd: pytest.CaptureFixture[str]) -> None:
    await door.ask(transcripts_api.QUESTION_LEAVE, LEFT)
    await door.ask(transcripts_api.QUESTION_DONE, DONE)
    said = "".join(capfd.readouterr())
    assert "question_left" in said
    assert not any(LEFT[secret] in said for secret in ("contact", "text", "name"))


# ── attachments ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_upload_comes_back_byte_for_byte(door: Door, database: Database, files: Files) -> None:
    content = PNG_BYTES + bytes(range(256)) * 4000
    status, told = await door.upload(content, "C:\\vakantie\u202e foto.exe")
    assert status == 201
    assert told == {
        "id": told["id"],
        "name": "vakantie foto.exe.png" if "vakantie" in told["name"] else "foto.exe.png",
        "size": len(content),
        "content_type": "image/png",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    status, headers, got = await door.get(f"/chats/{CHAT}/attachments/{told['id']}")
    assert (status, got) == (200, content)
    assert headers["Content-Type"] == "image/png"
    assert headers["Content-Disposition"].startswith("attachment; ")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    stored = await files.get(told["id"])
    assert stored is not None
    assert (stored.state, stored.uploader, stored.chat_id) == (FREE, "citizen", CHAT)
    assert await counted_files(database) == 1


async def test_what_was_not_posted_is_for_its_uploader_alone(door: Door, files: Files) -> None:
    _, told = await door.upload(PNG_BYTES)
    path = f"/chats/{CHAT}/attachments/{told['id']}"
    assert [(await door.get(path, who))[0] for who in (CITIZEN, AN, BERT)] == [200, 404, 403]
    assert await files.keep(told["id"], CHAT, "citizen") is not None
    assert await state_of(files, told["id"]) == KEPT
    assert [(await door.get(path, who))[0] for who in (CITIZEN, AN, BERT)] == [200, 200, 403]


async def test_the_file_of_another_chat_is_not_there(door: Door, store: Store) -> None:
    _, told = await door.upload(PNG_BYTES)
    other = new_id()
    await store.open_chats([opened_event(other)])
    status, _, body = await door.get(f"/chats/{other}/attachments/{told['id']}", Actor(party="citizen", id=other))
    assert (status, json.loads(body)["code"]) == (404, "unknown_attachment")
    status, _, body = await door.get(f"/chats/{other}/attachments/{told['id']}")
    assert (status, json.loads(body)["code"]) == (403, "forbidden")


async def test_an_executable_is_refused_under_any_name(door: Door, database: Database) -> None:
    for name in ("foto.png", "brief.pdf", "x.txt"):
        assert (await door.upload(EXE_BYTES, name))[1]["code"] == "type_not_allowed"
    assert await database["attachments"].count_documents({}) == 0


async def test_ten_mebibytes_and_not_one_byte_more(door: Door) -> None:
    limit = 10 * 1024 * 1024
    content = PNG_BYTES + bytes(limit - len(PNG_BYTES))
    assert (await door.upload(io.BytesIO(content)))[0] == 201

    async def chunked() -> AsyncIterator[bytes]:
        yield content
        yield b"x"

    status, told = await door.upload(chunked())
    assert (status, told["code"]) == (413, "too_large")
    assert (await door.upload(io.BytesIO(content + b"x")))[1]["code"] == "too_large"


async def test_a_chat_has_room_for_so_many_files_and_bytes(
    make_settings: Callable[..., Settings], store: Store, database: Database, vhost_url: str
) -> None:
    await fill(store)
    app = create_app(make_settings(rabbitmq_url=vhost_url, attachment_count=4, attachment_total=1_000))
    async with opened(app) as door:
        answers = await asyncio.gather(*(door.upload(PNG_BYTES) for _ in range(7)))
        assert sorted(status for status, _ in answers) == [201] * 4 + [413] * 3
        await database["chats"].update_one({"_id": CHAT}, {"$set": {"files": 0, "bytes": 1_000 - len(PNG_BYTES) + 1}})
        assert (await door.upload(PNG_BYTES))[1]["code"] == "too_large"
        assert await database["attachments"].count_documents({"state": FREE}) == 4


async def test_nothing_is_added_to_a_closed_chat_nor_by_strangers(door: Door, store: Store) -> None:
    assert (await door.upload(PNG_BYTES, actor=BERT))[1]["code"] == "forbidden"
    assert (await door.upload(PNG_BYTES, chat=new_id()))[1]["code"] == "forbidden"
    assert (await door.upload(PNG_BYTES, actor=AN))[0] == 201
    await seal(store, datetime.now(UTC))
    status, told = await door.upload(PNG_BYTES)
    assert (status, told["code"]) == (409, "chat_closed")


async def test_a_chat_that_ends_during_an_upload_gets_no_file(
    door: Door, store: Store, files: Files, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, real = asyncio.Event(), Files.within_quota

    async def within_quota(self: Files, chat_id: str, count: int, total: int, size: int) -> bool:
        """The last look at the chat before the body is read."""
        answer = await real(self, chat_id, count, total, size)
        looked.set()
        return answer

    async def slowly() -> AsyncIterator[bytes]:
        yield PNG_BYTES
        await looked.wait()
        await seal(store, datetime.now(UTC))
        yield bytes(10)

    monkeypatch.setattr(Files, "within_quota", within_quota)
    status, told = await door.upload(slowly())
    assert (status, told["code"]) == (409, "chat_closed")
    assert await files.clean(datetime.now(UTC), timedelta(hours=24)) == 1
    assert await database["attachments"].count_documents({}) == 0
    assert await database["files.chunks"].count_documents({}) == 0


async def test_the_document_is_there_before_any_byte_and_others_wait_their_turn(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, putting, real = asyncio.Event(), list[str](), Files.put

    async def put(self: Files, id_: str, source: BinaryIO) -> None:
        found = await self.get(id_)
        assert found is not None
        assert found.state == UPLOADING
        putting.append(id_)
        await gate.wait()
        await real(self, id_, source)

    monkeypatch.setattr(Files, "put", put)
    uploads = [asyncio.create_task(door.upload(PNG_BYTES)) for _ in range(4)]
    await until(lambda: len(putting) == OF_ONE_CHAT, "two of them")
    gate.set()
    assert [status for status, _ in await asyncio.gather(*uploads)] == [201] * 4


async def test_a_refusal_says_why_and_what_is_allowed(door: Door, database: Database) -> None:
    old = compound.MAGIC + bytes(1_016) + "WordDocument".encode("utf-16-le").ljust(64, b"\0") + b"\x1a\0" + bytes(62)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    for content, reason in ((b"", "empty"), (old, "old_office"), (heic, "heic"), (EXE_BYTES, "not_allowed")):
        status, told = await door.upload(content, "foto.png")
        assert (status, told["code"], told["reason"]) == (415, "type_not_allowed", reason)
        assert told["allowed"] == list(ALLOWED)
        assert "Accepted are PDF" in told["detail"]
    assert await database["attachments"].count_documents({}) == 0


async def test_what_is_too_large_says_the_limits(door: Door) -> None:
    status, told = await door.upload(io.BytesIO(bytes(10 * 1024 * 1024 + 1)))
    limits = {"limit_bytes": 10 * 1024 * 1024, "limit_files": 20, "limit_total_bytes": 50 * 1024 * 1024}
    assert (status, told["code"], {k: told[k] for k in limits}) == (413, "too_large", limits)


async def test_a_picture_is_stored_without_its_metadata(door: Door) -> None:
    secret = b"GPS 51.05 3.72"
    chunk = struct.pack(">L", len(secret)) + b"tEXt" + secret + struct.pack(">L", zlib.crc32(b"tEXt" + secret))
    picture = PNG[:33] + chunk + PNG[33:]
    status, told = await door.upload(picture)
    assert (status, told["size"], told["sha256"]) == (201, len(PNG), hashlib.sha256(PNG).hexdigest())
    _, headers, got = await door.get(f"/chats/{CHAT}/attachments/{told['id']}")
    assert (got, headers["Content-Length"]) == (PNG, str(len(PNG)))


async def test_uploads_that_are_slow_keep_nobody_from_anything(door: Door, store: Store) -> None:
    """As many as there are places, each of which has sent one byte: another upload is taken meanwhile."""
    chats = [new_id() for _ in range(AT_ALL // OF_ONE_CHAT)]
    await store.open_chats([opened_event(chat) for chat in chats])
    begun, released = asyncio.Semaphore(0), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield PNG_BYTES[:1]
        begun.release()
        await released.wait()
        yield PNG_BYTES[1:]

    slow = [
        asyncio.create_task(door.upload(slowly(), actor=Actor(party="citizen", id=chat), chat=chat))
        for chat in chats
        for _ in range(OF_ONE_CHAT)
    ]
    for _ in slow:
        await begun.acquire()
    assert (await door.upload(PNG_BYTES))[0] == 201
    assert not any(task.done() for task in slow)
    released.set()
    assert {status for status, _ in await asyncio.gather(*slow)} == {201}


async def test_an_upload_that_trickles_is_ended(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        yield PNG_BYTES
        while True:
            yield b"x"
            await asyncio.sleep(0.02)

    await fill(store)
    settings = make_settings(rabbitmq_url=vhost_url, upload_idle=0.5, upload_rate=1_000.0)
    async with opened(create_app(settings)) as door:
        status, told = await door.upload(trickle())
        assert (status, told["code"]) == (408, "too_slow")


async def test_an_upload_has_a_time_in_all(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> None:
    async def steady() -> AsyncIterator[bytes]:
        while True:
            yield bytes(2_000)
            await asyncio.sleep(0.05)

    await fill(store)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, upload_time=0.5))) as door:
        status, told = await door.upload(steady())
        assert (status, told["code"]) == (408, "too_slow")


async def test_more_bodies_than_a_chat_may_send_at_a_time_are_refused_at_once(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> None:
    released = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        yield PNG_BYTES
        await released.wait()

    await fill(store)
    app = create_app(make_settings(rabbitmq_url=vhost_url, attachment_count=1_000, upload_idle=120.0))
    async with opened(app) as door:
        uploads = [asyncio.create_task(door.upload(waiting())) for _ in range(RECEIVED_OF_ONE_CHAT + 1)]
        async with asyncio.timeout(PATIENCE):
            done, held = await asyncio.wait(uploads, return_when=asyncio.FIRST_COMPLETED)
        assert [(status, told["code"]) for status, told in (one.result() for one in done)] == [(429, "rate_limited")]
        released.set()
        assert {status for status, _ in await asyncio.gather(*held)} == {201}
        assert (await door.upload(PNG_BYTES))[0] == 201


async def test_a_file_that_waits_too_long_for_its_turn_is_refused(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    gate, putting, real = asyncio.Event(), list[str](), Files.put

    async def put(self: Files, id_: str, source: BinaryIO) -> None:
        putting.append(id_)
        await gate.wait()
        await real(self, id_, source)

    monkeypatch.setattr(Files, "put", put)
    held = [asyncio.create_task(door.upload(PNG_BYTES)) for _ in range(OF_ONE_CHAT)]
    await until(lambda: len(putting) == OF_ONE_CHAT, "two of them")
    monkeypatch.setattr(uploads, "PATIENCE", 0.1)
    status, told = await door.upload(PNG_BYTES)
    assert len(putting) == OF_ONE_CHAT
    gate.set()
    assert (status, told["code"]) == (429, "rate_limited")
    assert [status for status, _ in await asyncio.gather(*held)] == [201] * OF_ONE_CHAT


async def test_a_bomb_is_refused_and_the_next_file_is_taken(door: Door) -> None:
    for bomb in (await asyncio.to_thread(bombs)).values():
        status, told = await door.upload(io.BytesIO(bomb), "brief.docx")
        assert (status, told["code"]) == (415, "type_not_allowed")
    assert (await door.upload(PNG_BYTES))[0] == 201


async def test_what_documents_may_hold_is_a_setting(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> None:
    await fill(store)
    scripted = b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n%%EOF\n"
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url))) as door:
        status, told = await door.upload(scripted, "brief.pdf")
        assert (status, told["reason"]) == (415, "active_content")
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, attachment_refuses="macros,programs"))) as door:
        assert (await door.upload(scripted, "brief.pdf"))[0] == 201
    with pytest.raises(ValueError, match="attachment_refuses"):
        make_settings(attachment_refuses="macros,everything")


async def test_an_upload_that_stands_still_is_ended(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield PNG_BYTES
        await asyncio.Event().wait()

    await fill(store)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, upload_idle=0.2))) as door:
        status, told = await door.upload(stalling())
        assert (status, told["code"]) == (408, "too_slow")


async def test_an_infected_file_is_refused_and_without_a_verdict_none_is_taken(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> None:
    await fill(store)
    settings = {"rabbitmq_url": vhost_url, "clamd_timeout": PATIENCE}
    async with scanner() as url, opened(create_app(make_settings(**settings, clamd_url=url))) as door:
        assert (await door.upload(EICAR, "test.txt"))[1]["code"] == "infected"
        assert (await door.upload(PNG_BYTES))[0] == 201
    with no_scanner() as url:
        async with opened(create_app(make_settings(**settings, clamd_url=url))) as door:
            assert (await door.upload(PNG_BYTES))[0] == 503


async def test_a_file_is_not_refused_because_no_process_can_judge_it(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/bin/false")
        status, told = await door.upload(PNG_BYTES)
        assert (status, told["code"]) == (503, "unavailable")
    assert (await door.upload(PNG_BYTES))[0] == 201


async def test_the_cleaner_deletes_what_nobody_posted_and_nothing_else(
    door: Door, files: Files, database: Database
) -> None:
    kept, free, fresh = [(await door.upload(PNG_BYTES))[1]["id"] for _ in range(3)]
    assert await files.keep(kept, CHAT, "citizen")
    now, life = datetime.now(UTC), timedelta(hours=24)
    long_ago = {"$set": {"changed_at": now - timedelta(days=9)}}
    await database["attachments"].update_many({"_id": {"$in": [kept, free]}}, long_ago)
    assert await files.doom(kept, FREE, now) is False
    assert await files.clean(now, life) == 1
    assert await files.keep(free, CHAT, "citizen") is None
    assert [(await files.get(i)) is None for i in (kept, free, fresh)] == [False, True, False]
    assert await database["files.files"].count_documents({}) == 2
    assert await counted_files(database) == 2
    assert await files.doom(fresh, FREE, now)
    assert await files.keep(fresh, CHAT, "citizen") is None
    assert await state_of(files, fresh) == DOOMED


# ── transcripts ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_conversation_in_all_formats(door: Door, store: Store) -> None:
    await seal(store, datetime.now(UTC).replace(microsecond=0))
    for format_, kind in (
        ("txt", "text/plain; charset=utf-8"),
        ("html", "text/html; charset=utf-8"),
        ("pdf", "application/pdf"),
        ("json", "application/json"),
    ):
        status, headers, content = await door.get(f"/chats/{CHAT}/transcript?format={format_}")
        assert (status, headers["Content-Type"]) == (200, kind)
        assert f'filename="chat-2026-11-22-{CHAT[:8]}.{format_}"' in headers["Content-Disposition"]
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"
        text = content.decode() if format_ != "pdf" else pypdf.PdfReader(io.BytesIO(content)).pages[0].extract_text()
        assert "Ja?" in text
        assert "Welkom" in text
    _, _, content = await door.get(f"/chats/{CHAT}/transcript?format=json")
    assert [m["seq"] for m in json.loads(content)["messages"]] == [1, 2, 3, 4]
    assert json.loads(content)["closed_at"] is not None


async def test_a_conversation_that_is_too_long_for_a_pdf_is_there_in_the_other_formats(
    door: Door, store: Store
) -> None:
    await store.insert([entry(CHAT, 4 + n, text="\n" * 4_000, id=f"long-{n}") for n in range(6)], in_order=True)
    status, _, content = await door.get(f"/chats/{CHAT}/transcript?format=pdf")
    assert (status, json.loads(content)["code"]) == (422, "too_long")
    for format_ in ("txt", "html", "json"):
        status, _, content = await door.get(f"/chats/{CHAT}/transcript?format={format_}")
        assert (status, len(content) > 24_000) == (200, True)


async def test_a_long_log_is_streamed_whole_and_unread_downloads_hold_little(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context, "DOWNLOAD_PATIENCE", 0.1)
    await fill(store)
    texts = ["😀" * 4_000] * 400
    for n in range(0, 400, 100):
        some = [entry(CHAT, 4 + n + i, text=t, id=f"long-{n + i}") for i, t in enumerate(texts[n : n + 100])]
        await store.insert(some, in_order=True)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url))) as door:
        path, own = f"/chats/{CHAT}/transcript?format=json", psutil.Process()
        unread = [await door.client.get(path, headers=door.headers(CITIZEN)) for _ in range(2)]
        before = own.memory_info().rss
        status, headers, content = await door.get(path)
        assert (status, json.loads(content)["code"]) == (429, "rate_limited")
        assert int(headers["Retry-After"]) > 0
        assert own.memory_info().rss - before < 20_000_000
        for answer in unread:
            assert [m.get("text") for m in json.loads(await answer.read())["messages"]][3:] == texts
        async with asyncio.timeout(PATIENCE):
            while (status := (await door.get(f"/chats/{CHAT}/transcript?format=txt"))[0]) == 429:
                pass  # a place is given back a moment after its download is read
        assert status == 200


async def test_a_log_that_cannot_be_read_to_its_end_is_no_whole_download(
    door: Door, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.insert([entry(CHAT, 4 + n, text="😀" * 4_000, id=f"long-{n}") for n in range(80)], in_order=True)
    real = Store.entries

    async def away(self: Store, chat_id: str, after: int = 0, limit: int = 0) -> list[Entry]:
        if after > 30:
            raise AutoReconnect("away")
        return await real(self, chat_id, after, limit)

    monkeypatch.setattr(Store, "entries", away)
    for format_ in ("json", "txt", "html"):
        with pytest.raises(aiohttp.ClientPayloadError):
            await door.get(f"/chats/{CHAT}/transcript?format={format_}")


async def test_a_download_waits_for_what_its_asker_has_seen(door: Door, store: Store, looks: Looks) -> None:
    asking = asyncio.create_task(door.get(f"/chats/{CHAT}/transcript?format=json&at_least=4"))
    await until(lambda: looks.number > 1 or asking.done(), "a second look")
    await store.insert([entry(CHAT, 4, text="net op tijd")])
    assert "net op tijd" in (await asking)[2].decode()


@pytest.mark.parametrize(
    ("path", "actor", "status", "code"),
    [
        (f"/chats/{CHAT}/transcript?format=docx", CITIZEN, 422, "invalid"),
        (f"/chats/{CHAT}/transcript", BERT, 403, "forbidden"),
        (f"/chats/{new_id()}/transcript", CITIZEN, 403, "forbidden"),
        (f"/chats/{new_id()}/transcript", AN, 404, "no_such_chat"),
        (f"/chats/{CHAT}/transcript", None, 401, "unauthenticated"),
    ],
    ids=["format", "not-his", "foreign-chat", "no-chat", "nobody"],
)
async def test_refusals(door: Door, path: str, actor: Actor | None, status: int, code: str) -> None:
    got, headers, body = await door.get(path, actor)
    assert (got, json.loads(body)["code"]) == (status, code)
    assert headers["Content-Type"] == "application/problem+json"


async def test_the_access_of_the_citizen_ends_before_that_of_the_agent(door: Door, store: Store) -> None:
    await seal(store, datetime.now(UTC) - timedelta(hours=49))
    status, _, body = await door.get(f"/chats/{CHAT}/transcript")
    assert (status, json.loads(body)["code"]) == (401, "unauthenticated")
    assert (await door.get(f"/chats/{CHAT}/transcript", AN))[0] == 200


async def test_that_of_the_agent_ends_and_that_of_the_supervisor_does_not(door: Door, store: Store) -> None:
    await seal(store, datetime.now(UTC) - timedelta(days=31))
    assert (await door.get(f"/chats/{CHAT}/transcript", AN))[0] == 403
    assert (await door.get(f"/chats/{CHAT}/transcript", SOFIE))[0] == 200


def state(v: int, cause: Cause, turn: int, agent: str | None, former: str | None = None) -> ChatState:
    status = ChatStatus.ASSIGNED if agent else ChatStatus.WAITING
    return ChatState(
        chat_id=CHAT,
        v=v,
        state=status,
        turn=turn,
        department="algemeen",
        cause=cause,
        agent_id=agent,
        former_agent_id=former,
        at=OPENED_AT,
    )


async def passed_on(store: Store, left_at: datetime) -> None:
    """`an` had the chat up to entry 4, which says so; then `bert` has it, and says something."""
    await store.note_states([(CHAT, 5, "bert")])
    await store.note_participations(
        [state(4, Cause.TRANSFERRED, 2, None, "an"), state(5, Cause.ASSIGNED, 2, "bert", "an")]
    )
    left = entry(CHAT, 4, Party.SYSTEM, "Doorgegeven", event=Cause.TRANSFERRED)
    id_ = event_id(CHAT, Cause.TRANSFERRED, 2)
    await store.insert([left.model_copy(update={"id": id_, "at": left_at})])
    await store.insert([entry(CHAT, 5, Party.AGENT, "wat daarna werd gezegd")])


async def test_who_passed_a_chat_on_reads_it_up_to_then(door: Door, store: Store, files: Files) -> None:
    """Entries, files and notes; and adds nothing."""
    _, before = await door.upload(PNG_BYTES, actor=AN)
    _, after = await door.upload(PNG_BYTES, actor=CITIZEN)
    left_at = datetime.now(UTC)
    await passed_on(store, left_at)
    for n, (file, uploader) in enumerate(((before, "an"), (after, "citizen"))):
        kept = await files.keep(file["id"], CHAT, uploader)
        seq = 6 + n
        await store.insert([entry(CHAT, seq, text=None).model_copy(update={"attachment": kept})])
    for n, minutes in ((1, -1), (2, 1)):
        note = NotePosted(chat_id=CHAT, id=new_id(), agent_id="bert", agent_name="Bert", text=f"nota {n}")
        await store.add_note(note, left_at + timedelta(minutes=minutes))
    _, _, body = await door.get(f"/chats/{CHAT}/transcript?format=json", AN)
    assert [m["seq"] for m in json.loads(body)["messages"]] == [1, 2, 3, 4]
    for format_ in ("txt", "html"):
        assert "wat daarna" not in (await door.get(f"/chats/{CHAT}/transcript?format={format_}", AN))[2].decode()
    assert [
        m["seq"] for m in json.loads((await door.get(f"/chats/{CHAT}/transcript?format=json", BERT))[2])["messages"]
    ][-1] == 7
    assert (await door.get(f"/chats/{CHAT}/attachments/{after['id']}", AN))[0] == 404
    assert (await door.get(f"/chats/{CHAT}/attachments/{after['id']}", BERT))[0] == 200
    texts = [
        [n["text"] for n in json.loads((await door.get(f"/chats/{CHAT}/notes", who))[2])["notes"]] for who in (AN, BERT)
    ]
    assert texts == [["nota 1"], ["nota 1", "nota 2"]]
    assert (await door.upload(PNG_BYTES, actor=AN))[1]["code"] == "forbidden"
    assert (await door.upload(PNG_BYTES, actor=BERT))[0] == 201


async def test_who_passed_a_chat_on_long_ago_reads_nothing(door: Door, store: Store) -> None:
    await passed_on(store, datetime.now(UTC) - timedelta(days=31))
    for path in ("transcript", "notes"):
        assert (await door.get(f"/chats/{CHAT}/{path}", AN))[0] == 403


async def test_without_the_entry_an_agent_who_left_reads_up_to_their_own_last_word(door: Door, store: Store) -> None:
    """It is not stored yet, or of before version 2.0."""
    await store.insert([entry(CHAT, 4, Party.AGENT, "mijn laatste woord").model_copy(update={"sender_id": "an"})])
    await store.insert([entry(CHAT, 5)])
    await store.note_participations([state(5, Cause.ASSIGNED, 2, "bert", "an")])
    await store.note_states([(CHAT, 5, "bert")])
    _, _, body = await door.get(f"/chats/{CHAT}/transcript?format=json", AN)
    assert json.loads(body)["messages"][-1]["text"] == "mijn laatste woord"


async def test_notes_are_never_for_the_citizen(door: Door, store: Store) -> None:
    note = NotePosted(chat_id=CHAT, id=new_id(), agent_id="an", agent_name="An", text="intern")
    await store.add_note(note, OPENED_AT)
    status, _, body = await door.get(f"/chats/{CHAT}/notes")
    assert (status, json.loads(body)["code"]) == (403, "forbidden")
    assert b"intern" not in body
    assert json.loads((await door.get(f"/chats/{CHAT}/notes", SOFIE))[2])["notes"][0]["text"] == "intern"
    await seal(store, datetime.now(UTC))
    assert json.loads((await door.get(f"/chats/{CHAT}/notes", AN))[2])["notes"][0]["name"] == "An"


async def test_a_supervisor_reads_the_own_departments_and_adds_nothing(door: Door) -> None:
    assert (await door.get(f"/chats/{CHAT}/transcript", SOFIE))[0] == 200
    assert (await door.get(f"/chats/{CHAT}/transcript", LIEN))[0] == 403
    assert (await door.get(f"/chats/{CHAT}/notes", LIEN))[0] == 403
    for who in (SOFIE, LIEN):
        assert (await door.upload(PNG_BYTES, actor=who))[1]["code"] == "forbidden"


async def test_who_claims_a_question_reads_its_conversation(door: Door) -> None:
    """Until it is released; and nobody else does."""
    assert (await door.ask(transcripts_api.QUESTION_LEAVE, LEFT))[0] == 204
    claim = {"chat_id": CHAT, "agent_id": "bert", "agent_name": "Bert", "departments": ["algemeen"]}
    assert (await door.get(f"/chats/{CHAT}/transcript", BERT))[0] == 403
    status, question = await door.ask(transcripts_api.QUESTION_CLAIM, claim)
    assert (status, question["claimed"]["agent_id"]) == (200, "bert")
    for path in ("transcript", "notes"):
        assert (await door.get(f"/chats/{CHAT}/{path}", BERT))[0] == 200
    assert (await door.upload(PNG_BYTES, actor=BERT))[1]["code"] == "forbidden"
    status, refused = await door.ask(
        transcripts_api.QUESTION_CLAIM, {**claim, "agent_id": "carl", "agent_name": "Carl"}
    )
    assert (status, refused["code"], refused["claimed"]["name"]) == (409, "claimed", "Bert")
    done = {"chat_id": CHAT, "agent_id": "carl", "departments": ["algemeen"]}
    assert (await door.ask(transcripts_api.QUESTION_DONE, done))[1]["code"] == "claimed"
    other = {**claim, "agent_id": "carl"}
    assert (await door.ask(transcripts_api.QUESTION_UNCLAIM, other))[1]["code"] == "not_yours"
    assert (await door.ask(transcripts_api.QUESTION_UNCLAIM, claim))[0] == 204
    assert (await door.get(f"/chats/{CHAT}/transcript", BERT))[0] == 403


def test_fonts_and_template_are_part_of_the_package() -> None:
    room = Path(create_app.__code__.co_filename).parent / "rendering"
    assert {p.name for p in (room / "fonts").iterdir()} >= {
        *("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "LICENSE.txt"),
        *("noto-cjk.otf", "noto-sansdevanagari.ttf", "LICENSE-noto.txt"),
        *("twemoji.ttf", "LICENSE-twemoji.txt", "spans.json"),
    }
    assert (room / "transcript.typ").is_file()
