"""Uploads and downloads of attachments, their limits and checks, over HTTP and the real database."""

import asyncio
import hashlib
import io
import json
import struct
import sys
import zlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, BinaryIO

import pytest

from services.common.http.tokens import Actor
from services.common.mongo.client import Database
from services.transcripts.app import create_app
from services.transcripts.attachments import uploads
from services.transcripts.attachments.formats import compound
from services.transcripts.attachments.kinds import ALLOWED
from services.transcripts.attachments.store import DOOMED, FREE, KEPT, UPLOADING, Files
from services.transcripts.attachments.uploads import AT_ALL, OF_ONE_CHAT, RECEIVED_OF_ONE_CHAT
from services.transcripts.log.store import Store
from services.transcripts.settings import Settings
from tests.support.conditions import until
from tests.support.servers import PATIENCE
from tests.transcripts.api.client import AN, BERT, CHAT, CITIZEN, ApiClient, fill, opened, seal
from tests.transcripts.attachments.test_judging import EXE_BYTES, PNG_BYTES
from tests.transcripts.conftest import new_id, opened_event
from tests.transcripts.made import PNG, bombs


async def counted_files(database: Database) -> int:
    """How many files count in the quota of the chat."""
    chat = await database["chats"].find_one({"_id": CHAT})
    assert chat is not None
    return int(chat["files"])


async def state_of(files: Files, id_: str) -> str | None:
    file = await files.get(id_)
    return file.state if file else None


