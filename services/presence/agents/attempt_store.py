"""Store of wrong passwords by account and by known browser, in the database, so that a limit holds in all replicas.

attempts: {_id: digest of the account or browser, count, next_at, expires_at}. What may be used only once is marked here
too, {_id: digest of it, expires_at}. So is what a browser may fetch later: {_id: digest of the reference, kept,
expires_at}.
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

    async def take_back(self, key: str, now: datetime) -> None:
        """Count the last admitted attempt under this key as none. The wrong ones before it still count."""
        change = {"$inc": {"count": -1}, "$set": {"next_at": now}}
        await self._attempts.update_one({"_id": key, "count": {"$gt": 0}}, change)

    async def forget(self, key: str) -> None:
        """Forget the wrong passwords under this key."""
        await self._attempts.delete_one({"_id": key})

    async def use_once(self, key: str, until: datetime, kept: str | None = None) -> bool:
        """Mark what has this key as used until then, and keep a content with it. Return False when it was before."""
        with_it = {} if kept is None else {"kept": kept}
        try:
            await self._attempts.insert_one({"_id": key, **with_it, "expires_at": until})
        except DuplicateKeyError:
            return False
        return True

    async def was_used(self, key: str) -> bool:
        """Return whether what has this key was used."""
        return await self._attempts.find_one({"_id": key}, {"_id": 1}) is not None

    async def keep(self, key: str, content: str, until: datetime) -> None:
        """Keep a content under this new key until then."""
        await self._attempts.insert_one({"_id": key, "kept": content, "expires_at": until})

    async def kept(self, key: str) -> str | None:
        """Return what is kept under this key."""
        doc = await self._attempts.find_one({"_id": key}, {"kept": 1})
        return doc.get("kept") if doc else None

    async def remove(self, key: str) -> bool:
        """Remove what is kept under this key. Return whether it was there: of several callers one gets True."""
        return (await self._attempts.delete_one({"_id": key})).deleted_count == 1
