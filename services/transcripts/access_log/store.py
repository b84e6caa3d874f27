"""Store of the access log. It only appends; the beginning is deleted when its period has ended.

access_log: {_id: seq, at (text, UTC), act, who, role, and what is known of: chat_id, item, department, source, reason;
prev, hash}. The rules of the chain are in `services/common/access_chain.py`.

There is one chain for all replicas. A writer knows the last entry, which it has stored or read with majority, and tries
the next number, which is unique. Of two writers one succeeds; the other reads the end again. So a number is only given
to one who knows the entry before it, and there are no gaps. Entries that come while a write is under way go together
into the next one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from services.common.access_chain import PRUNED, Head, chained
from services.common.mongo.client import DUPLICATE_KEY, Database
from services.transcripts import metrics

log = structlog.get_logger()

MOST_TOGETHER = 100  # entries in one write
PAGE = 1_000  # entries in one answer
UNUSUAL_WITHIN = timedelta(hours=1)
Document = dict[str, Any]


@dataclass(frozen=True)
class Access:
    """What is logged: who did what with which chat or item.

    Attributes:
        act: What was done, such as `transcript_read`.
        who: The agent, the operator, or None for the citizen of the chat.
        role: `agent`, `supervisor`, `citizen`, `operator` or `service`.
        chat_id: The chat.
        item: The file, or what else the act is about.
        department: The departments, separated by commas.
        source: The address from which an agent asked.
        reason: The reason that was given.
    """

    act: str
    who: str | None
    role: str
    chat_id: str | None = None
    item: str | None = None
    department: str | None = None
    source: str | None = None
    reason: str | None = None

    def members(self, at: datetime) -> Document:
        """Return the members of an entry, without those that are not known."""
        known = {name: value for name, value in vars(self).items() if value is not None}
        return {"at": stamp(at), **known}


def stamp(at: datetime) -> str:
    """Return a time as the log has it: UTC, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class AccessLog:
    """The access log as this process appends to it.

    All methods raise `PyMongoError` when the database does not answer.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime], unusual: int = 0) -> None:
        """Use the collection `access_log` of this database.

        Args:
            database: The database.
            clock: Returns the present.
            unusual: A reader of more chats within an hour is reported; 0: none is.
        """
        self._entries, self._clock, self._unusual = database["access_log"], clock, unusual
        self._head: Head | None = None
        self._waiting: list[tuple[Document, asyncio.Future[None]]] = []
        self._writing: asyncio.Task[None] | None = None

    async def record(self, access: Access) -> None:
        """Append an entry. Return when it is stored with majority."""
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((access.members(self._clock()), stored))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_all())
        await stored
        if self._unusual and access.chat_id and access.who and access.role in ("agent", "supervisor"):
            await self._judge(access.who)

    async def _write_all(self) -> None:
        while self._waiting:
            some, self._waiting = self._waiting[:MOST_TOGETHER], self._waiting[MOST_TOGETHER:]
            try:
                await self._append([members for members, _ in some])
            except Exception as error:
                self._head = None  # it is unknown what was stored
                for _, stored in some:
                    if not stored.done():
                        stored.set_exception(error)
                if not isinstance(error, PyMongoError):
                    log.exception("access_not_logged")
            else:
                for _, stored in some:
                    if not stored.done():
                        stored.set_result(None)

    async def _append(self, entries: list[Document]) -> None:
        while entries:
            if self._head is None:
                self._head = await self._read_head()
            made = chained(self._head, entries)
            stored = await self._insert([{"_id": e["seq"], **{k: v for k, v in e.items() if k != "seq"}} for e in made])
            if stored:
                self._head = Head(made[stored - 1]["seq"], made[stored - 1]["hash"])
                metrics.ACCESS_LOGGED.inc(stored)
            entries = entries[stored:]
            if entries:  # another writer was first
                self._head = None

    async def _insert(self, documents: list[Document]) -> int:
        """Store documents in order. Return how many were stored before one met a number that is taken."""
        try:
            if len(documents) == 1:
                await self._entries.insert_one(documents[0])
            else:
                await self._entries.insert_many(documents, ordered=True)
        except DuplicateKeyError:
            return 0
        except BulkWriteError as error:
            problems = error.details["writeErrors"]
            if error.details.get("writeConcernErrors") or any(p["code"] != DUPLICATE_KEY for p in problems):
                raise
            return int(problems[0]["index"])
        return len(documents)

    async def head(self) -> Head:
        """Return the last entry."""
        return await self._read_head()

    async def _read_head(self) -> Head:
        found = await self._entries.find_one({"_id": {"$gte": 0}}, {"hash": True}, sort=[("_id", DESCENDING)])
        return Head(found["_id"], found["hash"]) if found else Head()

    async def entries(self, after: int) -> list[Document]:
        """Return the entries after this number in order, at most `PAGE`."""
        found = self._entries.find({"_id": {"$gt": after}}).sort("_id", ASCENDING).limit(PAGE)
        return [{"seq": d.pop("_id"), **d} async for d in found]

    async def prune(self, before: datetime) -> int:
        """Delete the beginning of the log, from before this time. Return the number of entries.

        An entry that says so is appended first. The last entry stays.
        """
        newest = await self._entries.find_one(
            {"_id": {"$gte": 0}, "at": {"$lt": stamp(before)}}, {"hash": True}, sort=[("_id", DESCENDING)]
        )
        if newest is None or newest["_id"] == (await self._read_head()).seq:
            return 0
        last = Head(newest["_id"], newest["hash"])
        await self.record(Access(PRUNED, None, "service", item=str(last)))
        return int((await self._entries.delete_many({"_id": {"$lte": last.seq}})).deleted_count)

    async def _judge(self, who: str) -> None:
        """Report a reader of unusually many chats, once each time that the limit is passed."""
        since = stamp(self._clock() - UNUSUAL_WITHIN)
        chats = await self._entries.distinct("chat_id", {"who": who, "at": {"$gte": since}})
        if len(chats) == self._unusual + 1:
            metrics.UNUSUAL_READING.inc()
            log.warning("unusual_reading", agent_id=who, chats=len(chats))
