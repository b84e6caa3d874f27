"""Store of attachments: one document each, and the bytes in GridFS. The document is the lock.

`uploading → free → kept`, and `uploading | free → doomed`: each one update with the old state in its filter. The
document is written before the bytes, under an id that both share, so no bytes are ever without it. A message keeps its
attachment before it is stored itself; the bytes of a doomed one can be deleted, since nothing can keep it any more.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, BinaryIO

from gridfs.errors import NoFile
from motor.motor_asyncio import AsyncIOMotorGridFSBucket

from services.common.clock import utcnow
from services.common.events.types import Attachment
from services.common.mongo.client import Database

UPLOADING, FREE, KEPT, DOOMED = "uploading", "free", "kept", "doomed"
_CHUNK, _TOGETHER = 255 * 1024, 8  # bytes in a chunk (GridFS's own measure), chunks written at a time


@dataclass(frozen=True, slots=True)
class File:
    """An attachment as it is stored. `uploader`: `citizen`, or the agent's id."""

    attachment: Attachment
    chat_id: str
    uploader: str
    state: str
    sha256: str


class Files:
    """All methods raise `PyMongoError` when the database is away; each may be called again."""

    def __init__(self, database: Database) -> None:
        self._documents, self._chats = database["attachments"], database["chats"]
        self._database = database

    @cached_property
    def _bytes(self) -> AsyncIOMotorGridFSBucket:
        return AsyncIOMotorGridFSBucket(self._database, bucket_name="files")  # made within the loop that uses it

    async def begin(self, file: File, now: datetime) -> None:
        """The document of an upload whose bytes come next."""
        attachment = file.attachment
        await self._documents.insert_one(
            {
                "_id": attachment.id,
                "chat_id": file.chat_id,
                "uploader": file.uploader,
                "state": UPLOADING,
                "name": attachment.name,
                "size": attachment.size,
                "content_type": attachment.content_type,
                "sha256": file.sha256,
                "counted": False,
                "changed_at": now,
            }
        )

    async def put(self, id_: str, source: BinaryIO) -> None:
        """The bytes of `source`, from where it stands to its end, as GridFS has them.

        The driver would hold all of them in memory, and look before each file whether there is one at all, for which
        the embedded server reads every file that there is.
        """
        number = size = 0
        while data := await asyncio.to_thread(source.read, _CHUNK * _TOGETHER):
            parts = [data[at : at + _CHUNK] for at in range(0, len(data), _CHUNK)]
            chunks = [{"files_id": id_, "n": n, "data": part} for n, part in enumerate(parts, number)]
            await self._database["files.chunks"].insert_many(chunks)
            number, size = number + len(parts), size + len(data)
        file = {"_id": id_, "filename": id_, "length": size, "chunkSize": _CHUNK, "uploadDate": utcnow()}
        await self._database["files.files"].insert_one(file)

    async def within_quota(self, chat_id: str, count: int, total: int, size: int) -> bool:
        """True when the chat has room for one more file of `size` bytes, by what is there now."""
        room = {"_id": chat_id, "files": {"$lt": count}, "bytes": {"$lte": total - size}}
        return await self._chats.find_one(room, {"_id": True}) is not None

    async def finish(self, file: File, count: int, total: int, now: datetime) -> bool:
        """The upload is `free` and counts in its chat's quota; False when the quota does not hold it."""
        size = file.attachment.size
        room = {"_id": file.chat_id, "files": {"$lt": count}, "bytes": {"$lte": total - size}}
        counted = await self._chats.update_one(room, {"$inc": {"files": 1, "bytes": size}})
        if not counted.modified_count:
            return False
        freed = await self._documents.update_one(
            {"_id": file.attachment.id, "state": UPLOADING},
            {"$set": {"state": FREE, "counted": True, "changed_at": now}},
        )
        return bool(freed.modified_count)

    async def keep(self, id_: str, chat_id: str, uploader: str) -> Attachment | None:
        """The attachment, which from now on stays; None when this uploader has no such file in this chat."""
        own = {"_id": id_, "chat_id": chat_id, "uploader": uploader, "state": {"$in": [FREE, KEPT]}}
        kept = await self._documents.update_one(own, {"$set": {"state": KEPT}})
        if not kept.matched_count:
            return None
        file = await self.get(id_)
        return file.attachment if file else None

    async def get(self, id_: str) -> File | None:
        """The attachment of this id, in whichever state."""
        found = await self._documents.find_one({"_id": id_})
        return _file(found) if found else None

    async def content(self, id_: str) -> AsyncIterator[bytes]:
        """The bytes, a chunk (255 KiB) at a time. Raises `NoFile` when they are not there."""
        stream = await self._bytes.open_download_stream(id_)
        while chunk := await stream.readchunk():
            yield chunk

    async def doom(self, id_: str, state: str, now: datetime) -> bool:
        """True when it was in this state and can from now on not be kept any more."""
        change = {"$set": {"state": DOOMED, "changed_at": now}}
        return bool((await self._documents.update_one({"_id": id_, "state": state}, change)).modified_count)

    async def clean(self, now: datetime, life: timedelta) -> int:
        """Deletes uploads that nobody posted within `life`, and those that never ended; how many."""
        old = {"state": {"$in": [UPLOADING, FREE]}, "changed_at": {"$lt": now - life}}
        for found in await self._documents.find(old, {"state": True}).limit(500).to_list(500):
            await self.doom(found["_id"], found["state"], now)
        doomed = await self._documents.find({"state": DOOMED}).limit(500).to_list(500)
        for found in doomed:
            await self._delete(found)
        return len(doomed)

    async def _delete(self, found: dict[str, Any]) -> None:
        with contextlib.suppress(NoFile):  # an upload that never wrote any, or a cleaner that came this far before
            await self._bytes.delete(found["_id"])
        gone = await self._documents.delete_one({"_id": found["_id"], "state": DOOMED})
        if gone.deleted_count and found["counted"]:
            less = {"files": -1, "bytes": -found["size"]}
            await self._chats.update_one({"_id": found["chat_id"]}, {"$inc": less})


def _file(found: dict[str, Any]) -> File:
    attachment = Attachment(id=found["_id"], name=found["name"], size=found["size"], content_type=found["content_type"])
    return File(attachment, found["chat_id"], found["uploader"], found["state"], found["sha256"])
