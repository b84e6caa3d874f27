"""Queries that are cheap in a large installation, also on the embedded database."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from motor.motor_asyncio import AsyncIOMotorCollection

FEW = 50  # values that one query lists
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


def only(field: str, values: Collection[str]) -> dict[str, Any]:
    """Return the condition that a field has one of these values; none where they are many.

    The caller passes over the documents that have none of them. Where many are wanted, most documents are, and reading
    all is cheap. A database server does either equally fast. The embedded one compares each document with each value:
    1.2 s of processor time for 1,000 of 1,000 documents, against 14 ms for reading all.

    Args:
        field: The field.
        values: The values.
    """
    return {field: {"$in": list(values)}} if len(values) <= FEW else {}


async def with_ids(
    collection: AsyncIOMotorCollection[dict[str, Any]], ids: Iterable[str], fields: Mapping[str, int] | None = None
) -> list[dict[str, Any]]:
    """Return the documents with these ids of a collection that has one for each department.

    Args:
        collection: The collection.
        ids: The ids.
        fields: The projection, with `_id`; None: all fields.
    """
    wanted = set(ids)
    found = await collection.find(only("_id", wanted), fields).to_list(None)
    return [doc for doc in found if doc["_id"] in wanted]


def earlier_than(time: datetime) -> dict[str, datetime]:
    """Return the condition that a field has an earlier time than this one.

    An index lists documents without a time before all times. The lower bound keeps the embedded database from reading
    each of those (130 ms for 5,000); a database server passes over them anyway.
    """
    return {"$gt": EARLIEST, "$lt": time}
