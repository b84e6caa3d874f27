"""Store of buttons and free slots of departments.

buttons: {_id: department, generation, as_of, colour, reason, opens_at, stopped, revision, free, places,
places_revision, intake {reason, until, agent_id, name, at}}. `intake`: a supervisor has closed the intake; it stays
after `until`, until it is removed or replaced. `stopped` {reason, until}: the closed intake that the evaluated button
shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from pymongo import UpdateOne

from services.common.batches import batched
from services.common.mongo.client import Database
from services.common.mongo.queries import FEW, with_ids
from services.presence.button.rules import intake_closed

AT_ONCE = 100  # documents created with one command


class ButtonStore:
    """Access to the documents of buttons. `updater.py` says in which order an evaluation uses it."""

    def __init__(self, database: Database) -> None:
        self._buttons = database["buttons"]

    async def create(self, departments: Iterable[str]) -> None:
        """Create a document for each department. An existing one stays as it is."""
        first = {"generation": "", "revision": 0, "places_revision": 0}
        stored = {doc["_id"] for doc in await self._buttons.find({}, {"_id": 1}).to_list(None)}
        missing = [d for d in departments if d not in stored]
        for batch in batched(missing, AT_ONCE):
            writes = [UpdateOne({"_id": d}, {"$setOnInsert": first}, upsert=True) for d in batch]
            await self._buttons.bulk_write(writes, ordered=False)

    async def begin(self, departments: Iterable[str], generation: str) -> None:
        """Write the generation of an evaluation that begins."""
        for batch in batched(list(departments), FEW):
            await self._buttons.update_many({"_id": {"$in": list(batch)}}, {"$set": {"generation": generation}})

    async def read(self, departments: Iterable[str]) -> list[dict[str, Any]]:
        """Return the documents of these departments."""
        return await with_ids(self._buttons, departments)

    async def evaluated(self, departments: Iterable[str]) -> list[dict[str, Any]]:
        """Return the documents of these departments that were evaluated."""
        return [doc for doc in await with_ids(self._buttons, departments) if doc.get("revision", 0) > 0]

    async def close_intake(self, department: str, intake: Mapping[str, Any]) -> bool:
        """Store that the intake is closed. Return False for a department that has no button."""
        result = await self._buttons.update_one({"_id": department}, {"$set": {"intake": dict(intake)}})
        return result.matched_count == 1

    async def open_intake(self, department: str) -> bool:
        """Remove the closed intake. Return whether there was one."""
        wanted = {"_id": department, "intake": {"$exists": True}}
        return bool((await self._buttons.update_one(wanted, {"$unset": {"intake": ""}})).modified_count)

    async def closed_intakes(self, departments: Iterable[str], now: datetime) -> list[dict[str, Any]]:
        """Return `department`, `reason`, `until`, `agent_id`, `name`, `at` of each of these intakes that is closed."""
        found = await with_ids(self._buttons, departments, {"intake": 1})
        return [{"department": doc["_id"], **doc["intake"]} for doc in found if intake_closed(doc, now)]

    async def write(self, department: str, generation: str, changes: Mapping[str, Any]) -> bool:
        """Write what an evaluation changed. Return False when a later one has begun."""
        result = await self._buttons.update_one({"_id": department, "generation": generation}, {"$set": dict(changes)})
        return result.modified_count == 1
