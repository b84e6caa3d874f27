"""Store of department queues as routing publishes them, and of presses that were admitted a moment ago.

queues: {_id: department, revision, waiting, raced [{chat_id, at}]}. `raced`: presses that came a moment too late for a
slot and were let into the queue. One counts until routing publishes it, until it has a slot, which may be before it is
ever published among the waiting chats, or for `RACED` seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pymongo import UpdateOne
from pymongo.errors import DuplicateKeyError

from services.common.batches import batched
from services.common.mongo.client import Database
from services.common.mongo.queries import with_ids
from services.presence.button.rules import QueueState, intake_closed
from services.presence.opening_hours import Schedule, is_open

RACED = 5.0
CLOSED_LATELY = 5.0  # seconds after closing time in which a press on a green button still counts as within the hours
AT_ONCE = 100  # documents created with one command


class QueueStore:
    """Access to the queues of departments, as far as presence needs them."""

    def __init__(self, database: Database) -> None:
        self._queues, self._buttons = database["queues"], database["buttons"]

    async def create(self, departments: Iterable[str]) -> None:
        """Create a document for each department. An existing one stays as it is."""
        first = {"revision": 0, "waiting": 0}
        stored = {doc["_id"] for doc in await self._queues.find({}, {"_id": 1}).to_list(None)}
        missing = [d for d in departments if d not in stored]
        for batch in batched(missing, AT_ONCE):
            writes = [UpdateOne({"_id": d}, {"$setOnInsert": first}, upsert=True) for d in batch]
            await self._queues.bulk_write(writes, ordered=False)

    async def set_waiting(self, department: str, revision: int, order: Sequence[str]) -> bool:
        """Store a published queue. Return False when a later revision is stored already.

        Chats of `raced` that are in the queue now do not count separately any more.
        """
        try:
            result = await self._queues.update_one(
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

    async def waiting(self, departments: Sequence[str]) -> dict[str, int]:
        """Return the number of waiting chats in each of these departments."""
        docs = await with_ids(self._queues, departments, {"waiting": 1})
        return {doc["_id"]: doc["waiting"] for doc in docs}

    async def read(
        self, schedules: Mapping[str, Schedule], wanted: Iterable[str], now: datetime
    ) -> dict[str, QueueState]:
        """Return the queues of these departments, as far as they are known, and whether each one is open at `now`.

        One whose intake a supervisor has closed is not open. A department whose button was evaluated with a clock ahead
        of ours is open or closed by that clock.
        """
        ids = [d for d in set(wanted) if d in schedules]
        found, evaluated = await asyncio.gather(
            with_ids(self._queues, ids), with_ids(self._buttons, ids, {"as_of": 1, "intake": 1})
        )
        queues, seen = {doc["_id"]: doc for doc in found}, {doc["_id"]: doc for doc in evaluated}
        fresh = now - timedelta(seconds=RACED)
        states = {}
        for department in ids:
            doc = queues.get(department, {"waiting": 0, "revision": 0})
            at = max(now, seen.get(department, {}).get("as_of") or now)
            raced = frozenset(r["chat_id"] for r in doc.get("raced", ()) if r["at"] > fresh)
            if len(raced) < len(doc.get("raced", ())):
                await self._queues.update_one({"_id": department}, {"$pull": {"raced": {"at": {"$lte": fresh}}}})
            if (schedule := schedules.get(department)) is None:  # removed meanwhile
                continue
            before = at - timedelta(seconds=CLOSED_LATELY)
            intake = intake_closed(seen.get(department, {}), at)
            opened = is_open(schedule, at) and intake is None
            lately = not opened and is_open(schedule, before) and (intake is None or intake["at"] > before)
            states[department] = QueueState(opened, doc["waiting"], raced, doc["revision"], lately)
        return states

    async def join(
        self, department: str, queue: QueueState, chat_ids: Sequence[str], longest: int, now: datetime
    ) -> bool:
        """Add these chats to the queue, unless routing has published a newer one or it would exceed `longest`.

        All of them are added, or none: when another replica was first or there is no room for all. Then read the queue
        again.
        """
        room = longest - queue.waiting - len(chat_ids)
        if room < 0:
            return False
        expected = {"_id": department, "revision": queue.revision, "raced.chat_id": {"$nin": list(chat_ids)}}
        expected[f"raced.{room}"] = {"$exists": False}  # at most so many others were let in
        joining = [{"chat_id": chat_id, "at": now} for chat_id in chat_ids]
        result = await self._queues.update_one(expected, {"$push": {"raced": {"$each": joining}}})
        return result.modified_count == 1

    async def leave(self, department: str, chat_ids: Sequence[str]) -> None:
        """Remove chats that have a slot now from those that were let in: nobody is behind them any more."""
        await self._queues.update_one(
            {"_id": department, "raced.chat_id": {"$in": list(chat_ids)}},
            {"$pull": {"raced": {"chat_id": {"$in": list(chat_ids)}}}},
        )
