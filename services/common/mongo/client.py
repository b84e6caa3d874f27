"""Client of a service's own MongoDB database, with the read and write concerns that every guarantee needs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import Any

import structlog
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from services.common.clock import CLOCK
from services.common.config.departments import ConfigurationError
from services.common.config.settings import Settings

Database = AsyncIOMotorDatabase[dict[str, Any]]
DUPLICATE_KEY = 11000
HELLO_EVERY, HELLO_LIMIT = 4.0, 4.0  # seconds: how often the driver asks each server whether it is there
TIME_EVERY = 5.0  # seconds between readings of the database's clock
log = structlog.get_logger()


def open_database(settings: Settings, service: str) -> Database:
    """The service's database: writes wait for a majority and its journal, reads come from the primary with majority.

    Times are aware (UTC). Nothing is connected yet; an absent server shows at the first use (5 s). A connection that
    only swallows is noticed by the server's monitor, `HELLO_EVERY` + `HELLO_LIMIT` after its last sign of life at most:
    then all connections are given up, those in use too. Raises `ConfigurationError` on a bad address.
    """
    try:
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
            settings.mongodb_url,
            appname=service,
            tz_aware=True,
            serverSelectionTimeoutMS=5_000,
            heartbeatFrequencyMS=int(HELLO_EVERY * 1000),
            connectTimeoutMS=int(HELLO_LIMIT * 1000),
            socketTimeoutMS=15_000,
            maxPoolSize=50,
            event_listeners=_listeners(settings),
        )
    except (PyMongoError, ValueError):  # their texts may quote the address, and with it the password
        raise ConfigurationError("MONGODB_URL: is not an address such as mongodb://host:27017/.") from None
    return client.get_database(
        settings.mongodb_prefix + service,
        write_concern=WriteConcern("majority", j=True, wtimeout=10_000),
        read_concern=ReadConcern("majority"),
        read_preference=ReadPreference.PRIMARY,
    )


def _listeners(settings: Settings) -> list[Any]:
    if not settings.trace_sample:
        return []
    from services.common.observability.otel_export import Commands

    return [Commands()]


async def ping(database: Database) -> bool:
    """True when the server answers within 2 s. Raises `PyMongoError` or `TimeoutError` when it does not."""
    async with asyncio.timeout(2):
        await database.command("ping")
    return True


async def read_time(database: Database) -> None:
    """This process's clock shows the database's time (`hello`, MongoDB manual). Raises `PyMongoError` when away."""
    asked = time.monotonic()
    told: datetime = (await database.command("hello"))["localTime"]
    if off := CLOCK.read(told.replace(tzinfo=UTC), asked, time.monotonic()):
        log.warning("clock_set", seconds=round(off, 3))


async def follow_time(database: Database) -> None:
    """Reads the time again and again; between readings, and while the database is away, the clock carries it on."""
    while True:
        with contextlib.suppress(PyMongoError):
            await read_time(database)
        await asyncio.sleep(TIME_EVERY)


async def probe_write(database: Database) -> None:
    """Returns when a write was acknowledged by a majority. Raises `PyMongoError` when not."""
    await database["probe"].update_one({"_id": "probe"}, {"$inc": {"n": 1}}, upsert=True)
