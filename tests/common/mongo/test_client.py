"""`client.py` against the embedded server: the concerns that every promise rests on, and its absence."""

import asyncio
import time
from datetime import UTC, datetime

import pytest
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_preferences import ReadPreference

from services.common.clock import Clock
from services.common.config.settings import Settings
from services.common.config.toml_file import ConfigurationError
from services.common.mongo import client as opened
from services.common.mongo.client import DUPLICATE_KEY, open_database, ping, probe_write, read_time
from tests.support.servers import PATIENCE

SECRET = "sixteen characters or more"


def settings(url: str, prefix: str = "") -> Settings:
    return Settings(token_secret=SECRET, mongodb_url=url, mongodb_prefix=prefix)


async def test_a_service_has_a_database_of_its_own_with_the_concerns_said_here(
    mongodb_url: str, mongodb_prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opened, "PING_LIMIT", PATIENCE)
    database = open_database(settings(mongodb_url, mongodb_prefix), "routing")
    try:
        assert database.name == f"{mongodb_prefix}routing"
        assert database.write_concern.document == {"w": "majority", "j": True, "wtimeout": 10_000}
        assert database.read_concern.level == "majority"
        assert database.read_preference == ReadPreference.PRIMARY
        assert await ping(database)
        await probe_write(database)
        await probe_write(database)
        assert await database["probe"].find_one() == {"_id": "probe", "n": 2}
    finally:
        database.client.close()


@pytest.mark.parametrize("wrong", [3600.0, -86_400.0])
async def test_a_clock_that_is_wrong_is_set_by_the_databases(
    mongodb_url: str, mongodb_prefix: str, monkeypatch: pytest.MonkeyPatch, wrong: float
) -> None:
    clock = Clock(wall=lambda: time.time() + wrong)
    monkeypatch.setattr(opened, "CLOCK", clock)
    database = open_database(settings(mongodb_url, mongodb_prefix), "routing")
    try:
        async with asyncio.timeout(PATIENCE):
            while abs(clock.now().timestamp() - time.time()) > 1:  # an answer that took long is not used
                await read_time(database)
    finally:
        database.client.close()


async def test_times_come_back_aware(mongodb_url: str, mongodb_prefix: str) -> None:
    database = open_database(settings(mongodb_url, mongodb_prefix), "routing")
    try:
        at = datetime(2026, 11, 23, 8, 0, 0, 123_000, tzinfo=UTC)
        await database["times"].insert_one({"_id": 1, "at": at})
        found = await database["times"].find_one({"_id": 1})
        assert found is not None
        assert found["at"] == at
        assert found["at"].tzinfo is not None
    finally:
        database.client.close()


async def test_a_doubled_id_has_the_code_that_stores_branch_on(mongodb_url: str, mongodb_prefix: str) -> None:
    database = open_database(settings(mongodb_url, mongodb_prefix), "routing")
    try:
        await database["x"].insert_one({"_id": 1})
        with pytest.raises(DuplicateKeyError) as caught:
            await database["x"].insert_one({"_id": 1})
        assert caught.value.code == DUPLICATE_KEY
    finally:
        database.client.close()


async def test_an_absent_server_shows_in_seconds_and_not_before_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opened, "PING_LIMIT", 0.05)
    monkeypatch.setattr(opened, "SELECT_LIMIT", 0.3)
    database = open_database(settings("mongodb://127.0.0.1:9/"), "routing")
    try:
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(TimeoutError):
                await ping(database)
            with pytest.raises(PyMongoError):
                await probe_write(database)
    finally:
        database.client.close()


@pytest.mark.parametrize(
    "url", ["mongodb://user:private@host:port/", "mongodb://us%er:private@host/", "mongodb://user:private@/"]
)
async def test_a_bad_address_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_database(settings(url), "routing")
    assert str(caught.value).startswith("MONGODB_URL: ")
    assert "private" not in str(caught.value)
    assert caught.value.__suppress_context__
