"""Store of the versions of the departments. A version never changes; a change is a new one.

departments: {_id: number of the version, text (TOML), at, by: {id, name, role}, act, about}. The numbers have no gaps.
A new version has the number after the one that its author has seen, which is unique: of two authors one succeeds. The
newest `KEPT` versions are stored. A later release, which was taken back, may have stored acts that this one does not
know: the text counts all the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, get_args

from pymongo import DESCENDING
from pymongo.errors import DuplicateKeyError

from services.common.internal_api.configuration import PAGE, Act, Author, Version
from services.common.mongo.client import Database
from services.presence.authors import known_author

KEPT = 500


class StoredVersion(Version):
    """A version with its text."""

    text: str


class VersionStore:
    """The versions in the database. All methods raise `PyMongoError` when it does not answer."""

    def __init__(self, database: Database) -> None:
        self._versions = database["departments"]

    async def begin(self, text: str, now: datetime) -> bool:
        """Store the first version, of the departments file. Return False when there is a version already."""
        if await self.newest_number():
            return False
        author = Author(id="operator", name="DEPARTMENTS_FILE", role="operator")
        return await self.add(0, text, author, "begun", None, now) is not None

    async def newest_number(self) -> int:
        """Return the number of the newest version; 0: there is none."""
        found = await self._versions.find_one({}, {"_id": True}, sort=[("_id", DESCENDING)])
        return int(found["_id"]) if found else 0

    async def newest(self) -> StoredVersion | None:
        """Return the newest version, or None when there is none."""
        found = await self._versions.find_one({}, sort=[("_id", DESCENDING)])
        return _version(found) if found else None

    async def get(self, number: int) -> StoredVersion | None:
        """Return the version with this number, or None when it is not stored (any more)."""
        found = await self._versions.find_one({"_id": number})
        return _version(found) if found else None

    async def listed(self, before: int | None = None) -> tuple[list[Version], bool]:
        """Return versions before this one, the newest first, at most `PAGE`, and whether there are earlier ones."""
        wanted = {} if before is None else {"_id": {"$lt": before}}
        cursor = self._versions.find(wanted, {"text": False}).sort("_id", DESCENDING).limit(PAGE + 1)
        found = [Version.model_validate(_known(d)) async for d in cursor]
        return found[:PAGE], len(found) > PAGE

    async def add(
        self, base: int, text: str, by: Author, act: Act, about: str | None, now: datetime
    ) -> StoredVersion | None:
        """Store a version after `base`, the newest one. Return it, or None when `base` is not the newest (any more)."""
        if await self.newest_number() != base:
            return None
        made = StoredVersion(version=base + 1, at=now, by=by, act=act, about=about, text=text)
        try:
            await self._versions.insert_one({"_id": made.version, **made.model_dump(exclude={"version"})})
        except DuplicateKeyError:  # another author was first
            return None
        await self._versions.delete_many({"_id": {"$lte": made.version - KEPT}})
        return made


def _version(found: Mapping[str, Any]) -> StoredVersion:
    return StoredVersion.model_validate(_known(found))


def _known(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return a version as this release knows it. An act that only a later release knows is a change here."""
    act = found["act"] if found["act"] in get_args(Act) else "changed"
    return {**found, "version": found["_id"], "act": act, "by": known_author(found["by"])}
