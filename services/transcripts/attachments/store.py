"""Store of attachments: one document each, and the bytes in GridFS. The document is the lock.

The states are `uploading → free → kept`, and `uploading | free → doomed`; each change is one update with the old state
in its filter. The document is written before the bytes, under an id that both share, so bytes never exist without a
document. A message keeps its attachment before the message itself is stored. The bytes of a doomed attachment can be
deleted, because a doomed one can never be kept.

A file of a question that was left without a chat goes `uploading → left`, is listed in the document of its question,
and is doomed when that is gone. Its `chat_id` is the id of the question.
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

from services.common.batches import batched
from services.common.clock import utcnow
from services.common.events.types import Attachment
from services.common.mongo.client import Database
from services.transcripts.attachments.scanner import Scan
from services.transcripts.questions.store import KEPT_DONE

UPLOADING, FREE, KEPT, LEFT, DOOMED = "uploading", "free", "kept", "left", "doomed"
ASKER = "asker"  # the uploader of the files of a question without a chat
AT_ONCE = 500  # questions looked up with one query
CHUNK, _TOGETHER = 255 * 1024, 8  # bytes in a chunk (GridFS's own measure), chunks written at a time


@dataclass(frozen=True, slots=True)
class File:
    """An attachment as it is stored.

    Attributes:
        uploader: `citizen`, the agent's id, or `ASKER`.
        scan: The last verdict of the scanner; None: it was never scanned.
    """

    attachment: Attachment
    chat_id: str
    uploader: str
    state: str
    sha256: str
    scan: Scan | None = None


class Files:
    """Access to the attachments in the database. Every method may be repeated.

    All methods raise `PyMongoError` when the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._documents, self._chats = database["attachments"], database["chats"]
        self._questions = database["questions"]
        self._database = database

    @cached_property
    def _bytes(self) -> AsyncIOMotorGridFSBucket:
        return AsyncIOMotorGridFSBucket(self._database, bucket_name="files")  # created in the event loop that uses it

    async def begin(self, file: File, now: datetime) -> None:
        """Create the document of an upload whose bytes follow."""
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
                **({"scan": _stored(file.scan, now)} if file.scan else {}),
            }
        )

    async def scanned(self, id_: str, scan: Scan, now: datetime) -> None:
        """Store a later verdict. One of newer signatures stays."""
        older = {"$or": [{"scan": None}, {"scan.signatures": {"$lte": scan.signatures}}]}
        await self._documents.update_one({"_id": id_, **older}, {"$set": {"scan": _stored(scan, now)}})

    async def put(self, id_: str, source: BinaryIO) -> None:
        """Store the bytes of `source`, from its position to its end, in the layout of GridFS.

        The driver's own method would hold all of them in memory. It would also check before each file whether any
        exists, for which the embedded server reads every file.
        """
        number = size = 0
        while data := await asyncio.to_thread(source.read, CHUNK * _TOGETHER):
            parts = [data[at : at + CHUNK] for at in range(0, len(data), CHUNK)]
            chunks = [{"files_id": id_, "n": n, "data": part} for n, part in enumerate(parts, number)]
            await self._database["files.chunks"].insert_many(chunks)
            number, size = number + len(parts), size + len(data)
        file = {"_id": id_, "filename": id_, "length": size, "chunkSize": CHUNK, "uploadDate": utcnow()}
        await self._database["files.files"].insert_one(file)

    async def within_quota(self, chat_id: str, count: int, total: int, size: int, uploader: str = "") -> bool:
        """Return whether the chat, or the question of an `ASKER`, has room for one more file of `size` bytes."""
        if uploader == ASKER:
            return await self._questions.find_one(_room(chat_id, count, total - size), {"_id": True}) is not None
        room = {"_id": chat_id, "files": {"$lt": count}, "bytes": {"$lte": total - size}}
        return await self._chats.find_one(room, {"_id": True}) is not None

    async def finish(self, file: File, count: int, total: int, now: datetime) -> bool:
        """Make the upload `free` and count it in its chat's quota. Return False when the quota has no room for it.

        The file of a question is listed in the question instead.
        """
        size = file.attachment.size
        if file.uploader == ASKER:
            return await self._list(file, _room(file.chat_id, count, total - size), now)
        room = {"_id": file.chat_id, "files": {"$lt": count}, "bytes": {"$lte": total - size}}
        counted = await self._chats.update_one(room, {"$inc": {"files": 1, "bytes": size}})
        if not counted.modified_count:
            return False
        freed = await self._documents.update_one(
            {"_id": file.attachment.id, "state": UPLOADING},
            {"$set": {"state": FREE, "counted": True, "changed_at": now}},
        )
        return bool(freed.modified_count)

    async def _list(self, file: File, room: dict[str, Any], now: datetime) -> bool:
        attachment = file.attachment
        change = {"$set": {"state": LEFT, "changed_at": now}}
        left = await self._documents.update_one({"_id": attachment.id, "state": UPLOADING}, change)
        listed = {"$push": {"files": attachment.model_dump()}, "$inc": {"bytes": attachment.size}}
        if left.modified_count and (await self._questions.update_one(room, listed)).modified_count:
            return True
        await self.doom(attachment.id, LEFT, now)
        return False

    async def keep(self, id_: str, chat_id: str, uploader: str) -> Attachment | None:
        """Keep the attachment from now on. Return None when this uploader has no such file in this chat."""
        own = {"_id": id_, "chat_id": chat_id, "uploader": uploader, "state": {"$in": [FREE, KEPT]}}
        kept = await self._documents.update_one(own, {"$set": {"state": KEPT}})
        if not kept.matched_count:
            return None
        file = await self.get(id_)
        return file.attachment if file else None

    async def get(self, id_: str) -> File | None:
        """Return the attachment with this id, in any state."""
        found = await self._documents.find_one({"_id": id_}, {"preview": False})
        return _file(found) if found else None

    async def preview(self, id_: str) -> bytes | None:
        """Return the small preview that is kept; empty: the file cannot be drawn; None: it was not tried."""
        found = await self._documents.find_one({"_id": id_}, {"preview": True})
        kept = (found or {}).get("preview")
        return None if kept is None else bytes(kept)

    async def keep_preview(self, id_: str, drawn: bytes) -> None:
        """Keep a small preview in the document of its file, so that it is deleted with it."""
        await self._documents.update_one({"_id": id_}, {"$set": {"preview": drawn}})

    async def note_late_preview(self, id_: str, now: datetime) -> int:
        """Note that it took too long to draw a small preview. Return how often that has happened."""
        late = {"$inc": {"late_preview.times": 1}, "$set": {"late_preview.at": now}}
        await self._documents.update_one({"_id": id_}, late)
        found = await self._documents.find_one({"_id": id_}, {"late_preview": True})
        return int(found["late_preview"]["times"]) if found else 0

    async def late_preview(self, id_: str) -> datetime | None:
        """Return when it last took too long to draw a small preview; None: never."""
        found = await self._documents.find_one({"_id": id_}, {"late_preview": True})
        at: datetime | None = (found or {}).get("late_preview", {}).get("at")
        return at

    async def content(self, id_: str) -> AsyncIterator[bytes]:
        """Yield the bytes, a chunk (255 KiB) at a time.

        Raises:
            NoFile: The bytes are not stored.
        """
        stream = await self._bytes.open_download_stream(id_)
        while chunk := await stream.readchunk():
            yield chunk

    async def doom(self, id_: str, state: str, now: datetime) -> bool:
        """Mark an attachment in this state for deletion, so that it cannot be kept any more.

        Return whether it was in it.
        """
        change = {"$set": {"state": DOOMED, "changed_at": now}}
        return bool((await self._documents.update_one({"_id": id_, "state": state}, change)).modified_count)

    async def clean(self, now: datetime, life: timedelta) -> int:
        """Delete uploads that were not posted within `life`, and uploads that never ended. Return their number."""
        old = {"state": {"$in": [UPLOADING, FREE]}, "changed_at": {"$lt": now - life}}
        for found in await self._documents.find(old, {"state": True}).limit(500).to_list(500):
            await self.doom(found["_id"], found["state"], now)
        await self._doom_without_question(now)
        doomed = await self._documents.find({"state": DOOMED}, {"preview": False}).limit(500).to_list(500)
        for found in doomed:
            await self._delete(found)
        return len(doomed)

    async def _doom_without_question(self, now: datetime) -> None:
        """Doom the files of questions that are gone. No question is gone before `KEPT_DONE`."""
        old = {"state": LEFT, "changed_at": {"$lt": now - KEPT_DONE}}
        listed = await self._documents.find(old, {"chat_id": True}).to_list(None)
        for batch in batched(listed, AT_ONCE):
            ids = {"_id": {"$in": [found["chat_id"] for found in batch]}}
            there = {found["_id"] for found in await self._questions.find(ids, {"_id": True}).to_list(None)}
            for found in batch:
                if found["chat_id"] not in there:
                    await self.doom(found["_id"], LEFT, now)

    async def _delete(self, found: dict[str, Any]) -> None:
        with contextlib.suppress(NoFile):  # an upload without bytes, or an earlier cleaning that was interrupted
            await self._bytes.delete(found["_id"])
        deleted = await self._documents.delete_one({"_id": found["_id"], "state": DOOMED})
        if deleted.deleted_count and found["counted"]:
            less = {"files": -1, "bytes": -found["size"]}
            await self._chats.update_one({"_id": found["chat_id"]}, {"$inc": less})


def _room(question_id: str, count: int, most_bytes: int) -> dict[str, Any]:
    """Return the filter of this question while it has room for one more file and so many bytes less."""
    return {"_id": question_id, f"files.{count - 1}": {"$exists": False}, "bytes": {"$lte": most_bytes}}


def _stored(scan: Scan, now: datetime) -> dict[str, Any]:
    return {"signatures": scan.signatures, "found": scan.found, "at": now}


def _file(found: dict[str, Any]) -> File:
    scan = Scan(found["scan"]["signatures"], found["scan"]["found"]) if found.get("scan") else None
    attachment = Attachment(id=found["_id"], name=found["name"], size=found["size"], content_type=found["content_type"])
    return File(attachment, found["chat_id"], found["uploader"], found["state"], found["sha256"], scan)
