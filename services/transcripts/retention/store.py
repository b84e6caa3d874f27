"""Store of erasures and legal holds. Every method may be repeated, also after an interruption at any step.

Collections:

- chats: the members `hold` {reason, by, since, until} and `erasing` {at, by}, and `gone`, the parts that were deleted
  before the conversation. A chat is claimed for its erasure by one update that sees its hold; it cannot be held after
  that. Its document is deleted last, so an interrupted erasure is found again.
- questions: the members `hold` and `erasing` too, for a left question that has no chat.
- erased: {_id: chat_id, department, at, by, again_at}: the numbers of erased chats. They keep late events from
  bringing a chat back. They name no person.
- deletions: {_id: "<category>:<chat_id>", chat_id, department, category, by, at, n}: what was deleted. A row is written
  before the deletion, with the highest number that was seen, so that repetitions do not count twice.
- receipts: what operators did: {_id, act, chat_id, by, reason, at, until, department, erased}.
- retention: {_id: "job", at}: when the job ran last.

`by` in `erasing`, `erased` and `deletions` is `period` or `operator`.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from pymongo import ASCENDING

from services.common.events.types import Cause
from services.common.internal_api.erasures import (
    PAGE,
    EraseWanted,
    HoldWanted,
    LiftWanted,
    MessageErase,
    Receipt,
    ReportRow,
)
from services.common.mongo.client import Database
from services.transcripts.retention.rules import (
    AGAIN_AFTER,
    BY_ID,
    CATEGORIES,
    OF_CHAT,
    QUESTIONS,
    Obstacle,
    is_held,
    obstacle,
    obstacle_of_question,
)
from services.transcripts.statistics.store import Statistics

By = Literal["period", "operator"]
Document = dict[str, Any]
_STATE = {"department": True, "closed_at": True, "hold": True, "erasing": True}
_LEFT = {"hold": True, "department": True, "at": True, "done_at": True, "source": True, "counted": True}
_JOB = {"_id": "job"}


class Erasures:
    """Access to what retention and erasure store and delete.

    All methods raise `PyMongoError` when the database does not answer.
    """

    def __init__(self, database: Database, statistics: Statistics | None = None) -> None:
        """Use the collections of this database. `statistics`: counts what is erased before it is erased."""
        self._database = database
        self._statistics = statistics or Statistics(database)
        self._chats, self._questions = database["chats"], database[QUESTIONS]
        self._erased, self._deletions, self._receipts = database["erased"], database["deletions"], database["receipts"]
        self._runs = database["retention"]

    # ── what is to be deleted ────────────────────────────────────────────────────────────────────────────────────────

    async def departments(self) -> list[str]:
        """Return the departments in which the stored chats and questions were opened."""
        known: dict[str, Any] = {"department": {"$gte": ""}}  # which the index of departments serves
        of_chats = await self._chats.distinct("department", known)
        of_questions = await self._questions.distinct("department", known)
        return sorted({d for d in (*of_chats, *of_questions) if isinstance(d, str)})

    async def interrupted(self, limit: int) -> list[str]:
        """Return chats, and left questions without a chat, whose erasure was begun and not finished."""
        begun = {"erasing.at": {"$exists": True}}
        found = [c.find(begun, {"_id": True}).limit(limit) for c in (self._chats, self._questions)]
        return [d["_id"] for one in found async for d in one][:limit]

    async def expired(self, department: str, before: datetime, now: datetime, limit: int) -> list[str]:
        """Return chats of a department that ended before this time and are not on hold, the oldest first."""
        return await self._ended({}, department, before, now, limit)

    async def expired_part(
        self, category: str, department: str, before: datetime, now: datetime, limit: int
    ) -> list[str]:
        """Return those of these chats that may have documents of this category still."""
        return await self._ended({"gone": {"$ne": category}}, department, before, now, limit)

    async def _ended(self, more: Document, department: str, before: datetime, now: datetime, limit: int) -> list[str]:
        such = {"department": department, "closed_at": {"$lt": before}, **more}
        found: list[str] = []
        async for chat in self._chats.find(such, _STATE).sort("closed_at", ASCENDING):
            if obstacle(chat, now) is None:
                found.append(chat["_id"])
                if len(found) == limit:
                    break
        return found

    async def late(self, now: datetime, limit: int) -> list[str]:
        """Return erased chats that are due to be erased once more."""
        found = self._erased.find({"again_at": {"$lte": now}}, {"_id": True}).limit(limit)
        return [d["_id"] async for d in found]

    async def erased(self, chat_ids: Collection[str]) -> set[str]:
        """Return those of these chats that were erased."""
        return {d["_id"] async for d in self._erased.find({"_id": {"$in": list(chat_ids)}}, {"_id": True})}

    # ── erasure ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def check(self, chat_id: str, now: datetime) -> Obstacle | None:
        """Return why this chat cannot be erased now; None when it can be, or when something of it is left."""
        chat = await self._chats.find_one({"_id": chat_id}, _STATE)
        if chat is not None:
            return obstacle(chat, now)
        question = await self._questions.find_one({"_id": chat_id}, _STATE)
        if question is not None:
            return obstacle_of_question(question, now)
        if await self.erased([chat_id]) or await self._is_left(chat_id):
            return None
        return Obstacle.UNKNOWN

    async def erase(self, chat_id: str, by: By, now: datetime) -> Obstacle | None:
        """Erase a chat with all that belongs to it. Return why it was not erased, or None.

        When its period has ended, its left question stays: that has a period of its own.
        """
        for collection, judge in ((self._chats, obstacle), (self._questions, obstacle_of_question)):
            while (found := await collection.find_one({"_id": chat_id}, _STATE)) is not None:
                if (why_not := judge(found, now)) is not None:
                    return why_not
                if not found.get("erasing"):
                    await self._statistics.count_before_erasure(chat_id)
                # what is claimed is the state that was judged: a hold that came in between is judged in the next turn
                seen = {"_id": chat_id, "erasing": None, "hold": found.get("hold")}
                claim = {"$set": {"erasing": {"at": now, "by": by}}}
                if found.get("erasing") or (await collection.update_one(seen, claim)).modified_count:
                    await self._finish(chat_id, by, now)
                    return None
        if (why_not := await self.check(chat_id, now)) is None:  # there is something left, and nothing to claim
            await self._finish(chat_id, by, now)
        return why_not

    async def erase_again(self, chat_id: str, now: datetime) -> int:
        """Delete what was written after a chat was erased. Return the number of documents."""
        tombstone = await self._erased.find_one({"_id": chat_id})
        if tombstone is None:
            return 0
        deleted = await self._delete_all(chat_id, tombstone["department"], tombstone["by"], now)
        deleted += (await self._chats.delete_one({"_id": chat_id})).deleted_count
        await self._erased.update_one({"_id": chat_id}, {"$unset": {"again_at": ""}})
        return deleted

    async def _finish(self, chat_id: str, by: By, now: datetime) -> None:
        chat = await self._chats.find_one({"_id": chat_id}, _STATE)
        claimed = chat or await self._questions.find_one({"_id": chat_id}, _STATE) or {}
        erasing = claimed.get("erasing") or {"at": now, "by": by}
        department = (chat or {}).get("department") or await self._department(chat_id)
        first = {"department": department, "at": erasing["at"], "by": erasing["by"]}
        change = {"$setOnInsert": first, "$set": {"again_at": now + AGAIN_AFTER}}
        await self._erased.update_one({"_id": chat_id}, change, upsert=True)
        whole = "operator" if "operator" in (by, erasing["by"]) else "period"
        await self._statistics.without_agent(chat_id)
        await self._delete_all(chat_id, department, whole, now)
        await self._chats.delete_one({"_id": chat_id})

    async def _department(self, chat_id: str) -> str:
        for collection in (self._questions, self._erased):
            if found := await collection.find_one({"_id": chat_id}, {"department": True}):
                return str(found["department"])
        return ""

    async def _delete_all(self, chat_id: str, department: str, by: str, now: datetime) -> int:
        deleted = await self.delete_files(chat_id, department, by, now)
        for category, name in OF_CHAT.items():
            deleted += await self._delete(category, name, {"chat_id": chat_id}, chat_id, department, by, now)
        gone = [*BY_ID.items(), *([(QUESTIONS, QUESTIONS)] if by == "operator" else [])]
        for category, name in gone:
            deleted += await self._delete(category, name, {"_id": chat_id}, chat_id, department, by, now)
        return deleted

    async def _delete(
        self, category: str, name: str, such: Document, chat_id: str, department: str, by: str, now: datetime
    ) -> int:
        number = await self._database[name].count_documents(such)
        if not number:
            return 0
        await self._record(category, chat_id, department, by, now, number)
        if category == "conversation":  # the seal goes last: a log that is half deleted takes no message
            await self._database[name].delete_many({**such, "event": {"$ne": Cause.CLOSED.value}})
        await self._database[name].delete_many(such)
        return number

    async def delete_files(self, chat_id: str, department: str, by: str, now: datetime) -> int:
        """Delete the files of a chat. Return their number. The document of a file goes after its bytes."""
        ids = [d["_id"] async for d in self._database["attachments"].find({"chat_id": chat_id}, {"_id": True})]
        if ids:
            await self._record("files", chat_id, department, by, now, len(ids))
        for id_ in ids:
            await self.delete_file(id_)
        return len(ids)

    async def delete_file(self, id_: str) -> None:
        """Delete a file of a chat. Its document goes after its bytes."""
        await self._database["files.files"].delete_one({"_id": id_})
        await self._database["files.chunks"].delete_many({"files_id": id_})
        await self._database["attachments"].delete_one({"_id": id_})

    async def delete_part(self, category: str, chat_id: str, department: str, now: datetime) -> int:
        """Delete the files or the notes of a chat whose conversation stays. Return their number.

        A hold that was set since the chat was found keeps them. One that is set during the deletion does not.
        """
        if obstacle(await self._chats.find_one({"_id": chat_id}, _STATE), now) is not None:
            return 0
        if category == "files":
            number = await self.delete_files(chat_id, department, "period", now)
        else:
            such = {"chat_id": chat_id}
            number = await self._delete(category, OF_CHAT[category], such, chat_id, department, "period", now)
        await self._chats.update_one({"_id": chat_id}, {"$addToSet": {"gone": category}})
        return number

    async def delete_questions(
        self, department: str, left_before: datetime, done_before: datetime, now: datetime, limit: int
    ) -> int:
        """Delete left questions whose period has ended and that are not on hold. Return their number."""
        deleted = 0
        for member, before in (("at", left_before), ("done_at", done_before)):
            such = {"department": department, member: {"$lt": before}}
            async for question in self._questions.find(such, _LEFT):
                if is_held(question, now):
                    continue
                await self._statistics.count_question(question)
                await self._record(QUESTIONS, question["_id"], department, "period", now, 1)
                # what is deleted is as it was found: a hold keeps it, and so does an agent who has opened it again
                seen = {"_id": question["_id"], "hold": question.get("hold"), member: question[member]}
                deleted += (await self._questions.delete_one(seen)).deleted_count
                if deleted >= limit:
                    return deleted
        return deleted

    async def _record(self, category: str, chat_id: str, department: str, by: str, now: datetime, n: int) -> None:
        first = {"chat_id": chat_id, "department": department, "category": category, "by": by, "at": now}
        change = {"$setOnInsert": first, "$max": {"n": n}}
        await self._deletions.update_one({"_id": f"{category}:{chat_id}"}, change, upsert=True)

    async def _is_left(self, chat_id: str) -> bool:
        such = [("attachments", {"chat_id": chat_id})]
        such += [(name, {"chat_id": chat_id}) for name in OF_CHAT.values()]
        such += [(name, {"_id": chat_id}) for name in BY_ID.values()]
        for name, wanted in such:
            if await self._database[name].find_one(wanted, {"_id": True}):
                return True
        return False

    # ── what operators do ────────────────────────────────────────────────────────────────────────────────────────────

    async def hold(self, wanted: HoldWanted, now: datetime) -> Receipt | None:
        """Put a chat and its left question on hold. Return the receipt; None for a chat that is not known."""
        hold = {"reason": wanted.reason, "by": wanted.by, "since": now, "until": wanted.until}
        change = {"$set": {"hold": hold}}
        chat = await self._chats.update_one({"_id": wanted.chat_id, "erasing": None}, change)
        if not chat.matched_count and await self._chats.find_one({"_id": wanted.chat_id}, {"_id": True}):
            return None  # it is being erased
        question = await self._questions.update_one({"_id": wanted.chat_id, "erasing": None}, change)
        if not chat.matched_count and not question.matched_count:
            return None
        return await self._receipt("hold", wanted, now, until=wanted.until)

    async def lift(self, wanted: LiftWanted, now: datetime) -> Receipt | None:
        """Lift the hold of a chat. Return the receipt; None when there is no hold."""
        such = {"_id": wanted.chat_id, "hold": {"$ne": None}}
        lifted = [await c.update_one(such, {"$unset": {"hold": ""}}) for c in (self._chats, self._questions)]
        if not any(one.modified_count for one in lifted):
            return None
        return await self._receipt("lift", wanted, now)

    async def on_hold(self, now: datetime) -> int:
        """Return the number of chats and questions that are on hold."""
        such = {"hold.until": {"$gt": now}}
        held = {d["_id"] for c in (self._chats, self._questions) for d in await c.find(such, {"_id": 1}).to_list(None)}
        return len(held)

    async def receipt_of_erasure(self, wanted: EraseWanted, now: datetime) -> Receipt:
        """Store and return the receipt of an erasure that is done."""
        rows = {d["category"]: d["n"] async for d in self._deletions.find({"chat_id": wanted.chat_id})}
        own = {category: rows[category] for category in CATEGORIES if category in rows}
        return await self._receipt("erase", wanted, now, erased={"transcripts": own, **wanted.elsewhere})

    async def receipt_of_message(self, wanted: MessageErase, digest: str | None, now: datetime) -> Receipt:
        """Store and return the receipt of a message that was erased. `digest`: that of what it said."""
        return await self._receipt("erase_message", wanted, now, entry=wanted.seq, digest=digest)

    async def _receipt(self, act: str, wanted: LiftWanted, now: datetime, **more: Any) -> Receipt:
        department = await self._department(wanted.chat_id) or await self._department_of_chat(wanted.chat_id)
        fields = {"act": act, "chat_id": wanted.chat_id, "by": wanted.by, "reason": wanted.reason, "at": now}
        made = Receipt.model_validate({"id": str(uuid.uuid4()), **fields, "department": department or None, **more})
        await self._receipts.insert_one({"_id": made.id, **made.model_dump(exclude={"id"}, exclude_none=True)})
        return made

    async def _department_of_chat(self, chat_id: str) -> str:
        found = await self._chats.find_one({"_id": chat_id}, {"department": True})
        return str(found["department"]) if found else ""

    async def receipts(self, after: str | None) -> list[Receipt]:
        """Return receipts after this one, the oldest first, at most `PAGE`."""
        such: Document = {}
        if after and (last := await self._receipts.find_one({"_id": after}, {"at": True})):
            such = {"at": {"$gte": last["at"]}}
        found: list[Receipt] = []
        async for d in self._receipts.find(such).sort([("at", ASCENDING), ("_id", ASCENDING)]):
            if such and d["at"] == such["at"]["$gte"] and d["_id"] <= (after or ""):
                continue
            found.append(Receipt.model_validate({"id": d.pop("_id"), **d}))
            if len(found) == PAGE:
                break
        return found

    # ── the report ───────────────────────────────────────────────────────────────────────────────────────────────────

    async def report(self, since: datetime, until: datetime) -> list[ReportRow]:
        """Return what was deleted from `since` until before `until`, by month, department and category."""
        month = {"$dateToString": {"format": "%Y-%m", "date": "$at"}}
        key = {"month": month, "department": "$department", "category": "$category", "by": "$by"}
        sums = {"chats": {"$sum": 1}, "items": {"$sum": "$n"}, "last_at": {"$max": "$at"}}
        steps: Sequence[Document] = [
            {"$match": {"at": {"$gte": since, "$lt": until}}},
            {"$group": {"_id": key, **sums}},
        ]
        rows = [ReportRow.model_validate({**d.pop("_id"), **d}) async for d in self._deletions.aggregate(steps)]
        return sorted(rows, key=lambda r: (r.month, r.department, r.category, r.by))

    async def forget(self, before: datetime) -> int:
        """Delete statistics, counts, receipts and numbers of erased chats from before this time. Return how many."""
        such = {"at": {"$lt": before}}
        collections: Iterable[Any] = (self._deletions, self._receipts, self._erased)
        deleted = sum([int((await c.delete_many(such)).deleted_count) for c in collections])
        return deleted + await self._statistics.forget(before)

    async def without_agents_of_pauses(self, before: datetime) -> None:
        """Remove the agents from the statistics of pauses from before this time."""
        await self._statistics.without_agents_of_pauses(before)

    async def ran(self, now: datetime) -> None:
        """Record that the job has done a round."""
        await self._runs.update_one(_JOB, {"$max": {"at": now}}, upsert=True)

    async def last_run(self) -> datetime | None:
        """Return when the job has done a round last, in any replica."""
        found = await self._runs.find_one(_JOB)
        return found["at"] if found else None
