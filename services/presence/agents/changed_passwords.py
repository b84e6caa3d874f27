"""Passwords that people have changed themselves, in the documents of agents and of officers.

`changed` {hash, of} is beside `password_hash`, which is that of the accounts file. It counts while the file has the
hash for which it was made (`of`, its fingerprint): a new hash in the file is the operator's, and replaces it. A release
before it knows nothing of `changed` and accepts the password of the file. With `CONFIG_SOURCE=database` the stored
account is in the place of the file. `must_change_password`: the password is for one login, in which another one is
chosen; with that one in `changed` it is over.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from services.presence.agents.passwords import fingerprint

_FIELDS = {"username": 1, "password_hash": 1, "changed": 1}


def current_hash(doc: Mapping[str, Any]) -> str:
    """Return the hash of the password that counts."""
    stored: str = doc["password_hash"]
    changed = doc.get("changed")
    return changed["hash"] if changed and changed["of"] == fingerprint(stored) else stored


async def find_password(people: Any, who: Mapping[str, str]) -> tuple[str, str, str] | None:
    """Return the id, the username and the password hash of a person who may log in with a password.

    `who`: their `_id` or their `username`.
    """
    wanted = {**who, "enabled": True, "oidc": {"$exists": False}}
    doc = await people.find_one(wanted, _FIELDS)
    return (doc["_id"], doc["username"], current_hash(doc)) if doc else None


async def find_second_factor(people: Any, person_id: str) -> str | None:
    """Return the fingerprint of the secret that the accounts file has for this person; None: there is none stored."""
    doc = await people.find_one({"_id": person_id}, {"second_factor": 1})
    return doc.get("second_factor") if doc else None


async def must_change(people: Any, person_id: str) -> bool:
    """Return whether the password that counts was given for one login, in which a new one has to be chosen."""
    doc = await people.find_one({"_id": person_id}, {**_FIELDS, "must_change_password": 1})
    return bool(doc and doc.get("must_change_password") and current_hash(doc) == doc["password_hash"])


async def change_password(people: Any, person_id: str, former: str, new: str) -> bool:
    """Store a new password hash in place of `former`. Return False when that one does not count any more."""
    doc = await people.find_one({"_id": person_id}, _FIELDS)
    if doc is None or current_hash(doc) != former:
        return False
    as_read = {"_id": person_id, "password_hash": doc["password_hash"], "changed": doc.get("changed")}
    changed = {"hash": new, "of": fingerprint(doc["password_hash"])}
    result = await people.update_one(as_read, {"$set": {"changed": changed}})
    return bool(result.modified_count)


async def changed_passwords(people: Any) -> dict[str, str]:
    """Return the hashes of the passwords that people have changed, by their ids."""
    found = people.find({"changed": {"$exists": True}, "enabled": True}, _FIELDS)
    return {doc["_id"]: current_hash(doc) async for doc in found}
