"""The names of people, agents and officers, in the collection of either."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

MOST_ALIKE = 50  # people whose name has a text in it


async def names_in(collection: Any, ids: Sequence[str], like: str | None) -> dict[str, str]:
    """Return the names of the people with these ids, and of those whose name has `like` in it, by id."""
    found: dict[str, str] = {}
    if ids:
        found |= {doc["_id"]: doc["name"] async for doc in collection.find({"_id": {"$in": list(ids)}}, {"name": 1})}
    if like is not None:
        alike = {"name": {"$regex": re.escape(like), "$options": "i"}}
        found |= {doc["_id"]: doc["name"] async for doc in collection.find(alike, {"name": 1}).limit(MOST_ALIKE)}
    return found
