"""Store of officers: people who log in without being agents.

officers: {_id, role, username, name, password_hash, second_factor, enabled, oidc}. `oidc` {issuer, subject,
organisation}: the account is of the issuer's person; it has no password. `changed`: `changed_passwords.py`.
`second_factor`: as in `store.py`.

Officers are not in the collection `agents`, so nothing that chooses, counts or lists agents can meet one. A replica
before version 2.0 does not read this collection: for it their sessions have no agent, and are refused.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymongo import UpdateOne

from services.common.internal_api.presence import OFFICER_ROLES
from services.common.mongo.client import Database
from services.presence.agents import totp
from services.presence.agents.accounts import Account
from services.presence.agents.changed_passwords import (
    change_password,
    changed_passwords,
    find_password,
    find_second_factor,
    must_change,
)
from services.presence.agents.names import names_in
from services.presence.agents.roles import Officer
from services.presence.oidc.roles import Membership


class OfficerStore:
    """Access to the documents of officers."""

    def __init__(self, database: Database) -> None:
        self._officers = database["officers"]

    async def put_accounts(self, accounts: Sequence[Account], issuer: str | None = None) -> list[str]:
        """Store the accounts that have an officer's role. Return the ids of officers who may not log in any more.

        Officers whom this issuer has logged in are kept.
        """
        wanted = {account.id: _known(account) for account in accounts if account.role is not None}
        gone = [
            doc["_id"]
            async for doc in self._officers.find({"enabled": True}, {"oidc": 1})
            if doc["_id"] not in wanted and (issuer is None or doc.get("oidc", {}).get("issuer") != issuer)
        ]
        await self.disable(gone)  # first: a username whose role has changed is there twice
        if wanted:
            await self._officers.bulk_write(
                [UpdateOne({"_id": id_}, {"$set": known}, upsert=True) for id_, known in wanted.items()], ordered=False
            )
        return [doc["_id"] async for doc in self._officers.find({"enabled": False}, {"_id": 1})]

    async def put_person(self, officer_id: str, person: Membership, issuer: str) -> None:
        """Store the account of a person whom the issuer has logged in."""
        known = {
            "role": person.role,
            "username": f"oidc-{officer_id}",
            "name": person.name,
            "password_hash": "",
            "enabled": True,
            "oidc": {"issuer": issuer, "subject": person.subject, "organisation": person.organisation},
        }
        await self._officers.update_one({"_id": officer_id}, {"$set": known}, upsert=True)

    async def disable(self, officer_ids: Sequence[str]) -> None:
        """These officers may not log in any more."""
        if officer_ids:
            wanted = {"_id": {"$in": list(officer_ids)}, "enabled": True}
            await self._officers.update_many(wanted, {"$set": {"enabled": False}})

    async def persons(self, issuer: str, subject: str | None = None) -> dict[str, str]:
        """Return the organisation of each account of the issuer's persons who may log in, or of one of them, by id."""
        wanted: dict[str, Any] = {"oidc.issuer": issuer, "enabled": True}
        if subject is not None:
            wanted["oidc.subject"] = subject
        return {doc["_id"]: doc["oidc"]["organisation"] async for doc in self._officers.find(wanted, {"oidc": 1})}

    async def password_of(self, username: str) -> tuple[str, str] | None:
        """Return the id and the password hash of an officer who may log in with a password."""
        found = await find_password(self._officers, {"username": username})
        return (found[0], found[2]) if found else None

    async def second_factor(self, officer_id: str) -> str | None:
        """Return the fingerprint of this officer's secret for one-time passwords: empty without one, None: unknown."""
        return await find_second_factor(self._officers, officer_id)

    async def account(self, officer_id: str) -> tuple[str, str, str] | None:
        """Return the id, the username and the password hash of this officer, if they may log in with a password."""
        return await find_password(self._officers, {"_id": officer_id})

    async def must_change_password(self, officer_id: str) -> bool:
        """Return whether this officer's next login needs a new password."""
        return await must_change(self._officers, officer_id)

    async def change_password(self, officer_id: str, former: str, new: str) -> bool:
        """Store a new password hash in place of `former`. Return False when that one does not count any more."""
        return await change_password(self._officers, officer_id, former, new)

    async def changed_passwords(self) -> dict[str, str]:
        """Return the hashes of the passwords that officers have changed, by their ids."""
        return await changed_passwords(self._officers)

    async def officer(self, officer_id: str) -> Officer | None:
        """Return this officer, if they may log in and this release knows their role."""
        doc = await self._officers.find_one({"_id": officer_id, "enabled": True})
        if doc is None or doc["role"] not in OFFICER_ROLES:
            return None
        return Officer(doc["_id"], doc["username"], doc["name"], doc["role"])

    async def names(self, ids: Sequence[str], like: str | None) -> dict[str, str]:
        """Return the names of the officers with these ids, and of those whose name has `like` in it, by id."""
        return await names_in(self._officers, ids, like)


def _known(account: Account) -> dict[str, Any]:
    known = account.model_dump(
        mode="json", include={"role", "username", "name", "password_hash", "must_change_password"}
    )
    return known | {"enabled": True, "second_factor": totp.fingerprint(account.totp_secret)}
