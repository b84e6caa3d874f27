"""Numbered migrations of a database, which run while earlier releases work beside this one.

schema: {_id: "schema", version, least}. `version`: how many of the service's steps are done. `least`: how many steps a
release must know to work here; a step raises it when it would break earlier releases (docs/decisions/0013).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from pymongo import IndexModel
from pymongo.errors import OperationFailure

from services.common.config.toml_file import ConfigurationError
from services.common.mongo.client import Database

log = structlog.get_logger()
CONFLICTS = (85, 86)  # IndexOptionsConflict, IndexKeySpecsConflict (MongoDB's list of error codes)
NOT_FOUND = 27  # IndexNotFound
_ONE = {"_id": "schema"}


@dataclass(frozen=True)
class Step:
    """One change of a database's schema.

    Attributes:
        what: A description for the log.
        apply: Makes the change. It may run twice, in several replicas at once, or again after an interruption.
        least: Releases that know fewer steps than this must not start any more; 0: earlier releases still work.
    """

    what: str
    apply: Callable[[Database], Awaitable[None]]
    least: int = 0


async def upgrade(db: Database, steps: Sequence[Step]) -> None:
    """Do all steps that are not done. A database of a later release is left as it is.

    Raises:
        ConfigurationError: The schema is one with which this release cannot work.
        PyMongoError: The database does not answer.
    """
    first = {"version": 0, "least": 0}
    await db["schema"].update_one(_ONE, {"$setOnInsert": first}, upsert=True)
    while (version := await _version(db, len(steps))) < len(steps):
        step = steps[version]
        if step.least:  # before it breaks anything: no replica of an earlier release may start from here on
            await db["schema"].update_one(_ONE, {"$max": {"least": step.least}})
        await step.apply(db)
        done = await db["schema"].update_one({**_ONE, "version": version}, {"$set": {"version": version + 1}})
        if done.modified_count:
            log.info("schema_step_done", version=version + 1, what=step.what)


async def _version(db: Database, known: int) -> int:
    found = await db["schema"].find_one(_ONE) or {}
    version, least = int(found.get("version", 0)), int(found.get("least", 0))
    if least > known:
        raise ConfigurationError(
            f"the database {db.name} has schema {version}, which needs a version of the service that knows {least}; "
            f"this one knows {known}: start the newer version, or restore the data of the former one"
        )
    return version


async def make_indexes(db: Database, wanted: Mapping[str, Sequence[IndexModel]]) -> None:
    """Create the indexes of each collection. An index with the same name or keys and other options is replaced.

    Raises:
        ConfigurationError: A unique index would be replaced; for a moment it would guarantee nothing.
    """
    for collection, models in wanted.items():
        for model in models:
            try:
                await db[collection].create_indexes([model])
            except OperationFailure as error:
                if error.code not in CONFLICTS:
                    raise
                await _replace(db, collection, model)


async def _replace(db: Database, collection: str, model: IndexModel) -> None:
    new = _form(model.document)
    for name, old in (await db[collection].index_information()).items():
        if name != model.document["name"] and _form(old)["key"] != new["key"]:
            continue
        if old.get("unique") or new["unique"]:
            raise ConfigurationError(
                f"the index {name} of {db.name}.{collection} is not as this version needs it, and is or becomes unique:"
                " a step of its own must make the new one beside it under another name"
            )
        if _form(old) != new or name != model.document["name"]:
            await _drop(db, collection, name)
    await db[collection].create_indexes([model])


async def _drop(db: Database, collection: str, name: str) -> None:
    try:
        await db[collection].drop_index(name)
    except OperationFailure as error:
        if error.code != NOT_FOUND:  # another replica was first
            raise
    log.info("index_replaced", collection=collection, index=name)


def _form(index: Mapping[str, Any]) -> dict[str, Any]:
    """Return what defines an index, whether it was read from the server or is wanted."""
    keys = index["key"].items() if isinstance(index["key"], Mapping) else index["key"]
    options = {name: index.get(name) or None for name in ("unique", "sparse", "partialFilterExpression")}
    return {**options, "expireAfterSeconds": index.get("expireAfterSeconds"), "key": [tuple(pair) for pair in keys]}
