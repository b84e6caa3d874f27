"""Store of the accounts. A change of an account and its entry in the history are one write to one document.

accounts: {_id: username, account: what the accounts file has of it, or None: removed, removed, revision, at, by,
history [AccountEntry]}. A change writes the revision after the one that its author has seen: of two authors one
succeeds. A removed account keeps its document with the history, without a hash or a secret. The history has never had
one. accounts_begun: {_id, at}: the accounts of the file are all stored.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pymongo import ASCENDING, UpdateOne
from pymongo.errors import DuplicateKeyError

from services.common.batches import batched
from services.common.internal_api.accounts import KEPT, PAGE, AccountEntry
from services.common.internal_api.configuration import Author
from services.common.mongo.client import Database
from services.presence.agents.accounts import Account

AT_ONCE = 20  # accounts written with one command
FILE = Author(id="operator", name="ACCOUNTS_FILE", role="operator")
_WITHOUT_HISTORY = {"history": False}


@dataclass(frozen=True)
class StoredAccount:
    """An account with its revision. `account`: None: it is removed."""

    username: str
    account: Account | None
    revision: int
    at: datetime
    by: Author


class AccountStore:
    """The accounts in the database. All methods raise `PyMongoError` when it does not answer."""

    def __init__(self, database: Database) -> None:
        self._accounts, self._begun = database["accounts"], database["accounts_begun"]

    async def begun(self) -> bool:
        """Return whether the accounts of the file are stored."""
        return await self._begun.find_one({}) is not None

    async def begin(self, accounts: Sequence[tuple[Account, Mapping[str, Any]]], now: datetime) -> None:
        """Store the accounts of the file, each with its view. Idempotent; what is stored already stays.

        A process that dies in between is followed by one that stores the rest.
        """
        for batch in batched(list(accounts), AT_ONCE):
            writes = []
            for account, view in batch:
                entry = AccountEntry(revision=1, at=now, by=FILE, act="begun", after=dict(view))
                first = _document(account, 1, now, FILE) | {"history": [entry.model_dump()]}
                writes.append(UpdateOne({"_id": account.username}, {"$setOnInsert": first}, upsert=True))
            await self._accounts.bulk_write(writes, ordered=False)
        await self._begun.update_one({"_id": "begun"}, {"$setOnInsert": {"at": now}}, upsert=True)

    async def revisions(self) -> dict[str, int]:
        """Return the revision of each account that is not removed."""
        found = self._accounts.find({"removed": False}, {"revision": True})
        return {doc["_id"]: doc["revision"] async for doc in found}

    async def all(self) -> list[StoredAccount]:
        """Return every account that is not removed, in the order of the usernames."""
        found = self._accounts.find({"removed": False}, _WITHOUT_HISTORY).sort("_id", ASCENDING)
        return [_read(doc) async for doc in found]

    async def get(self, username: str) -> StoredAccount | None:
        """Return this account, also a removed one; None: there never was one."""
        found = await self._accounts.find_one({"_id": username}, _WITHOUT_HISTORY)
        return _read(found) if found else None

    async def listed(self, search: str, after: str) -> tuple[list[StoredAccount], bool]:
        """Return accounts after this username with this text in it or in the name, and whether there are others."""
        wanted: dict[str, Any] = {"removed": False, "_id": {"$gt": after}}
        if search:
            like = {"$regex": re.escape(search), "$options": "i"}
            wanted["$or"] = [{"_id": like}, {"account.name": like}]
        cursor = self._accounts.find(wanted, _WITHOUT_HISTORY).sort("_id", ASCENDING).limit(PAGE + 1)
        found = [_read(doc) async for doc in cursor]
        return found[:PAGE], len(found) > PAGE

    async def page(self, after: str, most: int) -> tuple[list[StoredAccount], bool]:
        """Return accounts after this username, and whether there are others."""
        wanted = {"removed": False, "_id": {"$gt": after}}
        cursor = self._accounts.find(wanted, _WITHOUT_HISTORY).sort("_id", ASCENDING).limit(most + 1)
        found = [_read(doc) async for doc in cursor]
        return found[:most], len(found) > most

    async def some(self, usernames: Sequence[str]) -> dict[str, StoredAccount]:
        """Return those of these accounts that are or were there, by username."""
        found = self._accounts.find({"_id": {"$in": list(usernames)}}, _WITHOUT_HISTORY)
        return {doc["_id"]: _read(doc) async for doc in found}

    async def administrators(self) -> list[Account]:
        """Return the accounts of administrators that are not disabled."""
        wanted = {"removed": False, "account.role": "administrator", "account.disabled": False}
        found = [_read(doc) async for doc in self._accounts.find(wanted, _WITHOUT_HISTORY)]
        return [one.account for one in found if one.account is not None]

    async def history(self, username: str) -> list[AccountEntry]:
        """Return the changes of an account, the newest first."""
        found = await self._accounts.find_one({"_id": username}, {"history": True})
        return [AccountEntry.model_validate(one) for one in reversed(found["history"])] if found else []

    async def put(self, username: str, account: Account | None, entry: AccountEntry) -> bool:
        """Store the revision of `entry`, after the one before it. Return False when that is not the newest (any more).

        `account`: None: it is removed.
        """
        document = _document(account, entry.revision, entry.at, entry.by)
        if entry.revision == 1:
            try:
                await self._accounts.insert_one({"_id": username, **document, "history": [entry.model_dump()]})
            except DuplicateKeyError:
                return False
            return True
        history = {"$each": [entry.model_dump()], "$slice": -KEPT}
        result = await self._accounts.update_one(
            {"_id": username, "revision": entry.revision - 1}, {"$set": document, "$push": {"history": history}}
        )
        return bool(result.modified_count)


def _document(account: Account | None, revision: int, at: datetime, by: Author) -> dict[str, Any]:
    stored = account.model_dump(mode="json", exclude={"username"}) if account else None
    return {"account": stored, "removed": account is None, "revision": revision, "at": at, "by": by.model_dump()}


def _read(doc: Mapping[str, Any]) -> StoredAccount:
    known = doc["account"]
    account = None
    if known is not None:
        members = {name: value for name, value in known.items() if name in Account.model_fields}
        if members.get("role"):
            members.pop("capacity", None)  # an officer's is never given
        account = Account.model_validate({"username": doc["_id"], **members})
    return StoredAccount(doc["_id"], account, doc["revision"], doc["at"], Author.model_validate(doc["by"]))
