"""Store of the accounts. A change of an account and its entry in the history are one write to one document.

accounts: {_id: username, account: what the accounts file has of it, or None: removed, removed, revision, at, by,
history [AccountEntry]}. A change writes the revision after the one that its author has seen: of two authors one
succeeds. A removed account keeps its document with the history, without a hash or a secret. The history has never had
one. The secret of one-time passwords is sealed (`secret_seal.py`); one in clear is of a release before, or of a replica
of it. accounts_begun: {_id, at}: the accounts of the file are all stored.

A later release may have stored what this one does not know, and then have been taken back. A member that is unknown
stays in the document when the account changes. An account, or an entry of the history, that this release cannot read is
logged and left out: nobody logs in with such an account, and it can be neither changed nor written over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

import structlog
from pymongo import ASCENDING, UpdateOne
from pymongo.errors import DuplicateKeyError

from services.common.batches import batched
from services.common.events.types import derived_id
from services.common.internal_api.accounts import KEPT, PAGE, AccountEntry
from services.common.internal_api.configuration import Author
from services.common.mongo.client import Database
from services.presence.accounts.secret_seal import SecretSeal
from services.presence.agents import totp
from services.presence.agents.accounts import Account
from services.presence.authors import known_author

log = structlog.get_logger()

Read = TypeVar("Read")
AT_ONCE = 20  # accounts written with one command
FILE = Author(id="operator", name="ACCOUNTS_FILE", role="operator")
_WITHOUT_HISTORY = {"history": False}
_ANY_SECRET = "A" * 32  # fits the rules of a secret


@dataclass(frozen=True)
class StoredAccount:
    """An account with its revision.

    Attributes:
        username: Whose it is.
        account: The account; None: it is removed. `totp_secret` is sealed where no key opens it.
        revision: The revision.
        at: When it was made.
        by: Who made it.
        outdated: The secret as it is stored, where it was opened and is not sealed with the newest key.
    """

    username: str
    account: Account | None
    revision: int
    at: datetime
    by: Author
    outdated: str | None = field(default=None, repr=False)


class UnreadableAccount(Exception):
    """A later release has stored an account that this one cannot read."""


class AccountStore:
    """The accounts in the database. All methods raise `PyMongoError` when it does not answer."""

    def __init__(self, database: Database, seal: SecretSeal) -> None:
        self._accounts, self._begun = database["accounts"], database["accounts_begun"]
        self._seal = seal

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
                first = self._document(account, 1, now, FILE) | {"history": [entry.model_dump()]}
                writes.append(UpdateOne({"_id": account.username}, {"$setOnInsert": first}, upsert=True))
            await self._accounts.bulk_write(writes, ordered=False)
        await self._begun.update_one({"_id": "begun"}, {"$setOnInsert": {"at": now}}, upsert=True)

    async def revisions(self) -> dict[str, int]:
        """Return the revision of each account that is not removed."""
        found = self._accounts.find({"removed": False}, {"revision": True})
        return {doc["_id"]: doc["revision"] async for doc in found}

    async def all(self) -> tuple[list[StoredAccount], dict[str, int]]:
        """Return the accounts that are not removed, in the order of the usernames, and the revisions of all."""
        cursor = self._accounts.find({"removed": False}, _WITHOUT_HISTORY).sort("_id", ASCENDING)
        docs = [doc async for doc in cursor]
        found = [one for doc in docs if (one := self._readable(doc)) is not None]
        return found, {doc["_id"]: doc["revision"] for doc in docs}

    async def get(self, username: str) -> StoredAccount | None:
        """Return this account, also a removed one; None: there never was one.

        Raises:
            UnreadableAccount: There is one that this release cannot read.
        """
        found = await self._accounts.find_one({"_id": username}, _WITHOUT_HISTORY)
        return self._read(found) if found else None

    async def listed(self, search: str, after: str) -> tuple[list[StoredAccount], bool]:
        """Return accounts after this username with this text in it or in the name, and whether there are others."""
        wanted: dict[str, Any] = {"removed": False, "_id": {"$gt": after}}
        if search:
            like = {"$regex": re.escape(search), "$options": "i"}
            wanted["$or"] = [{"_id": like}, {"account.name": like}]
        return await self._first(wanted, PAGE, self._readable)

    async def listed_removed(self, search: str, after: str) -> tuple[list[tuple[StoredAccount, AccountEntry]], bool]:
        """Return removed accounts as `listed`, each with its removal, which has the fields as they were."""
        wanted: dict[str, Any] = {"removed": True, "_id": {"$gt": after}}
        if search:
            like = {"$regex": re.escape(search), "$options": "i"}
            named = {"history": {"$elemMatch": {"act": "removed", "before.name": like}}}
            wanted["$or"] = [{"_id": like}, named]
        return await self._first(wanted, PAGE, self._removed, {"history": {"$slice": -1}})

    async def page(self, after: str, most: int) -> tuple[list[StoredAccount], bool]:
        """Return accounts after this username, and whether there are others."""
        return await self._first({"removed": False, "_id": {"$gt": after}}, most, self._readable)

    async def _first(
        self,
        wanted: Mapping[str, Any],
        most: int,
        read: Callable[[Mapping[str, Any]], Read | None],
        members: Mapping[str, Any] = _WITHOUT_HISTORY,
    ) -> tuple[list[Read], bool]:
        """Return the first of these accounts that can be read, and whether there are others.

        Args:
            wanted: What they have in common.
            most: So many at most.
            read: Returns what there is to return of a document; None: nothing.
            members: The members of a document that are read.
        """
        found: list[Read] = []
        cursor = self._accounts.find(wanted, members).sort("_id", ASCENDING).batch_size(most + 1)
        async for doc in cursor:
            if (one := read(doc)) is not None:
                found.append(one)
            if len(found) > most:
                break
        await cursor.close()
        return found[:most], len(found) > most

    async def some(self, usernames: Sequence[str]) -> dict[str, StoredAccount]:
        """Return those of these accounts that are or were there, by username."""
        found = self._accounts.find({"_id": {"$in": list(usernames)}}, _WITHOUT_HISTORY)
        return {doc["_id"]: one async for doc in found if (one := self._readable(doc)) is not None}

    async def administrators(self) -> list[Account]:
        """Return the accounts of administrators that are not disabled."""
        wanted = {"removed": False, "account.role": "administrator", "account.disabled": False}
        found = [self._readable(doc) async for doc in self._accounts.find(wanted, _WITHOUT_HISTORY)]
        return [one.account for one in found if one is not None and one.account is not None]

    async def history(self, username: str) -> list[AccountEntry]:
        """Return the changes of an account, the newest first."""
        found = await self._accounts.find_one({"_id": username}, {"history": True})
        return [one for raw in reversed(found["history"]) if (one := _entry(raw)) is not None] if found else []

    async def put(
        self, username: str, account: Account | None, entry: AccountEntry, before: datetime | None = None
    ) -> bool:
        """Store the revision of `entry`, after the one before it. Return False when that is not the newest (any more).

        Args:
            username: Whose account it is.
            account: The account; None: it is removed.
            entry: The entry of the history.
            before: By the database's clock, the write is refused from then on, however late it arrives; None: never.
                A new account is always accepted.
        """
        document = self._document(account, entry.revision, entry.at, entry.by)
        if entry.revision == 1:
            try:
                await self._accounts.insert_one({"_id": username, **document, "history": [entry.model_dump()]})
            except DuplicateKeyError:
                return False
            return True
        wanted: dict[str, Any] = {"_id": username, "revision": entry.revision - 1}
        if before is not None:
            # In milliseconds: the embedded database compares no time of its own with a date.
            wanted["$expr"] = {"$lt": [{"$toLong": "$$NOW"}, int(before.timestamp() * 1000)]}
        push = {"history": {"$each": [entry.model_dump()], "$slice": -KEPT}}
        if account is not None:  # of an account that is there only the members that this release knows
            members = {f"account.{name}": value for name, value in document["account"].items()}
            known = {name: value for name, value in document.items() if name != "account"}
            result = await self._accounts.update_one(
                {**wanted, "removed": False}, {"$set": {**known, **members}, "$push": push}
            )
            if result.modified_count:
                return True
            wanted["removed"] = True
        result = await self._accounts.update_one(wanted, {"$set": document, "$push": push})
        return bool(result.modified_count)

    async def seal_again(self, found: StoredAccount) -> bool:
        """Seal the outdated secret of this account with the newest key. Return False when it was changed meanwhile.

        It makes no revision: the account is the same.
        """
        if found.account is None or found.account.totp_secret is None or found.outdated is None:
            return False
        result = await self._accounts.update_one(
            {"_id": found.username, "revision": found.revision, "account.totp_secret": found.outdated},
            {"$set": {"account.totp_secret": self._seal.close(found.account.totp_secret, found.username)}},
        )
        return bool(result.modified_count)

    def _document(self, account: Account | None, revision: int, at: datetime, by: Author) -> dict[str, Any]:
        stored = None
        if account is not None:
            stored = account.model_dump(mode="json", exclude={"username"})
            if account.totp_secret is not None:
                stored["totp_secret"] = self._seal.close(account.totp_secret, account.username)
        return {"account": stored, "removed": account is None, "revision": revision, "at": at, "by": by.model_dump()}

    def _readable(self, doc: Mapping[str, Any]) -> StoredAccount | None:
        """Return this account; None, and a line in the log, when this release cannot read it."""
        try:
            return self._read(doc)
        except UnreadableAccount:
            log.error("account_not_read", account_id=_id_of(doc), revision=doc.get("revision"))
            return None

    def _removed(self, doc: Mapping[str, Any]) -> tuple[StoredAccount, AccountEntry] | None:
        account, removal = self._readable(doc), _entry(doc["history"][-1])
        return (account, removal) if account and removal else None

    def _read(self, doc: Mapping[str, Any]) -> StoredAccount:
        """Return this account.

        Raises:
            UnreadableAccount: This release cannot read it.
        """
        try:
            return self._parsed(doc)
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # whatever a later release may have stored
            raise UnreadableAccount from error

    def _parsed(self, doc: Mapping[str, Any]) -> StoredAccount:
        known, outdated = doc["account"], None
        account = None
        if known is not None:
            members = {name: value for name, value in known.items() if name in Account.model_fields}
            if members.get("role"):
                members.pop("capacity", None)  # an officer's is never given
            if stored := members.get("totp_secret"):
                members["totp_secret"] = self._seal.open(stored, doc["_id"])
                is_open = not totp.is_sealed(members["totp_secret"])
                outdated = stored if is_open and not self._seal.is_newest(stored) else None
            account = account_of({"username": doc["_id"], **members})
        return StoredAccount(doc["_id"], account, doc["revision"], doc["at"], known_author(doc["by"]), outdated)


def _entry(raw: Mapping[str, Any]) -> AccountEntry | None:
    """Return this entry of a history; None, and a line in the log, when this release does not know what it says."""
    try:
        return AccountEntry.model_validate({**raw, "by": known_author(raw["by"])})
    except (ValueError, TypeError, KeyError):
        log.warning("account_entry_not_read", revision=raw.get("revision"), act=str(raw.get("act"))[:50])
        return None


def _id_of(doc: Mapping[str, Any]) -> str:
    account = doc.get("account")
    role = account.get("role") if isinstance(account, Mapping) else None
    return derived_id(str(role or "agent"), doc["_id"])


def account_of(members: Mapping[str, Any]) -> Account:
    """Return the account of these members, also one whose secret is sealed. An accounts file has no such account.

    Raises:
        ValidationError: They are no account.
    """
    secret = members.get("totp_secret")
    if not totp.is_sealed(secret):
        return Account.model_validate(members)
    made = Account.model_validate({**members, "totp_secret": _ANY_SECRET})
    return made.model_copy(update={"totp_secret": secret})
