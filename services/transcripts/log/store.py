"""Store of chats, their logs and the internal notes. Every write is harmless when it lands late.

Writes use majority and journal, reads use the primary with majority (`services/common/mongo/client.py`). Collections:

- chats: {_id: chat_id, department, locale, name, opened_at, asked, participants, v, turn, files, bytes, closed_at,
  silence_at, silence, stayed_at, unanswered, departments, holder, left, counted, signed, listed, form, answer_at,
  label, label_announced, revoked_by, in_department};
  `access/participation.py` explains `holder`, `left`, `in_department` and `revoked_by`, `statistics/store.py` explains
  `counted`, `evidence/store.py` explains `signed`, `past_chats/store.py` explains `listed`.
- entries: {_id: <chat_id>:<id>, chat_id, seq, id, party, sender_id, at} and the optional members of an entry, with
  (chat_id, seq) unique.
- notes
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from operator import attrgetter, itemgetter
from typing import Any

import bson
from bson.errors import BSONError
from pymongo import ASCENDING, DESCENDING, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.common.events.chats import ChatOpened, ChatState
from services.common.events.messages import NotePosted
from services.common.events.types import About, Attachment, Cause, CloseReason, Entry, Note, Party
from services.common.lru import LruCache
from services.common.mongo.client import DUPLICATE_KEY, Database
from services.transcripts.access.participation import department_of, participation_of, participation_update
from services.transcripts.access.rules import Chat
from services.transcripts.inactivity.rules import Inactivity, Last, Watched
from services.transcripts.log.sequencing import Tail, text_bytes

MAX_ENTRY = 256 * 1024  # bytes of one document; what gateways accept needs less than a tenth
_TAIL = {"_id": False, "chat_id": True, "seq": True, "event": True, "at": True}
_SEQ = {"_id": False, "chat_id": True, "seq": True}
_LAST = {"_id": False, "seq": True, "party": True, "event": True, "at": True}
_WATCHED = {"silence_at": True, "stayed_at": True, "silence": True}
_MARKS = ("counted", "signed", "listed")  # of an ended chat, for the jobs that count, sign and list it
_UNWATCHED = {"silence_at": "", "silence": "", "stayed_at": ""}
_AT_A_TIME = 8
_MOST = 2**63 - 1  # the highest integer in BSON
_BATCH = 1_000  # entries in one answer
_PART = 100  # entries that are read at a time for a page
_seq = attrgetter("seq")
_REMEMBERED = 10_000  # chats whose last known entry is remembered; stored entries never change


def document(entry: Entry) -> dict[str, Any]:
    """Return an entry as it is stored, without the members that it does not have."""
    made: dict[str, Any] = {
        "_id": f"{entry.chat_id}:{entry.id}",
        "chat_id": entry.chat_id,
        "seq": entry.seq,
        "id": entry.id,
        "party": entry.party.value,
        "sender_id": entry.sender_id,
        "at": entry.at,
    }
    if entry.name is not None:
        made["name"] = entry.name
    if entry.text is not None:
        made["text"] = entry.text
    if entry.attachment is not None:
        made["attachment"] = entry.attachment.model_dump()
    if entry.event is not None:
        made["event"] = entry.event.value
    if entry.reason is not None:
        made["reason"] = entry.reason.value
    if entry.about is not None:
        made["about"] = entry.about.model_dump(exclude_none=True)
    return made


def entry_of(found: dict[str, Any]) -> Entry:
    """Return the entry in a stored document. It is trusted and not validated again."""
    attachment, event, reason = found.get("attachment"), found.get("event"), found.get("reason")
    about = found.get("about")
    return Entry.model_construct(
        chat_id=found["chat_id"],
        seq=found["seq"],
        id=found["id"],
        party=Party(found["party"]),
        sender_id=found["sender_id"],
        name=found.get("name"),
        text=found.get("text"),
        attachment=Attachment.model_construct(**attachment) if attachment else None,
        event=Cause(event) if event else None,
        reason=CloseReason(reason) if reason else None,
        about=About.model_validate(about) if about else None,
        at=found["at"],
    )


def encodable(entry: Entry) -> bool:
    """Return whether BSON can hold the entry. One that it cannot hold would fail the whole write."""
    try:
        return len(bson.encode(document(entry))) <= MAX_ENTRY
    except (BSONError, ValueError, OverflowError):
        return False


def last_after(last: Last | None, entry: dict[str, Any]) -> Last:
    """Return how a log ends after one more entry. One about an identification changes nothing but the time."""
    party, event, at = Party(entry["party"]), entry.get("event"), entry["at"]
    if party is Party.SYSTEM:
        return Last(last.party if last else party, Cause(event) if event else last.event if last else None, at)
    return Last(party, last.event if last else None, at)


def chat_document(opened: ChatOpened) -> dict[str, Any]:
    """Return the first version of a chat's document, without `_id`."""
    form = opened.form.model_dump(include={"id", "title", "url"}, exclude_none=True) if opened.form else {}
    return {
        "department": opened.department,
        "locale": opened.locale,
        "name": opened.name,
        "opened_at": opened.opened_at,
        "asked": bool(opened.question),
        "participants": [],
        "v": 0,
        "files": 0,
        "bytes": 0,
        "closed_at": None,
        "unanswered": True,
        **({"form": form} if form else {}),
    }


