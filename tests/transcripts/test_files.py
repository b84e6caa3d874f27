"""Attachments in the real database: the document is the lock."""

import io
from datetime import timedelta

import pytest
from gridfs.errors import NoFile

from services.contracts import Attachment
from services.transcripts.files import DOOMED, FREE, KEPT, UPLOADING, File, Files
from services.transcripts.store import Store
from tests.transcripts.conftest import OPENED_AT, new_id, opened_fact

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
    await store.open_chats([opened_fact(made)])
    return made


async def test_the_bytes_come_back_as_they_went_in(files: Files, chat_id: str) -> None:
    file = await uploaded(files, chat_id)
    assert b"".join([chunk async for chunk in files.content(file.attachment.id)]) == BODY
    found = await files.get(file.attachment.id)
    assert found is not None
    assert found.state == FREE


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


async def test_the_cleaner_takes_what_nobody_posted_and_gives_its_room_back(files: Files, chat_id: str) -> None:
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
