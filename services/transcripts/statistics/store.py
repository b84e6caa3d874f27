"""Store of statistics. Every method may be repeated, also by several replicas at once: a chat counts once.

Collections:

- chat_statistics: {_id: digest of the chat's number, department, opened_at, served, reason, transfers} and, where there
  is one: wait, first_answer, duration, wrap_up (whole seconds), agent_id, rating {at, helped, score}, label {at,
  reason, tags}. A row is made once, when the log is sealed, and never made again: the log may be erased meanwhile. Only
  its rating, its label, its wrap-up and its agent change.
- wrap_ups: {_id: digest of the chat's number, seconds, at}: a wrap-up that ended before its chat had a row.
- pause_statistics: {_id: the pause's own id, departments, serves: the same as one text, reason, at: when it began,
  seconds} and agent_id. A row is made once.
- question_statistics: {_id: digest of the question's number, department, at, source}.
- chats, questions: the member `counted`, false until the row is stored. A release before this one does not set it.

The rating and the label are set to the greater of the stored and the given one (`$max`: documents are compared member
by member, and `at` is the first), so the order of writes does not matter.

`agent_id` names the agent who accepted the chat first, or who paused. It is stored only while figures of agents are on,
and removed with the conversation; in the row of a pause when conversations of that day have been deleted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import structlog
from pymongo.errors import DuplicateKeyError

from services.common.events.agents import PauseEnded
from services.common.events.types import Party
from services.common.internal_api.reports import FiguresQuery, FiguresReport
from services.common.mongo.client import Database
from services.transcripts.statistics.rules import MEASURES, Report, bounds, chat_row, row_id

log = structlog.get_logger()

Document = dict[str, Any]
LONGEST = 4_000  # milliseconds for one search of a report; a gateway waits 5 s for its answer
OVERLOOKED = timedelta(days=2)  # how long ago an earlier release may have ended a chat during a rolling update
_CHAT = {"department": True, "opened_at": True, "closed_at": True, "counted": True, "erasing": True}
_ENTRY = {"_id": False, "seq": True, "party": True, "event": True, "at": True, "about": True, "reason": True}
_UNCOUNTED = {"counted": False}


class Statistics:
    """Access to statistics. All methods raise `PyMongoError` when the database does not answer."""

    def __init__(self, database: Database, agents: bool = False) -> None:
        """Use the collections of this database. `agents`: whether figures of agents are on."""
        self._agents = agents
        self._chats, self._entries, self._ratings = database["chats"], database["entries"], database["ratings"]
        self._questions = database["questions"]
        self._chat_rows, self._question_rows = database["chat_statistics"], database["question_statistics"]
        self._wrap_ups, self._pause_rows = database["wrap_ups"], database["pause_statistics"]

    # ── rows ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def uncounted(self, limit: int) -> tuple[list[str], list[Document]]:
        """Return ended chats and left questions that are not counted yet, at most so many of each."""
        chats = [d["_id"] async for d in self._chats.find(_UNCOUNTED, {"_id": True}).limit(limit)]
        return chats, await self._questions.find(_UNCOUNTED).limit(limit).to_list(None)

    async def count_chat(self, chat_id: str) -> None:
        """Store the row of a chat that has ended, unless it is counted or being erased."""
        chat = await self._chats.find_one({"_id": chat_id}, _CHAT)
        if chat is None or chat.get("closed_at") is None or chat.get("counted") or chat.get("erasing"):
            return
        such = {"chat_id": chat_id, "party": {"$in": [Party.SYSTEM.value, Party.AGENT.value]}}
        row = chat_row(chat, await self._entries.find(such, _ENTRY).to_list(None), self._agents)
        await self._insert(self._chat_rows, chat_id, row)
        if rating := await self._ratings.find_one({"_id": chat_id}):
            await self.rated(chat_id, rating)
        labelled = await self._chats.find_one({"_id": chat_id}, {"label": True})  # after the row is there
        if labelled and labelled.get("label"):
            await self.labelled(chat_id, labelled["label"])
        await self._move_wrap_up(row_id(chat_id))
        await self._chats.update_one({"_id": chat_id}, {"$set": {"counted": True}})

    async def count_question(self, question: Mapping[str, Any]) -> None:
        """Store the row of this left question, unless it is counted."""
        if question.get("counted"):
            return
        row = {"department": question["department"], "at": question["at"], "source": question.get("source", "chat")}
        await self._insert(self._question_rows, question["_id"], row)
        await self._questions.update_one({"_id": question["_id"]}, {"$set": {"counted": True}})

    async def count_before_erasure(self, number: str) -> None:
        """Count the chat and the left question of this number now: nothing can be read of them afterwards.

        What cannot be counted is erased all the same.
        """
        try:
            await self.count_chat(number)
            if question := await self._questions.find_one({"_id": number}):
                await self.count_question(question)
        except (KeyError, TypeError, ValueError):
            log.exception("not_counted", chat_id=number)

    async def _insert(self, rows: Any, number: str, row: Document) -> None:
        """Store a row, unless there is one: then that was made of a log that was complete."""
        try:
            await rows.insert_one({"_id": row_id(number), **row})
        except DuplicateKeyError:
            return

    async def rated(self, chat_id: str, rating: Mapping[str, Any]) -> None:
        """Note the rating of a chat in its row. A chat without a row gets it when it is counted."""
        given = {"at": rating.get("at"), "helped": rating.get("helped"), "score": rating.get("score")}
        await self._chat_rows.update_one({"_id": row_id(chat_id)}, {"$max": {"rating": given}})

    async def labelled(self, chat_id: str, label: Mapping[str, Any]) -> None:
        """Note the label of a chat in its row. A chat without a row gets it when it is counted."""
        given = {"at": label.get("at"), "reason": label.get("reason"), "tags": label.get("tags")}
        await self._chat_rows.update_one({"_id": row_id(chat_id)}, {"$max": {"label": given}})

    async def wrapped_up(self, chat_id: str, seconds: int, now: datetime) -> None:
        """Note how long the wrap-up of a chat took. A chat without a row gets it when it is counted."""
        such = {"_id": row_id(chat_id)}
        await self._wrap_ups.update_one(such, {"$set": {"seconds": seconds, "at": now}}, upsert=True)
        await self._move_wrap_up(row_id(chat_id))

    async def _move_wrap_up(self, row: str) -> None:
        """Move the wrap-up of a chat into its row, if there are both. Whichever is stored last does it."""
        found = await self._wrap_ups.find_one({"_id": row})
        if (
            found
            and (await self._chat_rows.update_one({"_id": row}, {"$set": {"wrap_up": found["seconds"]}})).matched_count
        ):
            await self._wrap_ups.delete_one({"_id": row})

    async def paused(self, event: PauseEnded) -> None:
        """Store the row of a pause that has ended, unless there is one."""
        departments = sorted(set(event.departments))
        row: Document = {
            "_id": event.pause_id,
            "departments": departments,
            "serves": ",".join(departments),
            "reason": event.reason,
            "at": event.since,
            "seconds": max(0, event.seconds),
        }
        if self._agents:
            row["agent_id"] = event.agent_id
        try:
            await self._pause_rows.insert_one(row)
        except DuplicateKeyError:
            return

    async def note_overlooked(self, now: datetime) -> None:
        """Find what an earlier release has ended or stored during a rolling update, so that it is counted."""
        for collection, member in ((self._chats, "closed_at"), (self._questions, "at")):
            for department in await collection.distinct("department", {"department": {"$gte": ""}}):
                such = {"department": department, member: {"$gte": now - OVERLOOKED}}
                new = {"counted": {"$exists": False}, "erasing": None}
                await collection.update_many({**such, **new}, {"$set": _UNCOUNTED})

    # ── persons and periods ──────────────────────────────────────────────────────────────────────────────────────────

    async def without_agent(self, chat_id: str) -> None:
        """Remove the agent from the row of a chat whose conversation is erased."""
        await self._chat_rows.update_one({"_id": row_id(chat_id)}, {"$unset": {"agent_id": ""}})

    async def without_agents(self) -> int:
        """Remove the agents from all rows when figures of agents are off. Return the number of rows."""
        if self._agents:
            return 0
        named, unnamed = {"agent_id": {"$exists": True}}, {"$unset": {"agent_id": ""}}
        both = [await rows.update_many(named, unnamed) for rows in (self._chat_rows, self._pause_rows)]
        return sum(int(one.modified_count) for one in both)

    async def without_agents_of_pauses(self, before: datetime) -> None:
        """Remove the agents from the rows of pauses that began before this time."""
        named = {"at": {"$lt": before}, "agent_id": {"$exists": True}}
        await self._pause_rows.update_many(named, {"$unset": {"agent_id": ""}})

    async def forget(self, before: datetime) -> int:
        """Delete the rows from before this time. Return their number."""
        chats = await self._chat_rows.delete_many({"opened_at": {"$lt": before}})
        questions = await self._question_rows.delete_many({"at": {"$lt": before}})
        pauses = await self._pause_rows.delete_many({"at": {"$lt": before}})
        await self._wrap_ups.delete_many({"at": {"$lt": before}})
        return int(chats.deleted_count + questions.deleted_count + pauses.deleted_count)

    # ── reports ──────────────────────────────────────────────────────────────────────────────────────────────────────

    async def report(self, query: FiguresQuery, zone: ZoneInfo) -> FiguresReport:
        """Return the report. The database groups the rows by day of this time zone, department and agent.

        Other work of this process goes on meanwhile, however large the report is.

        Raises:
            ExecutionTimeout: A search took longer than `LONGEST`.
        """
        report = Report(query.since, query.until, query.by, query.departments, self._agents)
        async for group in self._groups(self._chat_rows, "opened_at", query, zone, _CHAT_GROUP, self._agents):
            key = group["_id"]
            report.add_chats(date.fromisoformat(key["day"]), key["department"], key.get("agent_id"), group)
            await asyncio.sleep(0)
        async for group in self._groups(self._question_rows, "at", query, zone, {"number": {"$sum": 1}}):
            key = group["_id"]
            report.add_questions(date.fromisoformat(key["day"]), key["department"], group["number"])
        async for group in self._pause_groups(query, zone):
            key, day = group["_id"], date.fromisoformat(group["_id"]["day"])
            departments, counts = key["serves"].split(","), (group["pauses"], group["seconds"])
            report.add_pauses(day, departments, key.get("agent_id"), key.get("reason"), *counts)
        return await asyncio.to_thread(report.result, zone.key)

    def _groups(
        self, rows: Any, member: str, query: FiguresQuery, zone: ZoneInfo, sums: Document, agents: bool = False
    ) -> Any:
        such = {"department": {"$in": list(query.departments)}, member: _between(query, zone)}
        key = {"department": "$department", **_key(member, zone, agents)}
        return rows.aggregate([{"$match": such}, {"$group": {"_id": key, **sums}}], maxTimeMS=LONGEST)

    def _pause_groups(self, query: FiguresQuery, zone: ZoneInfo) -> Any:
        such = {"departments": {"$in": list(query.departments)}, "at": _between(query, zone)}
        key = {"serves": "$serves", "reason": "$reason", **_key("at", zone, self._agents)}
        sums: Document = {"pauses": {"$sum": 1}, "seconds": {"$sum": "$seconds"}}
        return self._pause_rows.aggregate([{"$match": such}, {"$group": {"_id": key, **sums}}], maxTimeMS=LONGEST)


def _between(query: FiguresQuery, zone: ZoneInfo) -> Document:
    begin, end = bounds(query.since, query.until, zone)
    return {"$gte": begin, "$lt": end}


def _key(member: str, zone: ZoneInfo, agents: bool) -> Document:
    day = {"$dateToString": {"format": "%Y-%m-%d", "date": f"${member}", "timezone": zone.key}}
    return {"day": day, **({"agent_id": "$agent_id"} if agents else {})}


_CHAT_GROUP: Document = {
    "offered": {"$sum": 1},
    "served": {"$sum": {"$cond": ["$served", 1, 0]}},
    "transferred": {"$sum": {"$cond": [{"$gt": ["$transfers", 0]}, 1, 0]}},
    **{name: {"$push": f"${name}"} for name in MEASURES},
    "helped": {"$push": "$rating.helped"},
    "scores": {"$push": "$rating.score"},
    "reasons": {"$push": "$label.reason"},
    "tags": {"$push": "$label.tags"},
}