def state_noted(
    v: int, agent: str | None, check_at: datetime | None, turn: int = 0, answer_at: datetime | None = None
) -> dict[str, Any]:
    """Return the update that records a state.

    Args:
        v: Version of the state.
        agent: The agent who has the chat, if any.
        check_at: When to check for inactivity; None: unchanged.
        turn: The attempt; 0: unchanged.
        answer_at: When to check whether the citizen waits for an answer; None: unchanged.
    """
    change: dict[str, Any] = {"$max": {"v": v, "turn": turn} if turn else {"v": v}}
    if check_at:
        change["$set"] = {"silence_at": check_at}
    if answer_at:
        change.setdefault("$set", {})["answer_at"] = answer_at
    if agent:
        change["$addToSet"] = {"participants": agent}
    return change


def chat_of(found: dict[str, Any]) -> Chat:
    """Return the chat in a stored document."""
    return Chat(
        chat_id=found["_id"],
        department=found["department"],
        locale=found["locale"],
        opened_at=found["opened_at"],
        name=found.get("name"),
        participants=frozenset(found.get("participants", ())),
        v=found.get("v", 0),
        turn=found.get("turn", 0),
        closed_at=found.get("closed_at"),
        asked=found.get("asked", False),
        watched="silence_at" in found,
        departments=frozenset((found["department"], *found.get("departments", ()))),
        in_department=department_of(found),
        participation=participation_of(found),
        revoked_by=found.get("revoked_by"),
    )


def watched_of(found: dict[str, Any]) -> Watched:
    """Return what a stored chat says of inactivity."""
    stored = found.get("silence")
    return Watched(found["_id"], found["silence_at"], found.get("stayed_at"), Inactivity(**stored) if stored else None)