async def test_an_upload_comes_back_byte_for_byte(api: ApiClient, database: Database, files: Files) -> None:
    content = PNG_BYTES + bytes(range(256)) * 4000
    status, answered = await api.upload(content, "C:\\vakantie\u202e foto.exe")
    assert status == 201
    assert answered == {
        "id": answered["id"],
        "name": "vakantie foto.exe.png" if "vakantie" in answered["name"] else "foto.exe.png",
        "size": len(content),
        "content_type": "image/png",
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    status, headers, got = await api.get(f"/chats/{CHAT}/attachments/{answered['id']}")
    assert (status, got) == (200, content)
    assert headers["Content-Type"] == "image/png"
    assert headers["Content-Disposition"].startswith("attachment; ")
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    stored = await files.get(answered["id"])
    assert stored is not None
    assert (stored.state, stored.uploader, stored.chat_id) == (FREE, "citizen", CHAT)
    assert await counted_files(database) == 1


async def test_what_was_not_posted_is_for_its_uploader_alone(api: ApiClient, files: Files) -> None:
    _, answered = await api.upload(PNG_BYTES)
    path = f"/chats/{CHAT}/attachments/{answered['id']}"
    assert [(await api.get(path, who))[0] for who in (CITIZEN, AN, BERT)] == [200, 404, 403]
    assert await files.keep(answered["id"], CHAT, "citizen") is not None
    assert await state_of(files, answered["id"]) == KEPT
    assert [(await api.get(path, who))[0] for who in (CITIZEN, AN, BERT)] == [200, 200, 403]


async def test_the_file_of_another_chat_is_not_there(api: ApiClient, store: Store) -> None:
    _, answered = await api.upload(PNG_BYTES)
    other = new_id()
    await store.open_chats([opened_event(other)])
    status, _, body = await api.get(f"/chats/{other}/attachments/{answered['id']}", Actor(party="citizen", id=other))
    assert (status, json.loads(body)["code"]) == (404, "unknown_attachment")
    status, _, body = await api.get(f"/chats/{other}/attachments/{answered['id']}")
    assert (status, json.loads(body)["code"]) == (403, "forbidden")


async def test_an_executable_is_refused_under_any_name(api: ApiClient, database: Database) -> None:
    for name in ("foto.png", "brief.pdf", "x.txt"):
        assert (await api.upload(EXE_BYTES, name))[1]["code"] == "type_not_allowed"
    assert await database["attachments"].count_documents({}) == 0


async def test_ten_mebibytes_and_not_one_byte_more(api: ApiClient) -> None:
    limit = 10 * 1024 * 1024
    content = PNG_BYTES + bytes(limit - len(PNG_BYTES))
    assert (await api.upload(io.BytesIO(content)))[0] == 201

    async def chunked() -> AsyncIterator[bytes]:
        yield content
        yield b"x"

    status, answered = await api.upload(chunked())
    assert (status, answered["code"]) == (413, "too_large")
    assert (await api.upload(io.BytesIO(content + b"x")))[1]["code"] == "too_large"


async def test_a_chat_has_room_for_so_many_files_and_bytes(
    make_settings: Callable[..., Settings], store: Store, database: Database, vhost_url: str
) -> None:
    await fill(store)
    app = create_app(make_settings(rabbitmq_url=vhost_url, attachment_count=4, attachment_total=1_000))
    async with opened(app) as api:
        answers = await asyncio.gather(*(api.upload(PNG_BYTES) for _ in range(7)))
        assert sorted(status for status, _ in answers) == [201] * 4 + [413] * 3
        await database["chats"].update_one({"_id": CHAT}, {"$set": {"files": 0, "bytes": 1_000 - len(PNG_BYTES) + 1}})
        assert (await api.upload(PNG_BYTES))[1]["code"] == "too_large"
        assert await database["attachments"].count_documents({"state": FREE}) == 4


async def test_nothing_is_added_to_a_closed_chat_nor_by_strangers(api: ApiClient, store: Store) -> None:
    assert (await api.upload(PNG_BYTES, actor=BERT))[1]["code"] == "forbidden"
    assert (await api.upload(PNG_BYTES, chat=new_id()))[1]["code"] == "forbidden"
    assert (await api.upload(PNG_BYTES, actor=AN))[0] == 201
    await seal(store, datetime.now(UTC))
    status, answered = await api.upload(PNG_BYTES)
    assert (status, answered["code"]) == (409, "chat_closed")


async def test_a_chat_that_ends_during_an_upload_gets_no_file(
    api: ApiClient, store: Store, files: Files, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, real = asyncio.Event(), Files.within_quota

    async def within_quota(self: Files, *args: Any) -> bool:
        """The last look at the chat before the body is read."""
        answer = await real(self, *args)
        looked.set()
        return answer

    async def slowly() -> AsyncIterator[bytes]:
        yield PNG_BYTES
        await looked.wait()
        await seal(store, datetime.now(UTC))
        yield bytes(10)

    monkeypatch.setattr(Files, "within_quota", within_quota)
    status, answered = await api.upload(slowly())
    assert (status, answered["code"]) == (409, "chat_closed")
    assert await files.clean(datetime.now(UTC), timedelta(hours=24)) == 1
    assert await database["attachments"].count_documents({}) == 0
    assert await database["files.chunks"].count_documents({}) == 0


async def test_the_document_is_there_before_any_byte_and_others_wait_their_turn(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
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
    uploads = [asyncio.create_task(api.upload(PNG_BYTES)) for _ in range(4)]
    await until(lambda: len(putting) == OF_ONE_CHAT, "two of them")
    gate.set()
    assert [status for status, _ in await asyncio.gather(*uploads)] == [201] * 4


async def test_a_refusal_says_why_and_what_is_allowed(api: ApiClient, database: Database) -> None:
    old = compound.MAGIC + bytes(1_016) + "WordDocument".encode("utf-16-le").ljust(64, b"\0") + b"\x1a\0" + bytes(62)
    heic = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100)
    for content, reason in ((b"", "empty"), (old, "old_office"), (heic, "heic"), (EXE_BYTES, "not_allowed")):
        status, answered = await api.upload(content, "foto.png")
        assert (status, answered["code"], answered["reason"]) == (415, "type_not_allowed", reason)
        assert answered["allowed"] == list(ALLOWED)
        assert "Accepted are PDF" in answered["detail"]
    assert await database["attachments"].count_documents({}) == 0


async def test_what_is_too_large_says_the_limits(api: ApiClient) -> None:
    status, answered = await api.upload(io.BytesIO(bytes(10 * 1024 * 1024 + 1)))
    limits = {"limit_bytes": 10 * 1024 * 1024, "limit_files": 20, "limit_total_bytes": 50 * 1024 * 1024}
    assert (status, answered["code"], {k: answered[k] for k in limits}) == (413, "too_large", limits)


async def test_a_picture_is_stored_without_its_metadata(api: ApiClient) -> None:
    secret = b"GPS 51.05 3.72"
    chunk = struct.pack(">L", len(secret)) + b"tEXt" + secret + struct.pack(">L", zlib.crc32(b"tEXt" + secret))
    picture = PNG[:33] + chunk + PNG[33:]
    status, answered = await api.upload(picture)
    assert (status, answered["size"], answered["sha256"]) == (201, len(PNG), hashlib.sha256(PNG).hexdigest())
    _, headers, got = await api.get(f"/chats/{CHAT}/attachments/{answered['id']}")
    assert (got, headers["Content-Length"]) == (PNG, str(len(PNG)))


async def test_slow_uploads_delay_no_other_request(api: ApiClient, store: Store) -> None:
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
        asyncio.create_task(api.upload(slowly(), actor=Actor(party="citizen", id=chat), chat=chat))
        for chat in chats
        for _ in range(OF_ONE_CHAT)
    ]
    for _ in slow:
        await begun.acquire()
    assert (await api.upload(PNG_BYTES))[0] == 201
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
    async with opened(create_app(settings)) as api:
        status, answered = await api.upload(trickle())
        assert (status, answered["code"]) == (408, "too_slow")


async def test_an_upload_has_a_time_in_all(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> None:
    async def steady() -> AsyncIterator[bytes]:
        while True:
            yield bytes(2_000)
            await asyncio.sleep(0.05)

    await fill(store)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, upload_time=0.5))) as api:
        status, answered = await api.upload(steady())
        assert (status, answered["code"]) == (408, "too_slow")


