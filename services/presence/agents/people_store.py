"""Store of what agents and officers have in common: their logins, and passwords that they have changed themselves.

`password_hash` is that of the account, in the accounts file or in the database. `changed` {hash, of} is the password
that the person has chosen. It counts while the account has the hash that it replaced (`of`, its fingerprint): a new
hash of the account is the operator's or an administrator's, and counts instead. An earlier release does not read
`changed` and accepts the password of the account. `must_change_password`: the password of the account is for one login,
in which another one is chosen. It has no meaning while `changed` counts.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from services.common.mongo.client import Database
from services.presence.agents.accounts import Account
from services.presence.agents.passwords import fingerprint

MOST_ALIKE = 50  # people whose name has a text in it
_FIELDS = {"username": 1, "password_hash": 1, "changed": 1}


def current_hash(doc: Mapping[str, Any]) -> str:
    """Return the hash of the password that counts."""
    stored: str = doc["password_hash"]
    changed = doc.get("changed")
    return changed["hash"] if changed and changed["of"] == fingerprint(stored) else stored


def with_chosen(account: Account, chosen: tuple[str, str] | None) -> Account:
    """Return an account with the password that counts.

    `chosen`: the hash of a password that the person has chosen, and the fingerprint of the one that it replaces.
    """
    if chosen is None or chosen[1] != fingerprint(account.password_hash):
        return account
    return account.model_copy(update={"password_hash": chosen[0], "must_change_password": False})


class PeopleStore:
    """What the stores of agents and of officers have in common: their logins, in one collection each."""

    def __init__(self, database: Database, collection: str) -> None:
        self._people = database[collection]

    async def persons(self, issuer: str, subject: str | None = None) -> dict[str, str]:
        """Return the organisation of each account of the issuer's persons who may log in, or of one of them, by id."""
        wanted: dict[str, Any] = {"oidc.issuer": issuer, "enabled": True}
        if subject is not None:
            wanted["oidc.subject"] = subject
        return {doc["_id"]: doc["oidc"]["organisation"] async for doc in self._people.find(wanted, {"oidc": 1})}

    async def is_of_issuer(self, person_id: str) -> bool:
        """Return whether this is a person of an issuer who may log in."""
        wanted = {"_id": person_id, "enabled": True, "oidc": {"$exists": True}}
        return await self._people.find_one(wanted, {"_id": True}) is not None

    async def names(self, ids: Sequence[str], like: str | None) -> dict[str, str]:
        """Return the names of the people with these ids, and of those whose name has `like` in it, by id."""
        found: dict[str, str] = {}
        if ids:
            by_id = self._people.find({"_id": {"$in": list(ids)}}, {"name": 1})
            found |= {doc["_id"]: doc["name"] async for doc in by_id}
        if like is not None:
            alike = self._people.find({"name": {"$regex": re.escape(like), "$options": "i"}}, {"name": 1})
            found |= {doc["_id"]: doc["name"] async for doc in alike.limit(MOST_ALIKE)}
        return found

    async def password_of(self, username: str) -> tuple[str, str] | None:
        """Return the id and the password hash of a person who may log in with a password."""
        found = await self._with_password({"username": username})
        return (found[0], found[2]) if found else None

    async def account(self, person_id: str) -> tuple[str, str, str] | None:
        """Return the id, the username and the password hash of this person, if they may log in with a password."""
        return await self._with_password({"_id": person_id})

    async def _with_password(self, who: Mapping[str, str]) -> tuple[str, str, str] | None:
        doc = await self._people.find_one({**who, "enabled": True, "oidc": {"$exists": False}}, _FIELDS)
        return (doc["_id"], doc["username"], current_hash(doc)) if doc else None

    async def second_factor(self, person_id: str) -> str | None:
        """Return the fingerprint of this person's secret for one-time passwords: empty without one, None: not known."""
        doc = await self._people.find_one({"_id": person_id}, {"second_factor": 1})
        return doc.get("second_factor") if doc else None

    async def must_change_password(self, person_id: str) -> bool:
        """Return whether the password that counts was given for one login, in which a new one has to be chosen."""
        doc = await self._people.find_one({"_id": person_id}, {**_FIELDS, "must_change_password": 1})
        return bool(doc and doc.get("must_change_password") and current_hash(doc) == doc["password_hash"])

    async def change_password(self, person_id: str, former: str, new: str) -> bool:
        """Store a new password hash in place of `former`. Return False when that one does not count any more."""
        doc = await self._people.find_one({"_id": person_id}, _FIELDS)
        if doc is None or current_hash(doc) != former:
            return False
        as_read = {"_id": person_id, "password_hash": doc["password_hash"], "changed": doc.get("changed")}
        changed = {"hash": new, "of": fingerprint(doc["password_hash"])}
        result = await self._people.update_one(as_read, {"$set": {"changed": changed}})
        return bool(result.modified_count)

    async def changed_passwords(self) -> dict[str, str]:
        """Return the hashes of the passwords that people have changed, by their ids."""
        found = self._people.find({"changed": {"$exists": True}, "enabled": True}, _FIELDS)
        return {doc["_id"]: current_hash(doc) async for doc in found}

    async def chosen_passwords(self, ids: Collection[str]) -> dict[str, tuple[str, str]]:
        """Return the hashes of the passwords that these people have chosen, by id, also of those who are disabled.

        Beside each is the fingerprint of the hash that it replaces; it counts while the account has that one.
        """
        found = self._people.find({"_id": {"$in": list(ids)}, "changed": {"$exists": True}}, {"changed": 1})
        return {doc["_id"]: (doc["changed"]["hash"], doc["changed"]["of"]) async for doc in found}
