"""Queries over many ids, and of times before another."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import services
from services.common.mongo.client import Database
from services.common.mongo.queries import FEW, earlier_than, with_ids
from tests.common.mongo.test_migrations import db

__all__ = ["db"]
NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)
SECOND = timedelta(seconds=1)


@pytest.mark.parametrize("wanted", [0, 1, FEW, FEW + 1, 3 * FEW])
async def test_the_documents_of_these_ids_and_no_others_are_returned(db: Database, wanted: int) -> None:
    await db.departments.insert_many([{"_id": f"d{i}", "n": i, "more": "x"} for i in range(4 * FEW)])
    found = await with_ids(db.departments, [f"d{i}" for i in range(wanted)] + ["unknown"], {"n": 1})
    assert sorted(found, key=lambda doc: doc["n"]) == [{"_id": f"d{i}", "n": i} for i in range(wanted)]
    whole = await with_ids(db.departments, [f"d{i}" for i in range(wanted)])
    assert len(whole) == wanted
    assert all(doc["more"] == "x" for doc in whole)


@pytest.mark.parametrize("indexed", [False, True])
async def test_only_earlier_times_are_earlier(db: Database, indexed: bool) -> None:
    times = [None, NOW - SECOND, NOW, NOW + SECOND]
    await db.marks.insert_many([{"_id": i, "at": at} for i, at in enumerate(times)] + [{"_id": "absent"}])
    if indexed:
        await db.marks.create_index("at")
    assert [doc["_id"] async for doc in db.marks.find({"at": earlier_than(NOW)})] == [1]


def test_no_store_finds_and_changes_in_one_step() -> None:
    """Decision 4: the embedded database reads the whole collection for it, 80 ms for 5,000 documents."""
    modules = list(Path(services.__path__[0]).rglob("*.py"))
    assert len(modules) > 100
    assert [path.name for path in modules if "find_one_and_" in path.read_text()] == []
