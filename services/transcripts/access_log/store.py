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
from typing import Any, Literal, get_args

import structlog
from pymongo import ASCENDING, DESCENDING
from pymongo.errors import BulkWriteError, DuplicateKeyError, PyMongoError

from services.common.access_chain import PRUNED, Flaw, Head, Verifier, chained
from services.common.internal_api.transcripts import ChangeOfAccount, ChangeOfDepartments
from services.common.mongo.client import DUPLICATE_KEY, Database
from services.transcripts import metrics

log = structlog.get_logger()

MOST_TOGETHER = 100  # entries in one write
PAGE = 1_000  # entries in one answer
MOST_VERIFIED = 20_000  # entries of one verification that an auditor asks for
MOST_FLAWS = 20  # of one verification that are returned
LONGEST = 3_000  # milliseconds for one page of a search; a gateway waits 5 s for its answer
UNUSUAL_WITHIN = timedelta(hours=1)
CLOCKS_DIFFER = timedelta(seconds=5)  # at the most: all replicas follow the clock of the database
Document = dict[str, Any]
OwnAct = Literal[
    "transcript_read",
    "file_read",
    "notes_read",
    "questions_read",
    "question_archive_read",
    "question_claimed",
    "question_released",
    "question_done",
    "question_undone",
    "assignments_read",
    "report_read",
    "chats_listed",
    "chats_searched",
    "chat_reassigned",
    "supervisor_note_added",
    "chat_token_revoked",
    "sessions_read",
    "session_ended",
    "canned_answer_added",
    "canned_answer_changed",
    "canned_answer_removed",
    "chat_erased",
    "message_erased",
    "hold_set",
    "hold_lifted",
    "receipts_read",
    "access_log_read",
    "access_log_exported",
    "access_log_verified",
    "access_log_pruned",
]
Act = OwnAct | ChangeOfDepartments | ChangeOfAccount
ACTS: tuple[Act, ...] = (*get_args(OwnAct), *get_args(ChangeOfDepartments), *get_args(ChangeOfAccount))
"""Every act that is logged. The page of auditors has words for each (`web/console/access-log.js`)."""


@dataclass(frozen=True)
class Access:
    """What is logged: who did what with which chat or item.

    Attributes:
        act: What was done.
        who: The agent, the operator, or None for the citizen of the chat.
        role: `agent`, `supervisor`, `administrator`, `auditor`, `citizen`, `operator` or `service`.
        chat_id: The chat.
        item: The file, or what else the act is about.
        department: The departments, separated by commas.
        source: The address from which an agent asked.
        reason: The reason that was given.
    """

    act: Act
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


@dataclass(frozen=True)
class Filter:
    """Which entries an auditor looks for; None: any.

    Attributes:
        who: These people.
        chat: A chat whose id begins so.
        act: This act.
        since: From then on.
        until: Before then.
    """

    who: list[str] | None = None
    chat: str | None = None
    act: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def document(self) -> Document:
        """Return the filter of the database."""
        wanted: Document = {}
        if self.who is not None:
            wanted["who"] = {"$in": self.who}
        if self.chat is not None:
            wanted["chat_id"] = {"$gte": self.chat, "$lt": self.chat + "~"}  # begins so: an id has no `~`
        if self.act is not None:
            wanted["act"] = self.act
        at = {"$gte": self.since and stamp(self.since), "$lt": self.until and stamp(self.until)}
        if bounds := {name: value for name, value in at.items() if value is not None}:
            wanted["at"] = bounds
        return wanted


@dataclass(frozen=True)
class Verified:
    """The result of a verification of the newest entries.

    Attributes:
        first: The number of the first entry that was verified.
        head: The last one.
        complete: Whether these are all stored entries.
        flaws: What is wrong.
    """

    first: int
    head: Head
    complete: bool
    flaws: list[Flaw]


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

    async def search(
        self, wanted: Filter, most: int, before: int | None = None, after: int | None = None
    ) -> list[Document]:
        """Return the entries that a filter finds, at most so many.

        Args:
            wanted: The filter.
            most: So many.
            before: Those before this number, the newest first.
            after: Those after this number, in order. It precedes `before`.

        Raises:
            ExecutionTimeout: It took longer than `LONGEST`.
        """
        order, bound = DESCENDING, {"$gte": 0} if before is None else {"$gte": 0, "$lt": before}
        if after is not None:
            order, bound = ASCENDING, {"$gt": after}
        found = self._entries.find({**wanted.document(), "_id": bound}).sort("_id", order)
        return [{"seq": d.pop("_id"), **d} async for d in found.limit(most).max_time_ms(LONGEST)]

    async def span(self, since: datetime | None, until: datetime | None) -> tuple[int, int]:
        """Return the number before the first entry of a period, and that of the last one; 0: there is none.

        What is between them is the period's, as far as the clocks of the replicas agree.
        """
        first = await self._first(since) if since else await self._end(ASCENDING)
        last = await self._last(until) if until else await self._end(DESCENDING)
        return (first - 1, last) if first and first <= last else (0, 0)

    async def _end(self, order: int) -> int:
        """Return the number of the first or the last entry; 0: there is none."""
        found = await self._entries.find_one({"_id": {"$gte": 0}}, {"_id": True}, sort=[("_id", order)])
        return int(found["_id"]) if found else 0

    async def _first(self, since: datetime) -> int:
        """Return the first number of an entry from then on; 0: there is none.

        The index of times finds the earliest entry; one that was written before it may have a somewhat later time.
        """
        earliest = await self._entries.find_one({"at": {"$gte": stamp(since)}}, {"at": True}, sort=[("at", ASCENDING)])
        if earliest is None:
            return 0
        latest = stamp(datetime.fromisoformat(earliest["at"]) + CLOCKS_DIFFER)
        near = self._entries.find({"at": {"$gte": earliest["at"], "$lte": latest}}, {"_id": True})
        return min([int(one["_id"]) async for one in near])

    async def _last(self, until: datetime) -> int:
        """Return the last number of an entry from before then; 0: there is none."""
        latest = await self._entries.find_one({"at": {"$lt": stamp(until)}}, {"at": True}, sort=[("at", DESCENDING)])
        if latest is None:
            return 0
        earliest = stamp(datetime.fromisoformat(latest["at"]) - CLOCKS_DIFFER)
        near = self._entries.find({"at": {"$gte": earliest, "$lte": latest["at"]}}, {"_id": True})
        return max([int(one["_id"]) async for one in near])

    async def verify(self, most: int = MOST_VERIFIED) -> Verified:
        """Verify the newest entries, at most so many and those that come meanwhile."""
        expected = self._head or await self._read_head()
        newest = max(expected.seq, (await self._read_head()).seq)
        after = max(0, newest - most)
        verifier, taken = Verifier(), 0
        while taken <= most and (page := await self.entries(after)):
            verifier.take(page)
            taken, after = taken + len(page), int(page[-1]["seq"])
        first = await self._end(ASCENDING)
        complete = verifier.first <= first
        flaws = verifier.end(expected, part=not complete)
        return Verified(verifier.first, verifier.head, complete, flaws[:MOST_FLAWS])

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