class Store:
    """Access to chats, logs and notes. Every method may be repeated.

    All methods raise `PyMongoError` when the database does not answer.
    """

    def __init__(self, database: Database) -> None:
        self._chats, self._entries, self._notes = database["chats"], database["entries"], database["notes"]
        self._erased = database["erased"]
        self._reads = asyncio.Semaphore(_AT_A_TIME)
        self._reached: LruCache[int] = LruCache(_REMEMBERED)
        self._lasts: LruCache[tuple[int, Last]] = LruCache(_REMEMBERED)

    # ── chats ────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def open_chats(self, opened: Iterable[ChatOpened]) -> None:
        """Create the documents of these chats. An existing one stays as it is."""
        await self._bulk(
            [UpdateOne({"_id": o.chat_id}, {"$setOnInsert": chat_document(o)}, upsert=True) for o in opened]
        )

    async def note_states(
        self,
        states: Iterable[tuple[str, int, str | None]],
        checks: Mapping[str, datetime] | None = None,
        turns: Mapping[str, int] | None = None,
        answers: Mapping[str, datetime] | None = None,
    ) -> None:
        """Record for each (chat, v, agent) the highest v, every agent who had the chat, and the highest of the `turns`.

        `checks`: when to check for the citizen's inactivity, for chats of which that is to be set again. `answers`: the
        same for whether the citizen waits for an answer.
        """
        checks, turns, answers = checks or {}, turns or {}, answers or {}
        await self._bulk(
            [
                UpdateOne({"_id": c}, state_noted(v, agent, checks.get(c), turns.get(c, 0), answers.get(c)))
                for c, v, agent in states
            ]
        )

    async def note_participations(self, states: Iterable[ChatState]) -> None:
        """Record who has each chat, who gave it up, and in which departments it is or was."""
        await self._bulk([UpdateOne({"_id": s.chat_id}, participation_update(s)) for s in states])

    async def close_chats(self, seals: Iterable[Entry]) -> None:
        """Record when each chat was sealed, end its checks for inactivity, and let it be counted, signed and listed.

        `statistics/` counts it, `evidence/` signs it, `past_chats/` lists it.
        """
        ended = list(seals)
        await self._bulk(
            [UpdateOne({"_id": s.chat_id}, {"$set": {"closed_at": s.at}, "$unset": _UNWATCHED}) for s in ended]
            + [UpdateOne({"_id": s.chat_id, "counted": None}, {"$set": dict.fromkeys(_MARKS, False)}) for s in ended]
        )

    async def answered(self, chat_id: str) -> bool:
        """Record that an agent has answered. Return True the first time only.

        Always False for a chat from before this was recorded.
        """
        seen = {"_id": chat_id, "unanswered": True}
        return bool((await self._chats.update_one(seen, {"$unset": {"unanswered": ""}})).modified_count)

    async def chats(self, chat_ids: Sequence[str]) -> dict[str, Chat]:
        """Return those of these chats that are known."""
        found = self._chats.find({"_id": {"$in": list(chat_ids)}})
        return {d["_id"]: chat_of(d) async for d in found}

    async def erased(self, chat_ids: Iterable[str]) -> set[str]:
        """Return those of these chats that were erased (`retention/store.py`). Nothing may be stored for them."""
        if wanted := list(chat_ids):
            return {d["_id"] async for d in self._erased.find({"_id": {"$in": wanted}}, {"_id": True})}
        return set()

    async def chat(self, chat_id: str) -> Chat | None:
        """Return a chat, or None."""
        return (await self.chats([chat_id])).get(chat_id)

    # ── inactivity ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def due_chats(self, now: datetime, limit: int) -> list[Watched]:
        """Return chats that are due for a check, the longest due first."""
        found = self._chats.find({"silence_at": {"$lte": now}}, _WATCHED).sort("silence_at", ASCENDING).limit(limit)
        return [watched_of(d) async for d in found]

    async def set_next_check(self, chat: Watched, at: datetime | None, inactivity: Inactivity | None) -> bool:
        """Set when to check next (None: never) and what was published.

        Return False when it was set by another replica meanwhile.
        """
        change: dict[str, Any] = {"$set": {"silence_at": at}} if at else {"$unset": _UNWATCHED}
        if at and inactivity:
            change["$set"]["silence"] = asdict(inactivity)
        seen = {"_id": chat.chat_id, "silence_at": chat.check_at}
        return bool((await self._chats.update_one(seen, change)).modified_count)

    async def stay(self, chat_id: str, at: datetime) -> bool:
        """Record that the citizen keeps the chat open. Return False for a chat that is not checked for inactivity."""
        wanted = {"_id": chat_id, "silence_at": {"$exists": True}}
        return bool((await self._chats.update_one(wanted, {"$max": {"stayed_at": at}})).matched_count)

    async def last(self, chat_id: str) -> Last | None:
        """Return how the chat's log ends; None without a log.

        This is called often, so only entries that were added since the last call are read.
        """
        seq, last = self._lasts.get(chat_id) or (0, None)
        async with self._reads:
            found = await self._entries.find({"chat_id": chat_id, "seq": {"$gt": seq}}, _LAST).to_list(None)
        for entry in sorted(found, key=itemgetter("seq")):
            last = last_after(last, entry)
            self._lasts.set(chat_id, (entry["seq"], last))
        return last

    async def due_answers(self, now: datetime, limit: int) -> list[tuple[Chat, datetime]]:
        """Return chats that are due for a look at their citizen's wait, the longest due first, each with its time."""
        found = self._chats.find({"answer_at": {"$lte": now}}).sort("answer_at", ASCENDING).limit(limit)
        return [(chat_of(d), d["answer_at"]) async for d in found]

    async def set_next_answer_check(self, chat_id: str, due_at: datetime, at: datetime | None) -> None:
        """Set when to look again (None: never), unless that was set meanwhile."""
        change: dict[str, Any] = {"$set": {"answer_at": at}} if at else {"$unset": {"answer_at": ""}}
        await self._chats.update_one({"_id": chat_id, "answer_at": due_at}, change)

    async def last_answer(self, chat_id: str) -> int:
        """Return the sequence number of the last message of an agent; 0: there is none."""
        such = {"chat_id": chat_id, "party": Party.AGENT.value}
        found = await self._entries.find(such, {"seq": 1}).sort("seq", DESCENDING).limit(1).to_list(1)
        return int(found[0]["seq"]) if found else 0

    # ── the log ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def tails(self, chat_ids: Iterable[str]) -> dict[str, Tail]:
        """Return the tail of each chat; `Tail()` for one without a log."""
        return dict(await asyncio.gather(*(self._tail(c) for c in chat_ids)))

    async def insert(self, entries: Sequence[Entry], in_order: bool = False) -> set[int]:
        """Store a round. Return the positions that met a duplicate key.

        Args:
            entries: The entries.
            in_order: Store an entry only after all before it were stored, and none after a duplicate (MongoDB
                manual, `insert`, `ordered`). Needed when a chat has several, so that none can leave a gap before
                it, even when it lands late.

        Raises:
            PyMongoError: Anything else went wrong, including a missing majority. It is then unknown what was
                stored.
        """
        documents = [document(e) for e in entries]
        try:
            if len(documents) == 1:  # the usual case under low load; the driver needs half the time for it
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
        """Return those of these ids that are in the chat's log, with their entries."""
        found = self._entries.find({"_id": {"$in": [f"{chat_id}:{i}" for i in ids]}})
        return {d["id"]: entry_of(d) async for d in found}

    async def entries(self, chat_id: str, after: int = 0, limit: int = 0) -> list[Entry]:
        """Return the entries after seq `after` in order, at most `limit` (0: all)."""
        # seq has no gaps, so a range is a limit. The result is sorted here: sorting in the database cost a third more.
        span = {"$gt": after, "$lte": min(after + limit, _MOST)} if limit else {"$gt": after}
        async with self._reads:
            found = await self._entries.find({"chat_id": chat_id, "seq": span}, batch_size=_BATCH).to_list(None)
        return sorted(map(entry_of, found), key=_seq)

    async def latest(self, chat_ids: Sequence[str], limit: int) -> dict[str, list[Entry]]:
        """Return the last entries of each of these chats that has a log, at most `limit`, the last one first."""
        tails = {chat_id: tail.seq for chat_id, tail in (await self.tails(chat_ids)).items() if tail.seq}
        found = await asyncio.gather(*(self.entries(chat_id, max(0, seq - limit)) for chat_id, seq in tails.items()))
        return {chat_id: entries[::-1] for chat_id, entries in zip(tails, found, strict=True)}

    async def page(self, chat_id: str, after: int, limit: int, most: int) -> tuple[list[Entry], bool]:
        """Return entries after seq `after`, and whether nothing follows them.

        There are at most `limit` entries, none more once they have `most` bytes of text, and at least one. They are
        read in parts, so that no more than 100 of the longest are in memory.
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

    async def identifications(self, chat_id: str) -> list[Entry]:
        """Return the entries about the identification of the citizen of a chat, in order."""
        such = {"chat_id": chat_id, "party": Party.SYSTEM.value, "about.identification": {"$exists": True}}
        async with self._reads:
            found = await self._entries.find(such).to_list(None)
        return sorted(map(entry_of, found), key=_seq)

    async def remove_content(self, chat_id: str, seq: int) -> None:
        """Remove what one entry says: its text, the name of its sender, its file, and who has identified.

        It keeps its place.
        """
        identified = {f"about.identification.{member}": "" for member in ("name", "level", "issuer")}
        change = {"$set": {"text": ""}, "$unset": {"name": "", "attachment": "", **identified}}
        await self._entries.update_one({"chat_id": chat_id, "seq": seq}, change)

    async def text_bytes(self, chat_id: str, last: int) -> int:
        """Return the bytes of participants' texts in the log up to seq `last`. They are read in parts."""
        size = seq = 0
        while seq < last and (part := await self.entries(chat_id, seq, min(_PART, last - seq))):
            size += sum(map(text_bytes, part))
            seq = part[-1].seq
        return size

    async def grown(self, after: Mapping[str, int]) -> dict[str, int]:
        """Return the chats whose log has the entry after the given seq, with its seq.

        Long logs cost no more than short ones.
        """
        found = await asyncio.gather(*(self._has(chat_id, seq + 1) for chat_id, seq in after.items()))
        return {c: seq + 1 for (c, seq), there in zip(after.items(), found, strict=True) if there}

    async def _has(self, chat_id: str, seq: int) -> bool:
        async with self._reads:
            return await self._entries.find_one({"chat_id": chat_id, "seq": seq}, _SEQ) is not None

    # ── internal notes ───────────────────────────────────────────────────────────────────────────────────────────────

    async def add_note(self, posted: NotePosted, at: datetime) -> Note:
        """Store a note. Return it as it is stored; of several with one id the first stays."""
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
        """Return the chat's internal notes, the oldest first; for agents only."""
        found = self._notes.find({"chat_id": chat_id}).sort("at", ASCENDING)
        return [Note.model_validate(d) async for d in found]

    async def _tail(self, chat_id: str) -> tuple[str, Tail]:
        """Return the chat's tail.

        The search starts at a seq that exists: a server that sorts would sort the whole chat.
        """
        reached = self._reached.get(chat_id) or 1
        async with self._reads:
            found = await self._find_tail(chat_id, reached)
            if found is None and reached > 1:  # an older backup was restored meanwhile
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