async def test_more_bodies_than_a_chat_may_send_at_a_time_are_refused_at_once(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> None:
    released = asyncio.Event()

    async def waiting() -> AsyncIterator[bytes]:
        yield PNG_BYTES
        await released.wait()

    await fill(store)
    app = create_app(make_settings(rabbitmq_url=vhost_url, attachment_count=1_000, upload_idle=120.0))
    async with opened(app) as api:
        uploads = [asyncio.create_task(api.upload(waiting())) for _ in range(RECEIVED_OF_ONE_CHAT + 1)]
        async with asyncio.timeout(PATIENCE):
            done, held = await asyncio.wait(uploads, return_when=asyncio.FIRST_COMPLETED)
        assert [(status, answered["code"]) for status, answered in (one.result() for one in done)] == [
            (429, "rate_limited")
        ]
        released.set()
        assert {status for status, _ in await asyncio.gather(*held)} == {201}
        assert (await api.upload(PNG_BYTES))[0] == 201


async def test_a_file_that_waits_too_long_for_its_turn_is_refused(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, putting, real = asyncio.Event(), list[str](), Files.put

    async def put(self: Files, id_: str, source: BinaryIO) -> None:
        putting.append(id_)
        await gate.wait()
        await real(self, id_, source)

    monkeypatch.setattr(Files, "put", put)
    held = [asyncio.create_task(api.upload(PNG_BYTES)) for _ in range(OF_ONE_CHAT)]
    await until(lambda: len(putting) == OF_ONE_CHAT, "two of them")
    monkeypatch.setattr(uploads, "PATIENCE", 0.1)
    status, answered = await api.upload(PNG_BYTES)
    assert len(putting) == OF_ONE_CHAT
    gate.set()
    assert (status, answered["code"]) == (429, "rate_limited")
    assert [status for status, _ in await asyncio.gather(*held)] == [201] * OF_ONE_CHAT


async def test_a_bomb_is_refused_and_the_next_file_is_taken(api: ApiClient) -> None:
    for bomb in (await asyncio.to_thread(bombs)).values():
        status, answered = await api.upload(io.BytesIO(bomb), "brief.docx")
        assert (status, answered["code"]) == (415, "type_not_allowed")
    assert (await api.upload(PNG_BYTES))[0] == 201


async def test_what_documents_may_hold_is_a_setting(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> None:
    await fill(store)
    scripted = b"%PDF-1.4\n1 0 obj<</Type/Catalog/OpenAction<</S/JavaScript/JS(app.alert(1))>>>>endobj\n%%EOF\n"
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url))) as api:
        status, answered = await api.upload(scripted, "brief.pdf")
        assert (status, answered["reason"]) == (415, "active_content")
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, attachment_refuses="macros,programs"))) as api:
        assert (await api.upload(scripted, "brief.pdf"))[0] == 201
    with pytest.raises(ValueError, match="attachment_refuses"):
        make_settings(attachment_refuses="macros,everything")


async def test_an_upload_that_stands_still_is_ended(
    make_settings: Callable[..., Settings], store: Store, vhost_url: str
) -> None:
    async def stalling() -> AsyncIterator[bytes]:
        yield PNG_BYTES
        await asyncio.Event().wait()

    await fill(store)
    async with opened(create_app(make_settings(rabbitmq_url=vhost_url, upload_idle=0.2))) as api:
        status, answered = await api.upload(stalling())
        assert (status, answered["code"]) == (408, "too_slow")


async def test_a_file_is_not_refused_because_no_process_can_judge_it(
    api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(sys, "executable", "/bin/false")
        status, answered = await api.upload(PNG_BYTES)
        assert (status, answered["code"]) == (503, "unavailable")
    assert (await api.upload(PNG_BYTES))[0] == 201


async def test_the_cleaner_deletes_what_was_not_posted_and_nothing_else(
    api: ApiClient, files: Files, database: Database
) -> None:
    kept, free, fresh = [(await api.upload(PNG_BYTES))[1]["id"] for _ in range(3)]
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
