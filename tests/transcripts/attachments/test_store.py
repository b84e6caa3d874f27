"""Attachments in the real database: the document is the lock."""

import asyncio
import io
from datetime import timedelta

import pytest
from gridfs.errors import NoFile

from services.common.events.types import Attachment
from services.common.mongo.client import Database
from services.transcripts.attachments import store as module
from services.transcripts.attachments.store import DOOMED, FREE, KEPT, UPLOADING, File, Files
from services.transcripts.log.store import Store
from tests.transcripts.conftest import OPENED_AT, new_id, opened_event

DAY = timedelta(days=1)
BODY = bytes(range(256)) * 2_000


def a_file(chat_id: str, size: int = len(BODY)) -> File:
    attachment = Attachment(id=new_id(), name="foto.png", size=size, content_type="image/png")
    return File(attachment, chat_id, "citizen", UPLOADING, "sum")


async def uploaded(files: Files, chat_id: str) -> File:
    file = a_file(chat_id)
    await files.begin(file, OPENED_AT)
    await files.put(file.attachment.id, io.BytesIO(BODY))
    assert await files.finish(file, 20, 50 * 1024 * 1024, OPENED_AT)
    return file


@pytest.fixture
async def chat_id(store: Store) -> str:
    made = new_id()
    await store.open_chats([opened_event(made)])
    return made


async def test_the_bytes_come_back_as_they_went_in(files: Files, chat_id: str) -> None:
    file = await uploaded(files, chat_id)
    assert b"".join([chunk async for chunk in files.content(file.attachment.id)]) == BODY
    found = await files.get(file.attachment.id)
    assert found is not None
    assert found.state == FREE


@pytest.mark.parametrize("size", [1, 100, 799, 800, 801, 1_650])
async def test_bytes_of_every_number_of_chunks_come_back(
    files: Files, database: Database, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr(module, "CHUNK", 100)
    id_, body = new_id(), bytes(n % 251 for n in range(size))
    await files.put(id_, io.BytesIO(body))
    assert b"".join([chunk async for chunk in files.content(id_)]) == body
    assert await database["files.chunks"].count_documents({"files_id": id_}) == -(-size // 100)


async def test_only_its_uploader_in_its_chat_can_keep_it(files: Files, chat_id: str) -> None:
    file = await uploaded(files, chat_id)
    id_ = file.attachment.id
    assert await files.keep(id_, new_id(), "citizen") is None
    assert await files.keep(id_, chat_id, "an") is None
    assert await files.keep(new_id(), chat_id, "citizen") is None
    assert await files.keep(id_, chat_id, "citizen") == file.attachment
    assert await files.keep(id_, chat_id, "citizen") == file.attachment


async def test_what_is_kept_cannot_be_doomed_and_what_is_doomed_cannot_be_kept(files: Files, chat_id: str) -> None:
    kept, free = await uploaded(files, chat_id), await uploaded(files, chat_id)
    await files.keep(kept.attachment.id, chat_id, "citizen")
    assert not await files.doom(kept.attachment.id, FREE, OPENED_AT)
    assert await files.doom(free.attachment.id, FREE, OPENED_AT)
    assert await files.keep(free.attachment.id, chat_id, "citizen") is None
    found = await files.get(free.attachment.id)
    assert found is not None
    assert found.state == DOOMED


async def test_the_cleaner_deletes_what_was_not_posted_and_frees_its_quota(files: Files, chat_id: str) -> None:
    kept, free = await uploaded(files, chat_id), await uploaded(files, chat_id)
    await files.keep(kept.attachment.id, chat_id, "citizen")
    assert await files.clean(OPENED_AT + DAY, 2 * DAY) == 0
    assert await files.clean(OPENED_AT + 2 * DAY, DAY) == 1
    assert await files.get(free.attachment.id) is None
    with pytest.raises(NoFile):
        _ = [chunk async for chunk in files.content(free.attachment.id)]
    still = await files.get(kept.attachment.id)
    assert still is not None
    assert still.state == KEPT
    assert await files.within_quota(chat_id, 2, len(BODY) * 2, len(BODY))


async def test_a_chats_quota_is_exact(files: Files, chat_id: str) -> None:
    await uploaded(files, chat_id)
    assert not await files.within_quota(chat_id, 1, 50 * 1024 * 1024, 1)
    assert not await files.within_quota(chat_id, 20, len(BODY), 1)
    late = a_file(chat_id)
    await files.begin(late, OPENED_AT)
    assert not await files.finish(late, 1, 50 * 1024 * 1024, OPENED_AT)


async def test_the_cleaner_and_a_late_message_agree_on_each_file(files: Files, database: Database) -> None:
    """Uploads that lay for long are posted at the moment at which they are cleaned away: kept whole, or refused."""
    chats, later = [new_id() for _ in range(12)], OPENED_AT + 2 * DAY
    await Store(database).open_chats([opened_event(c) for c in chats])
    late = await asyncio.gather(*(uploaded(files, c) for c in chats))

    async def keep(file: File, turns: int) -> Attachment | None:
        for _ in range(turns):  # spread over the time in which the cleaners work
            await files.get(file.attachment.id)
        return await files.keep(file.attachment.id, file.chat_id, file.uploader)

    cleaning = asyncio.gather(*(files.clean(later, DAY) for _ in range(3)))
    answers = await asyncio.gather(*(keep(file, n) for n, file in enumerate(late)))
    await cleaning
    await files.clean(later, DAY)
    for file, answer in zip(late, answers, strict=True):
        id_ = file.attachment.id
        left = await files.get(id_)
        assert (left is not None) is (answer is not None)
        if answer:
            assert b"".join([chunk async for chunk in files.content(id_)]) == BODY
        else:
            assert await database["files.chunks"].count_documents({"files_id": id_}) == 0


async def test_one_that_dies_before_or_amid_the_bytes_leaves_nothing_for_ever(
    files: Files, database: Database, chat_id: str
) -> None:
    before, amid, whole = a_file(chat_id), a_file(chat_id), a_file(chat_id)
    for file in (before, amid, whole):
        await files.begin(file, OPENED_AT)
    for file in (amid, whole):
        await files.put(file.attachment.id, io.BytesIO(BODY))
    await database["files.files"].delete_one({"_id": amid.attachment.id})  # it is written last, after the chunks
    assert await database["files.chunks"].count_documents({"files_id": amid.attachment.id}) > 0
    assert await files.clean(OPENED_AT + DAY / 2, DAY) == 0, "it may still be under way"
    assert await files.clean(OPENED_AT + 2 * DAY, DAY) == 3
    for collection in ("attachments", "files.files", "files.chunks"):
        assert await database[collection].count_documents({}) == 0
    assert await files.within_quota(chat_id, 1, len(BODY), len(BODY)), "none of them counts"


async def test_the_last_room_in_a_chats_quota_is_given_once(files: Files, chat_id: str) -> None:
    several = [a_file(chat_id) for _ in range(8)]
    for file in several:
        await files.begin(file, OPENED_AT)
    took = await asyncio.gather(*(files.finish(file, 3, 50 * 1024 * 1024, OPENED_AT) for file in several))
    assert took.count(True) == 3
