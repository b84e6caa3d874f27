"""Client of a service's own MongoDB database, with the read and write concerns that every guarantee needs."""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo.errors import PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.read_preferences import ReadPreference
from pymongo.write_concern import WriteConcern

from services.common.clock import CLOCK
from services.common.config.settings import Settings
from services.common.config.toml_file import ConfigurationError
from services.common.http.problems import document

Database = AsyncIOMotorDatabase[dict[str, Any]]
DUPLICATE_KEY = 11000
HELLO_EVERY, HELLO_LIMIT = 4.0, 4.0  # seconds: how often the driver checks each server, and for how long
SELECT_LIMIT, SOCKET_LIMIT = 5.0, 15.0  # seconds: to select a server, and for its answer
PING_LIMIT = 2.0  # seconds for an answer to `ping`
TIME_EVERY = 5.0  # seconds between readings of the database's clock
log = structlog.get_logger()


def open_database(settings: Settings, service: str) -> Database:
    """Return the service's database. Nothing is connected yet.

    Writes wait for a majority and its journal; reads use the primary with majority. Times have a time zone (UTC). An
    absent server shows at the first use (5 s). A connection that swallows everything is detected by the server's
    monitor, at most `HELLO_EVERY` + `HELLO_LIMIT` after its last answer: then all connections are closed, those in use
    too.

    Raises:
        ConfigurationError: The address is invalid.
    """
    try:
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
            settings.mongodb_url,
            appname=service,
            tz_aware=True,
            serverSelectionTimeoutMS=int(SELECT_LIMIT * 1000),
            heartbeatFrequencyMS=int(HELLO_EVERY * 1000),
            connectTimeoutMS=int(HELLO_LIMIT * 1000),
            socketTimeoutMS=int(SOCKET_LIMIT * 1000),
            maxPoolSize=50,
            event_listeners=_listeners(settings),
        )
    except (PyMongoError, ValueError):  # their texts may quote the address with the password
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
    """Return True when the server answers within `PING_LIMIT`.

    Raises:
        PyMongoError: It does not answer.
        TimeoutError: It does not answer in time.
    """
    async with asyncio.timeout(PING_LIMIT):
        await database.command("ping")
    return True


async def read_time(database: Database) -> None:
    """Set this process's clock to the database's time (`hello`, MongoDB manual).

    Raises:
        PyMongoError: The database does not answer.
    """
    asked = time.monotonic()
    shown: datetime = (await database.command("hello"))["localTime"]
    if off := CLOCK.read(shown.replace(tzinfo=UTC), asked, time.monotonic()):
        log.warning("clock_set", seconds=round(off, 3))


async def follow_time(database: Database) -> None:
    """Read the time repeatedly.

    Between readings, and while the database does not answer, the clock continues by itself.
    """
    while True:
        with contextlib.suppress(PyMongoError):
            await read_time(database)
        await asyncio.sleep(TIME_EVERY)


async def probe_write(database: Database) -> None:
    """Return when a write was acknowledged by a majority.

    Raises:
        PyMongoError: It was not.
    """
    await database["probe"].update_one({"_id": "probe"}, {"$inc": {"n": 1}}, upsert=True)


def answer_outages(app: FastAPI) -> None:
    """Answer requests with the problem 503 `unavailable` while the database does not answer."""

    @app.exception_handler(PyMongoError)
    async def unavailable(_: Request, error: PyMongoError) -> Response:
        log.warning("database_unavailable", error=type(error).__name__)
        return document(503, "unavailable", "The database cannot be reached. Please try again.", {"Retry-After": "1"})
