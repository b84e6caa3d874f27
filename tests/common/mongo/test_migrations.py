"""`migrations.py` on the real database: many replicas at once, interrupted ones, former and later ones."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator

import pytest
from pymongo import IndexModel
from pymongo.errors import AutoReconnect

from deploy.local import ports
from services.common.config.settings import Settings
from services.common.config.toml_file import ConfigurationError
from services.common.mongo.client import Database, open_database
from services.common.mongo.migrations import Step, make_indexes, upgrade
from services.presence import migrations as presence
from services.routing import migrations as routing
from services.transcripts import migrations as transcripts
from tests.support.servers import OUR_VARIABLES, ROOT, START_SECONDS

SECRET = "sixteen characters or more"
TABLES = {"presence": presence.STEPS, "routing": routing.STEPS, "transcripts": transcripts.STEPS}


@contextlib.asynccontextmanager
async def opened(url: str, prefix: str, service: str = "routing") -> AsyncIterator[Database]:
    database = open_database(Settings(token_secret=SECRET, mongodb_url=url, mongodb_prefix=prefix), service)
    try:
        yield database
    finally:
        database.client.close()


@pytest.fixture
async def db(mongodb_url: str, mongodb_prefix: str) -> AsyncIterator[Database]:
    async with opened(mongodb_url, mongodb_prefix) as database:
        yield database


async def stands_at(db: Database) -> tuple[int, int]:
    found = await db["schema"].find_one({"_id": "schema"}) or {}
    return found["version"], found["least"]


def named(number: int, least: int = 0) -> Step:
    """A step that makes the index `n<number>`."""

    async def apply(db: Database) -> None:
        await make_indexes(db, {"things": [IndexModel(f"field{number}", name=f"n{number}")]})

    return Step(f"step {number}", apply, least)


@pytest.mark.parametrize("service", sorted(TABLES))
async def test_five_replicas_at_once_bring_an_empty_database_to_the_present_form(
    service: str, mongodb_url: str, mongodb_prefix: str
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        five = [await stack.enter_async_context(opened(mongodb_url, mongodb_prefix, service)) for _ in range(5)]
        await asyncio.gather(*(upgrade(database, TABLES[service]) for database in five))
        assert await stands_at(five[0]) == (len(TABLES[service]), 0)
        made = [await five[0][name].index_information() for name in await five[0].list_collection_names()]
        assert sum(len(indexes) - 1 for indexes in made) >= {"presence": 8, "routing": 5, "transcripts": 7}[service]
        await upgrade(five[0], TABLES[service])
        assert made == [await five[0][name].index_information() for name in await five[0].list_collection_names()]


async def test_a_replica_that_ends_within_a_step_leaves_it_to_the_next_one(db: Database) -> None:
    half = asyncio.Event()

    async def apply(db: Database) -> None:
        await db["things"].update_one({"_id": 1}, {"$set": {"moved": True}}, upsert=True)
        if not half.is_set():
            half.set()
            await asyncio.Event().wait()
        await db["things"].update_one({"_id": 2}, {"$set": {"moved": True}}, upsert=True)

    steps = [named(1), Step("moves things", apply), named(3)]
    killed = asyncio.create_task(upgrade(db, steps))
    await half.wait()
    killed.cancel()
    await asyncio.gather(killed, return_exceptions=True)
    assert await stands_at(db) == (1, 0)
    await asyncio.gather(*(upgrade(db, steps) for _ in range(3)))
    assert await stands_at(db) == (3, 0)
    assert await db["things"].count_documents({"moved": True}) == 2


async def test_a_step_that_fails_is_not_done(db: Database) -> None:
    async def away(_: Database) -> None:
        raise AutoReconnect("gone")

    with pytest.raises(AutoReconnect):
        await upgrade(db, [named(1), Step("never", away)])
    assert await stands_at(db) == (1, 0)


async def test_steps_that_were_done_are_not_done_again(db: Database) -> None:
    await upgrade(db, [named(1)])
    await db["things"].drop_index("n1")
    await upgrade(db, [named(1), named(2)])
    assert set(await db["things"].index_information()) == {"_id_", "n2"}


async def test_former_code_works_on_a_later_database_that_was_only_added_to(db: Database) -> None:
    await upgrade(db, [named(1), named(2), named(3)])
    await upgrade(db, [named(1)])
    assert await stands_at(db) == (3, 0)


async def test_former_code_refuses_a_database_that_has_left_it_behind_from_before_the_step_on(db: Database) -> None:
    async def apply(db: Database) -> None:
        with pytest.raises(ConfigurationError, match="needs a version of the service that knows 2; this one knows 1"):
            await upgrade(db, [named(1)])
        seen.append(await stands_at(db))

    seen: list[tuple[int, int]] = []
    await upgrade(db, [named(1), Step("takes away", apply, least=2), named(3)])
    assert seen == [(1, 2)]
    assert await stands_at(db) == (3, 2)
    await upgrade(db, [named(1), named(2)])


async def test_a_service_that_the_database_has_left_behind_says_so_and_exits_with_78(
    db: Database, mongodb_url: str, mongodb_prefix: str, vhost_url: str
) -> None:
    await upgrade(db, TABLES["routing"])
    await db["schema"].update_one({"_id": "schema"}, {"$set": {"version": 99, "least": 98}})
    servers = {"RABBITMQ_URL": vhost_url, "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": mongodb_prefix}
    environ = {name: value for name, value in os.environ.items() if name not in OUR_VARIABLES}
    environ |= servers | {"TOKEN_SECRET": SECRET, "ROUTING_PORT": str(ports.pick())}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.routing"), cwd=ROOT, env=environ, stdout=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(START_SECONDS):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 78
    assert b"needs a version of the service that knows 98; this one knows" in said
    assert await stands_at(db) == (99, 98)


async def test_versions_that_start_at_once_agree(db: Database) -> None:
    steps = [named(n) for n in range(1, 6)]
    await asyncio.gather(*(upgrade(db, steps[:known]) for known in (1, 5, 3, 2, 4)))
    assert await stands_at(db) == (5, 0)
    assert {f"n{n}" for n in range(1, 6)} <= set(await db["things"].index_information())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (IndexModel("at", expireAfterSeconds=60), IndexModel("at", expireAfterSeconds=90)),
        (IndexModel("at", name="x"), IndexModel("other", name="x")),
        (IndexModel("at", name="old"), IndexModel("at", name="new")),
        (IndexModel("at", name="x"), IndexModel("at", name="x", sparse=True)),
    ],
)
async def test_an_index_with_other_options_gives_way_in_either_order(
    db: Database, old: IndexModel, new: IndexModel
) -> None:
    await db["things"].create_indexes([old, IndexModel("kept", name="kept")])
    await asyncio.gather(*(make_indexes(db, {"things": [new]}) for _ in range(5)))
    left = await db["things"].index_information()
    assert set(left) == {"_id_", "kept", new.document["name"]}
    for name in ("sparse", "expireAfterSeconds"):
        assert left[new.document["name"]].get(name) == new.document.get(name)


@pytest.mark.parametrize("unique", ["old", "new"])
async def test_a_unique_index_never_gives_way(db: Database, unique: str) -> None:
    await db["things"].create_indexes([IndexModel("at", unique=True) if unique == "old" else IndexModel("at")])
    before = await db["things"].index_information()
    with pytest.raises(ConfigurationError, match="unique"):
        await make_indexes(db, {"things": [IndexModel("at", unique=True) if unique == "new" else IndexModel("at")]})
    assert await db["things"].index_information() == before
