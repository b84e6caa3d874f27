"""Store of officers: people who log in without being agents.

officers: {_id, role, username, name, password_hash, second_factor, enabled, oidc}. `oidc` {issuer, subject,
organisation}: the account is of the issuer's person; it has no password. `changed`: `people_store.py`.
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
from services.presence.agents.people_store import PeopleStore
from services.presence.agents.roles import Officer
from services.presence.oidc.roles import Membership


class OfficerStore(PeopleStore):
    """Access to the documents of officers."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, "officers")
        self._officers = self._people

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

    async def officer(self, officer_id: str) -> Officer | None:
        """Return this officer, if they may log in and this release knows their role."""
        doc = await self._officers.find_one({"_id": officer_id, "enabled": True})
        if doc is None or doc["role"] not in OFFICER_ROLES:
            return None
        return Officer(doc["_id"], doc["username"], doc["name"], doc["role"])


def _known(account: Account) -> dict[str, Any]:
    known = account.model_dump(
        mode="json", include={"role", "username", "name", "password_hash", "must_change_password"}
    )
    return known | {"enabled": True} | totp.known_of(account.totp_secret)
