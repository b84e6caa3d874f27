"""`leases.py` on the real database: one of many replicas has a lease, and it ends by itself."""

import asyncio
from datetime import UTC, datetime, timedelta

from services.common.mongo.client import Database
from services.common.mongo.leases import Leases
from tests.common.mongo.test_migrations import db

__all__ = ["db"]
NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


async def test_one_of_many_replicas_takes_a_lease_and_again_when_it_has_ended(db: Database) -> None:
    replicas = [Leases(db) for _ in range(8)]
    for now in (NOW, NOW + timedelta(seconds=55), NOW + timedelta(seconds=300)):
        taken = await asyncio.gather(*(replica.take("remind", 55, now) for replica in replicas))
        assert sum(taken) == 1
        assert not any([await replica.take("remind", 55, now + timedelta(seconds=54.9)) for replica in replicas])


async def test_the_lease_of_another_job_is_another_one(db: Database) -> None:
    assert await Leases(db).take("remind", 55, NOW)
    assert await Leases(db).take("other", 55, NOW)


async def test_a_lease_that_is_given_back_is_free_and_nobody_elses(db: Database) -> None:
    one, other = Leases(db), Leases(db)
    assert await one.take("change", 55, NOW)
    await other.release("change", NOW)
    assert not await other.take("change", 55, NOW)
    await one.release("change", NOW)
    assert await other.take("change", 55, NOW)
