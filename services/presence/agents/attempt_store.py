"""Store of wrong passwords by account and by known browser, in the database, so that a limit holds in all replicas.

attempts: {_id: digest of the account or browser, count, next_at, expires_at}
"""

from __future__ import annotations

from datetime import datetime, timedelta

from pymongo.errors import DuplicateKeyError

from services.common.mongo.client import Database

FREE = 10  # wrong passwords without a delay, of an account and of a known browser
FIRST_DELAY, LONGEST_DELAY = 5.0, 900.0  # seconds before the next attempt
REMEMBERED, REMEMBERED_LONG = timedelta(hours=1), timedelta(hours=24)  # without and with a delay


def delay(wrong: int) -> float:
    """Return the seconds before the next attempt, after so many wrong passwords in a row."""
    return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(wrong - FREE, 20)) if wrong >= FREE else 0.0


class AttemptStore:
    """Access to the counts of wrong passwords."""

    def __init__(self, database: Database) -> None:
        self._attempts = database["attempts"]

    async def wait_of(self, key: str, now: datetime) -> float:
        """Return the seconds until the next attempt under this key; 0 when it may be made now."""
        doc = await self._attempts.find_one({"_id": key})
        return max(0.0, (doc["next_at"] - now).total_seconds()) if doc and "next_at" in doc else 0.0

    async def admit(self, key: str, now: datetime) -> float:
        """Count an attempt as wrong before it is checked. Return 0, or the seconds until an attempt may be made.

        Simultaneous attempts are all counted, in any replica, so that attempts in parallel have no advantage.
        """
        while True:
            doc = await self._attempts.find_one({"_id": key})
            if doc and "next_at" in doc and doc["expires_at"] > now:
                if doc["next_at"] > now:
                    return float((doc["next_at"] - now).total_seconds())
                wrong = int(doc["count"]) + 1
            else:
                wrong = 1
            wait = delay(wrong)
            kept = REMEMBERED_LONG if wait else REMEMBERED
            change = {"count": wrong, "next_at": now + timedelta(seconds=wait), "expires_at": now + kept}
            if doc:
                seen = {"_id": key, "count": doc["count"], "expires_at": doc["expires_at"]}
                if (await self._attempts.update_one(seen, {"$set": change})).modified_count:
                    return 0.0
                continue
            try:
                await self._attempts.insert_one({"_id": key, **change})
                return 0.0
            except DuplicateKeyError:
                continue

    async def forget(self, key: str) -> None:
        """Forget the wrong passwords under this key."""
        await self._attempts.delete_one({"_id": key})
