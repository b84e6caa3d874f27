"""Store of department queues as routing publishes them, and of presses that were let in a moment ago.

queues: {_id: department, revision, waiting, raced [{chat_id, at}]}. `raced`: presses that came a moment too late for a
slot and were let into the queue. They count until routing publishes them, or for `RACED` seconds: one may have got an
agent before it was ever published among the waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from services.common.mongo.client import Database
from services.presence.opening_hours import Schedule, is_open
from services.presence.seats.agent_selection import Line

RACED = 5.0


async def ensure_lines(db: Database, departments: Iterable[str]) -> None:
    """A document for each department; harmless when it is there."""
    first = {"revision": 0, "waiting": 0}
    writes = [UpdateOne({"_id": d}, {"$setOnInsert": first}, upsert=True) for d in departments]
    await db["queues"].bulk_write(writes, ordered=False)


async def set_waiting(db: Database, department: str, revision: int, order: Sequence[str]) -> bool:
    """These wait, unless a later revision was heard before: then False. Those of them who were let in count no more."""
    try:
        result = await db["queues"].update_one(
            {"_id": department, "revision": {"$lt": revision}},
            {
                "$set": {"revision": revision, "waiting": len(order)},
                "$pull": {"raced": {"chat_id": {"$in": list(order)}}},
            },
            upsert=True,
        )
    except DuplicateKeyError:
        return False
    return bool(result.modified_count or result.upserted_id is not None)


async def waiting(db: Database, departments: Sequence[str]) -> dict[str, int]:
    """How many wait in each of these departments."""
    docs = await db["queues"].find({"_id": {"$in": list(departments)}}, {"waiting": 1}).to_list(None)
    return {doc["_id"]: doc["waiting"] for doc in docs}


async def read(
    db: Database, schedules: Mapping[str, Schedule], wanted: Iterable[str], now: datetime
) -> dict[str, Line]:
    """The lines of those of these departments that are known, with whether they are open at `now`.

    A department that was evaluated by a clock ahead of ours is open or closed by that one, as its button is.
    """
    ids = [d for d in set(wanted) if d in schedules]
    known = {"_id": {"$in": ids}}
    found, evaluated = await asyncio.gather(
        db["queues"].find(known).to_list(None), db["buttons"].find(known, {"as_of": 1}).to_list(None)
    )
    queues, seen = {doc["_id"]: doc for doc in found}, {doc["_id"]: doc for doc in evaluated}
    fresh = now - timedelta(seconds=RACED)
    lines = {}
    for department in ids:
        doc = queues.get(department, {"waiting": 0, "revision": 0})
        at = max(now, seen.get(department, {}).get("as_of") or now)
        raced = frozenset(r["chat_id"] for r in doc.get("raced", ()) if r["at"] > fresh)
        if len(raced) < len(doc.get("raced", ())):
            await db["queues"].update_one({"_id": department}, {"$pull": {"raced": {"at": {"$lte": fresh}}}})
        lines[department] = Line(is_open(schedules[department], at), doc["waiting"], raced, doc["revision"])
    return lines


async def join(db: Database, department: str, line: Line, chat_ids: Sequence[str], longest: int, now: datetime) -> bool:
    """These chats stand in the line, as long as routing tells nothing newer than `line` and no more than `longest` do.

    All of them or, when another replica came first or there is not room for all, none: then read again.
    """
    room = longest - line.waiting - len(chat_ids)
    if room < 0:
        return False
    expected = {"_id": department, "revision": line.revision, "raced.chat_id": {"$nin": list(chat_ids)}}
    expected[f"raced.{room}"] = {"$exists": False}  # so many others at most were let in
    joining = [{"chat_id": chat_id, "at": now} for chat_id in chat_ids]
    result = await db["queues"].update_one(expected, {"$push": {"raced": {"$each": joining}}})
    return result.modified_count == 1
