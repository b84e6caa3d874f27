"""Leases: one replica at a time does a job, for a limited time, without a leader.

leases: {_id: name of the job, holder, until}. A lease is taken by a compare-and-set. It ends by itself, so that a
replica that dies delays the job by one lease at most. Its time is the database's (decision 14). A job must be harmless
when two replicas do it: a slow replica may still be at work when its lease has ended.
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from pymongo.errors import DuplicateKeyError

from services.common.mongo.client import Database


class Leases:
    """The leases of one process in a service's database."""

    def __init__(self, database: Database) -> None:
        self._leases, self._holder = database["leases"], str(uuid.uuid4())

    async def take(self, job: str, seconds: float, now: datetime) -> bool:
        """Take the lease of a job for so long. Return False while it is held, also when this process holds it."""
        lease = {"holder": self._holder, "until": now + timedelta(seconds=seconds)}
        try:
            result = await self._leases.update_one({"_id": job, "until": {"$lte": now}}, {"$set": lease}, upsert=True)
        except DuplicateKeyError:
            return False
        return bool(result.modified_count or result.upserted_id is not None)

    async def release(self, job: str, now: datetime) -> None:
        """End the lease of a job that this process holds, before its time."""
        wanted = {"_id": job, "holder": self._holder, "until": {"$gt": now}}
        await self._leases.update_one(wanted, {"$set": {"until": now}})
