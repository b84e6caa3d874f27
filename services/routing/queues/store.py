"""Store of department queues: revision, handling times of the latest chats, slots of the agents.

One document a department. Each replica hears of slots only now and then, and all are to publish the same estimate.
"""

from __future__ import annotations

from contextlib import suppress

from pymongo.errors import DuplicateKeyError

from services.common.events.places import PlacesChanged
from services.common.mongo.client import Database
from services.routing.queues import wait_estimate


class QueueStore:
    """The documents of all departments' queues."""

    def __init__(self, database: Database) -> None:
        self._queues = database["queues"]

    async def next_revision(self, department: str, at_least: int) -> int:
        """A revision for this department's queue that is above all given before, and `at_least` this.

        Call it before reading the order: then whoever has a higher one has seen all that you saw, or tells again.
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

    async def add_handled(self, department: str, seconds: float) -> None:
        """One more chat ended here with an agent who had it for so long. Lost by a crash it is missing, no more."""
        latest = {"$each": [round(seconds, 1)], "$slice": -wait_estimate.REMEMBERED}
        await self._queues.update_one({"_id": department}, {"$push": {"handled": latest}}, upsert=True)

    async def note_places(self, event: PlacesChanged) -> None:
        """The places of the department's available agents as this event has them, unless a newer one was noted."""
        if event.places is None:
            return
        known = await self._queues.find_one({"_id": event.department}, {"places": 1, "places_revision": 1}) or {}
        noted = known.get("places_revision")
        if known.get("places") == event.places or (noted is not None and noted >= event.revision):
            return
        places = {"places": event.places, "places_revision": event.revision}
        if not known:
            with suppress(DuplicateKeyError):  # who was first has heard as much; the event is repeated anyway
                await self._queues.insert_one({"_id": event.department, **places})
            return
        await self._queues.update_one({"_id": event.department, "places_revision": noted}, {"$set": places})

    async def pace(self, department: str) -> float | None:
        """Seconds in which the line of this department moves up by one; None when that is not known."""
        found = await self._queues.find_one({"_id": department}, {"handled": 1, "places": 1}) or {}
        return wait_estimate.pace(found.get("handled") or [], found.get("places"))
