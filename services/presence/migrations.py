"""Migrations of presence's database. Add a step at the end; never change one that was released."""

from __future__ import annotations

from pymongo import ASCENDING, IndexModel

from services.common.mongo.client import Database
from services.common.mongo.migrations import Step, make_indexes

_KEPT_AFTER = 3_600  # seconds in which a repair job can publish that a session expired
_THERE = [("departments", ASCENDING), ("online", ASCENDING), ("state", ASCENDING), ("free", ASCENDING)]


async def _first_indexes(db: Database) -> None:
    await make_indexes(
        db,
        {
            "agents": [IndexModel("username", unique=True), IndexModel("seats.chat_id"), IndexModel(_THERE)],
            "sessions": [
                IndexModel("token_hash", unique=True),
                IndexModel("agent_id"),
                IndexModel("ended_at"),
                IndexModel("expires_at", expireAfterSeconds=_KEPT_AFTER),
            ],
            "attempts": [IndexModel("expires_at", expireAfterSeconds=0)],
        },
    )


async def _indexes_of_repair_jobs(db: Database) -> None:
    """Create indexes with which repair jobs read only the agents concerned, not all of them each second or two."""
    await make_indexes(
        db, {"agents": [IndexModel("untold_since"), IndexModel("seats.leaving"), IndexModel("seats.confirmed")]}
    )


async def _missed_chats(db: Database) -> None:
    """Add the times at which each active agent did not accept a chat."""
    await db["agents"].update_many({"missed": {"$exists": False}}, {"$set": {"missed": []}})


async def _indexes_of_the_issuer(db: Database) -> None:
    """Create indexes by which a person and a session of the issuer are found."""
    await make_indexes(
        db,
        {
            "agents": [IndexModel([("oidc.issuer", ASCENDING), ("oidc.subject", ASCENDING)], sparse=True)],
            "sessions": [
                IndexModel("oidc.sub", sparse=True),
                IndexModel("oidc.sid", sparse=True),
                IndexModel("oidc.refresh_at", sparse=True),
            ],
        },
    )


async def _indexes_of_officers(db: Database) -> None:
    """Create indexes by which an officer is found at their login."""
    issuer = IndexModel([("oidc.issuer", ASCENDING), ("oidc.subject", ASCENDING)], sparse=True)
    await make_indexes(db, {"officers": [IndexModel("username"), issuer]})


async def _index_of_unused_sessions(db: Database) -> None:
    """Create an index by which the sessions are found that were not used for a while."""
    await make_indexes(db, {"sessions": [IndexModel("used_at", sparse=True)]})


async def _index_of_revisions(db: Database) -> None:
    """Create an index that has all that each replica reads each 2 s: of many accounts the histories are large."""
    parts = [("removed", ASCENDING), ("_id", ASCENDING), ("revision", ASCENDING)]
    await make_indexes(db, {"accounts": [IndexModel(parts)]})


STEPS = (
    Step("indexes of agents, sessions and attempts", _first_indexes),
    Step("indexes of what is told again", _indexes_of_repair_jobs),
    Step("chats that an agent at work missed", _missed_chats),
    Step("indexes of persons and sessions of the issuer", _indexes_of_the_issuer),
    Step("indexes of officers", _indexes_of_officers),
    Step("index of sessions by their last use", _index_of_unused_sessions),
    Step("index of the accounts' revisions", _index_of_revisions),
)
