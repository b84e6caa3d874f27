"""Store of chats, their logs and the internal notes. Every write is harmless when it lands late.

Collections: `chats` (one document a chat), `entries` (`_id` = `<chat_id>:<id>`, unique (chat_id, seq)), `notes`.
Written with majority and journal, read from the primary with majority (`services/common/mongo/client.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any

from pymongo import ASCENDING, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.common.events.chats import ChatOpened, ChatState
from services.common.events.messages import NotePosted
from services.common.events.types import Cause, Entry, Note
from services.common.lru import LruCache
from services.common.mongo.client import DUPLICATE_KEY, Database
from services.transcripts.access import Chat
from services.transcripts.inactivity.rules import Last, Told, Watched
from services.transcripts.log.documents import (
    chat_document,
    chat_of,
    document,
    entry_of,
    last_after,
    state_noted,
    watched_of,
)
from services.transcripts.log.sequencing import Tail, text_bytes
from services.transcripts.participation import noted

_TAIL = {"_id": False, "chat_id": True, "seq": True, "event": True, "at": True}
_SEQ = {"_id": False, "chat_id": True, "seq": True}
_LAST = {"_id": False, "seq": True, "party": True, "event": True, "at": True}
_WATCHED = {"silence_at": True, "stayed_at": True, "silence": True}
_UNWATCHED = {"silence_at": "", "silence": "", "stayed_at": ""}
_AT_A_TIME = 8
_MOST = 2**63 - 1  # the highest number that the database's format has
_BATCH = 1_000  # entries in one answer
_PART = 100  # entries that are read at a time for a page
_seq = attrgetter("seq")
_REMEMBERED = 10_000  # chats of which it is remembered how far the log goes; what is stored never changes


class Store:
    """All methods raise `PyMongoError` when the database is away; each may be called again."""

    def __init__(self, database: Database) -> None:
        self._chats, self._entries, self._notes = database["chats"], database["entries"], database["notes"]
        self._reads = asyncio.Semaphore(_AT_A_TIME)
        self._reached: LruCache[int] = LruCache(_REMEMBERED)
        self._lasts: LruCache[tuple[int, Last]] = LruCache(_REMEMBERED)

    # ── chats ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def open_chats(self, opened: Iterable[ChatOpened]) -> None:
        """Each chat has its document; one that is there keeps what it has."""
        await self._bulk(
            [UpdateOne({"_id": o.chat_id}, {"$setOnInsert": chat_document(o)}, upsert=True) for o in opened]
        )

    async def note_states(
        self,
        states: Iterable[tuple[str, int, str | None]],
        looks: Mapping[str, datetime] | None = None,
        turns: Mapping[str, int] | None = None,
    ) -> None:
        """Remembers for (chat, v, agent) the highest v, every agent who takes part, and the highest of the `turns`.

        `looks`: when to look for the citizen's silence, for chats of which that is to be set anew.
        """
        looks, turns = looks or {}, turns or {}
        await self._bulk(
            [UpdateOne({"_id": c}, state_noted(v, agent, looks.get(c), turns.get(c, 0))) for c, v, agent in states]
        )

    async def note_tenures(self, states: Iterable[ChatState]) -> None:
        """Remembers who has each chat, who gave it up, and in which departments it is or was."""
        await self._bulk([UpdateOne({"_id": s.chat_id}, noted(s)) for s in states])

    async def close_chats(self, seals: Iterable[Entry]) -> None:
        """Each chat's document says when it was sealed, and is looked at no more."""
        await self._bulk(
            [UpdateOne({"_id": s.chat_id}, {"$set": {"closed_at": s.at}, "$unset": _UNWATCHED}) for s in seals]
        )

    async def answered(self, chat_id: str) -> bool:
        """An agent has said something; true the first time only, and never for a chat of before this was noted."""
        seen = {"_id": chat_id, "unanswered": True}
        return bool((await self._chats.update_one(seen, {"$unset": {"unanswered": ""}})).modified_count)

    async def chats(self, chat_ids: Sequence[str]) -> dict[str, Chat]:
        """The chats that are known."""
        found = self._chats.find({"_id": {"$in": list(chat_ids)}})
        return {d["_id"]: chat_of(d) async for d in found}

    async def chat(self, chat_id: str) -> Chat | None:
        return (await self.chats([chat_id])).get(chat_id)

    # ── silences ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def due_silences(self, now: datetime, limit: int) -> list[Watched]:
        """Chats that are to be looked at, the longest due first."""
        found = self._chats.find({"silence_at": {"$lte": now}}, _WATCHED).sort("silence_at", ASCENDING).limit(limit)
        return [watched_of(d) async for d in found]

    async def look_again(self, chat: Watched, at: datetime | None, told: Told | None) -> bool:
        """Sets when to look next (None: never) and what was told; False when somebody else has set it meanwhile."""
        change: dict[str, Any] = {"$set": {"silence_at": at}} if at else {"$unset": _UNWATCHED}
        if at and told:
            change["$set"]["silence"] = asdict(told)
        seen = {"_id": chat.chat_id, "silence_at": chat.look_at}
        return bool((await self._chats.update_one(seen, change)).modified_count)

    async def stay(self, chat_id: str, at: datetime) -> bool:
        """The citizen asked for more time; False for a chat that is not looked at."""
        wanted = {"_id": chat_id, "silence_at": {"$exists": True}}
        return bool((await self._chats.update_one(wanted, {"$max": {"stayed_at": at}})).matched_count)

    async def last(self, chat_id: str) -> Last | None:
        """How the chat's log ends; None without a log. It is asked often: only what was added since is read."""
        seq, last = self._lasts.get(chat_id) or (0, None)
        async with self._reads:
            found = await self._entries.find({"chat_id": chat_id, "seq": {"$gt": seq}}, _LAST).to_list(None)
        for entry in sorted(found, key=itemgetter("seq")):
            last = last_after(last, entry)
            self._lasts.set(chat_id, (entry["seq"], last))
        return last

    # ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def tails(self, chat_ids: Iterable[str]) -> dict[str, Tail]:
        """The last entry of each chat; `Tail()` for one without a log."""
        return dict(await asyncio.gather(*(self._tail(c) for c in chat_ids)))

    async def insert(self, entries: Sequence[Entry], in_order: bool = False) -> set[int]:
        """Stores a round; gives the positions that met a duplicate key.

        `in_order`: each only when all before it were stored, and none after a duplicate (MongoDB manual, `insert`,
        `ordered`); needed when a chat has several, so that none can leave a hole before it, even when it lands late.
        Raises `PyMongoError` on anything else that went wrong, a missing majority too: then nothing is known.
        """
        documents = [document(e) for e in entries]
        try:
            if len(documents) == 1:  # as most are on a quiet day; for one the driver needs half the time
                await self._entries.insert_one(documents[0])
            else:
                await self._entries.insert_many(documents, ordered=in_order)
        except DuplicateKeyError:
            return {0}
        except BulkWriteError as error:
            return _duplicates(error)
        for entry in entries:
            self._reached.set(entry.chat_id, entry.seq)
        return set()

    async def find(self, chat_id: str, ids: Iterable[str]) -> dict[str, Entry]:
        """Those of these ids that are in the chat's log."""
        found = self._entries.find({"_id": {"$in": [f"{chat_id}:{i}" for i in ids]}})
        return {d["id"]: entry_of(d) async for d in found}

    async def entries(self, chat_id: str, after: int = 0, limit: int = 0) -> list[Entry]:
        """Entries after seq `after` in the order of seq, at most `limit` (0: all)."""
        # seq is dense, so a span is a limit; and what is all taken need not be sorted there, which cost a third.
        span = {"$gt": after, "$lte": min(after + limit, _MOST)} if limit else {"$gt": after}
        async with self._reads:
            found = await self._entries.find({"chat_id": chat_id, "seq": span}, batch_size=_BATCH).to_list(None)
        return sorted(map(entry_of, found), key=_seq)

    async def page(self, chat_id: str, after: int, limit: int, most: int) -> tuple[list[Entry], bool]:
        """At most `limit` entries after seq `after`, and no more once they have `most` bytes of text; at least one.

        Also whether nothing follows them. Read a part at a time: no more than 100 of the longest are in memory.
        """
        found: list[Entry] = []
        size = 0
        while len(found) < limit:
            asked = min(_PART, limit - len(found))
            part = await self.entries(chat_id, after, asked)
            for entry in part:
                found.append(entry)
                size += text_bytes(entry)
                if size >= most:
                    return found, False
            if len(part) < asked:
                return found, True
            after = part[-1].seq
        return found, False

    async def text_bytes(self, chat_id: str, last: int) -> int:
        """The bytes of what people wrote in the log up to seq `last`; read a part at a time."""
        size = seq = 0
        while seq < last and (part := await self.entries(chat_id, seq, min(_PART, last - seq))):
            size += sum(map(text_bytes, part))
            seq = part[-1].seq
        return size

    async def grown(self, after: Mapping[str, int]) -> dict[str, int]:
        """Those of these chats whose log has the entry after that seq, with its seq. Long logs cost no more."""
        found = await asyncio.gather(*(self._has(chat_id, seq + 1) for chat_id, seq in after.items()))
        return {c: seq + 1 for (c, seq), there in zip(after.items(), found, strict=True) if there}

    async def _has(self, chat_id: str, seq: int) -> bool:
        async with self._reads:
            return await self._entries.find_one({"chat_id": chat_id, "seq": seq}, _SEQ) is not None

    # ── internal notes ───────────────────────────────────────────────────────────────────────────────────────────────

    async def add_note(self, posted: NotePosted, at: datetime) -> Note:
        """The note as it is stored; the first of an id stands."""
        key = f"{posted.chat_id}:{posted.id}"
        fields = posted.model_dump(include={"chat_id", "id", "agent_id", "text"})
        try:
            await self._notes.insert_one({"_id": key, **fields, "name": posted.agent_name, "at": at})
        except DuplicateKeyError:
            found = await self._notes.find_one({"_id": key})
            if found is not None:
                return Note.model_validate(found)
            raise
        return Note(**fields, name=posted.agent_name, at=at)

    async def notes(self, chat_id: str) -> list[Note]:
        """The chat's internal notes, the oldest first; for agents only."""
        found = self._notes.find({"chat_id": chat_id}).sort("at", ASCENDING)
        return [Note.model_validate(d) async for d in found]

    async def _tail(self, chat_id: str) -> tuple[str, Tail]:
        """Looked for from a seq on that was there: a server that sorts what it finds would sort the whole chat."""
        reached = self._reached.get(chat_id) or 1
        async with self._reads:
            found = await self._find_tail(chat_id, reached)
            if found is None and reached > 1:  # data of another day were put back meanwhile
                found = await self._find_tail(chat_id, 1)
        if found is None:
            return chat_id, Tail()
        self._reached.set(chat_id, found["seq"])
        return chat_id, Tail(found["seq"], found.get("event") == Cause.CLOSED, found["at"])

    async def _find_tail(self, chat_id: str, reached: int) -> dict[str, Any] | None:
        wanted = {"chat_id": chat_id, "seq": {"$gte": reached}}
        return await self._entries.find_one(wanted, _TAIL, sort=[("seq", -1)])

    async def _bulk(self, writes: list[UpdateOne]) -> None:
        if writes:
            await self._chats.bulk_write(writes, ordered=True)


def _duplicates(error: BulkWriteError) -> set[int]:
    details = error.details
    if details.get("writeConcernErrors") or any(e["code"] != DUPLICATE_KEY for e in details["writeErrors"]):
        raise error
    return {e["index"] for e in details["writeErrors"]}
