"""Migrations of routing's database. Add a step at the end; never change one that was released."""

from __future__ import annotations

from pymongo import ASCENDING, DESCENDING, IndexModel

from services.common.mongo.client import Database
from services.common.mongo.migrations import Step, make_indexes

_IN_LINE = [("head", DESCENDING), ("opened_at", ASCENDING), ("_id", ASCENDING)]


async def _first_indexes(db: Database) -> None:
    line = [("state", ASCENDING), ("department", ASCENDING), *_IN_LINE]
    assigned = [("assignments.department", ASCENDING), ("assignments.at", DESCENDING)]
    await make_indexes(
        db,
        {
            "chats": [
                IndexModel(line, name="line"),
                IndexModel([("agent_id", ASCENDING), ("state", ASCENDING)], name="agent", sparse=True),
                IndexModel(assigned, name="assigned", sparse=True),
                IndexModel([("due_at", ASCENDING)], name="due", sparse=True),
                IndexModel([("expire_at", ASCENDING)], name="expire", sparse=True, expireAfterSeconds=0),
            ]
        },
    )


async def _indexes_of_admission(db: Database) -> None:
    expire = IndexModel([("expire_at", ASCENDING)], name="expire", expireAfterSeconds=0)
    await make_indexes(db, {name: [expire] for name in ("starts", "addresses", "blocks")})


STEPS = (Step("indexes of chats", _first_indexes), Step("indexes of admission", _indexes_of_admission))
