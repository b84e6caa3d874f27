"""Store of department queues: revision, handling times of the latest chats, slots of the agents.

There is one document for each department. Each replica receives the slots only sometimes, and all replicas must publish
the same estimate.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from functools import partial

from pymongo.errors import DuplicateKeyError

from services.common.batches import gather_limited
from services.common.events.places import DepartmentPlaces, PlacesChanged
from services.common.mongo.client import Database
from services.common.mongo.queries import with_ids
from services.routing.queues import wait_estimate

AT_ONCE = 20  # documents written at a time


class QueueStore:
    """Access to the documents of the departments' queues."""

    def __init__(self, database: Database) -> None:
        self._queues = database["queues"]

    async def next_revision(self, department: str, at_least: int) -> int:
        """Return a revision for this queue that is above all earlier ones, and at least `at_least`.

        Call it before reading the order: a process with a higher revision has then seen all that this one saw, or
        publishes again.
        """
        while True:
            found = await self._queues.find_one({"_id": department}, {"revision": 1})
            last = int(found.get("revision", 0)) if found else 0
            revision = max(last + 1, at_least)
            if found is None:
                with suppress(DuplicateKeyError):
                    await self._queues.insert_one({"_id": department, "revision": revision})
                    return revision
                continue
            mine = {"_id": department, "revision": found.get("revision")}
            if (await self._queues.update_one(mine, {"$set": {"revision": revision}})).modified_count:
                return revision

    async def revisions(self, departments: Collection[str]) -> dict[str, int]:
        """Return the present revision of each of these queues that has one."""
        found = await with_ids(self._queues, departments, {"revision": 1})
        return {doc["_id"]: int(doc["revision"]) for doc in found if "revision" in doc}

    async def paces(self, departments: Collection[str]) -> dict[str, float | None]:
        """Return for each of these queues in how many seconds it moves up by one; None when that is not known."""
        found = await with_ids(self._queues, departments, {"handled": 1, "places": 1})
        return {d["_id"]: wait_estimate.seconds_each(d.get("handled") or [], d.get("places")) for d in found}

    async def add_handled(self, department: str, seconds: float) -> None:
        """Add the handling time of a chat that ended with an agent. A crash may lose one, which does no harm."""
        latest = {"$each": [round(seconds, 1)], "$slice": -wait_estimate.REMEMBERED}
        await self._queues.update_one({"_id": department}, {"$push": {"handled": latest}}, upsert=True)

    async def note_slots_of(self, listed: Sequence[DepartmentPlaces]) -> None:
        """Store the slots of the available agents of these departments, each unless a newer number is stored."""
        found = await with_ids(self._queues, [places.department for places in listed], {"places": 1})
        known = {doc["_id"]: doc.get("places") for doc in found}
        news = [
            places for places in listed if places.places is not None and known.get(places.department) != places.places
        ]
        await gather_limited(AT_ONCE, [partial(self.note_slots, places) for places in news])

    async def note_slots(self, event: PlacesChanged | DepartmentPlaces) -> None:
        """Store the slots of the department's available agents, unless a newer number is stored."""
        if event.places is None:
            return
        known = await self._queues.find_one({"_id": event.department}, {"places": 1, "places_revision": 1}) or {}
        noted = known.get("places_revision")
        if known.get("places") == event.places or (noted is not None and noted >= event.revision):
            return
        places = {"places": event.places, "places_revision": event.revision}
        if not known:
            with suppress(DuplicateKeyError):  # another replica stored it; the event is repeated anyway
                await self._queues.insert_one({"_id": event.department, **places})
            return
        await self._queues.update_one({"_id": event.department, "places_revision": noted}, {"$set": places})

    async def seconds_each(self, department: str) -> float | None:
        """Return the seconds in which this queue moves up by one; None when that is not known."""
        found = await self._queues.find_one({"_id": department}, {"handled": 1, "places": 1}) or {}
        return wait_estimate.seconds_each(found.get("handled") or [], found.get("places"))
