"""Queries that are cheap in a large installation, also on the embedded database."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from motor.motor_asyncio import AsyncIOMotorCollection

FEW = 50  # ids that one query may list
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


async def with_ids(
    collection: AsyncIOMotorCollection[dict[str, Any]], ids: Iterable[str], fields: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """Return the documents of a collection that has one for each department.

    Where many are wanted, nearly all are, so all are read and the others passed over. A database server does either
    equally fast. The embedded one compares each document with each id: 1.2 s of processor time for 1,000 of 1,000
    documents, against 14 ms for reading all.

    Args:
        collection: The collection.
        ids: The departments.
        fields: The projection, with `_id`; None: all fields.
    """
    wanted = set(ids)
    if len(wanted) <= FEW:
        return await collection.find({"_id": {"$in": list(wanted)}}, fields).to_list(None)
    return [doc for doc in await collection.find({}, fields).to_list(None) if doc["_id"] in wanted]


def earlier_than(time: datetime) -> dict[str, datetime]:
    """Return the condition that a field has an earlier time than this one.

    An index lists documents without a time before all times. The lower bound keeps the embedded database from reading
    each of those (130 ms for 5,000); a database server passes over them anyway.
    """
    return {"$gt": EARLIEST, "$lt": time}
