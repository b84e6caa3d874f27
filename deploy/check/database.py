"""Checks of MongoDB: address, password, rights, replica set, write concern."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from deploy.check.result import Result

LIMIT_MS = 5_000
SECRET = "compare user and password with the Secret (docs/kubernetes.md, Secrets)"  # noqa: S105 - advice

UNAUTHORIZED = 13
WITH_DATABASE = ("presence", "routing", "transcripts")
MORE = re.compile(r"root|dbOwner|dbAdmin|userAdmin|restore|backup|cluster\w+|hostManager|__system|\w+AnyDatabase")
"""Roles that MongoDB has itself and that no service needs (MongoDB manual, "Built-In Roles")."""
UNVERIFIED = "name the CA (tlsCAFile=ca.crt in the address) and a host of the certificate (docs/kubernetes.md, TLS)"


def results(url: str, service: str, prefix: str = "") -> Iterator[Result]:
    """Check a service's database as the service with this address would find it.

    Writes one document, `probe`, in a collection of that name, and makes an index there for a moment.

    Args:
        url: The service's address of MongoDB.
        service: Its name.
        prefix: What all databases of the installation begin with (`MONGODB_PREFIX`).
    """
    name = prefix + service
    try:
        concern = parse_uri(url)["options"]
        client: MongoClient[dict[str, Any]] = MongoClient(url, serverSelectionTimeoutMS=LIMIT_MS, appname="check")
    except (PyMongoError, ValueError):
        yield Result("database: address", "is no address of MongoDB", "mongodb://user:password@host:27017/?…")
        return
    with client:
        try:
            told = client.admin.command("hello")
            client[name].command("count", "probe")
        except OperationFailure as error:
            todo = SECRET if error.code == 18 else f"give the user readWrite on {name}"
            yield Result("database: login", f"refused (code {error.code})", todo)
            return
        except PyMongoError as error:
            if "certificate verify failed" in str(error):
                yield Result("database: login", "its certificate is not verified", UNVERIFIED)
                return
            todo = "is MongoDB up, is the address right, does a NetworkPolicy allow it?"
            yield Result("database: login", f"no answer ({type(error).__name__})", todo)
            return
        yield Result("database: login", f"MongoDB with wire version {told['maxWireVersion']}")
        alone = "setName" not in told
        todo = "make it a replica set of three: backups and majorities need one" if alone else ""
        yield Result("database: replica set", "none" if alone else str(told["setName"]), todo)
        yield _concern(concern)
        yield _write(client, name)
        yield _index(client, name)
        yield from _rights(client, service, prefix)


def _concern(options: Any) -> Result:
    wanted = options.get("w") == "majority" and options.get("journal") is True
    todo = "" if wanted else "add w=majority&journal=true to MONGODB_URL: other tools use it too"
    return Result("database: write concern", "majority, journal" if wanted else "not in the address", todo)


def _write(client: MongoClient[dict[str, Any]], name: str) -> Result:
    probe = client[name].get_collection("probe", write_concern=WriteConcern("majority", j=True, wtimeout=LIMIT_MS))
    try:
        probe.update_one({"_id": "probe"}, {"$inc": {"n": 1}}, upsert=True)
    except OperationFailure as error:
        return Result("database: write", f"refused (code {error.code})", f"give the user readWrite on {name}")
    except PyMongoError as error:
        return Result("database: write", type(error).__name__, "a majority of the members must be up")
    return Result("database: write", "acknowledged by a majority")


def _index(client: MongoClient[dict[str, Any]], name: str) -> Result:
    """Make and remove an index: a service does so when it brings its database up to date."""
    probe = client[name]["probe"]
    try:
        probe.drop_index(probe.create_index("n", name="probe"))
    except OperationFailure as error:
        return Result("database: indexes", f"refused (code {error.code})", f"give the user readWrite on {name}")
    except PyMongoError as error:
        return Result("database: indexes", type(error).__name__, "a majority of the members must be up")
    return Result("database: indexes", "may be made")


def _rights(client: MongoClient[dict[str, Any]], service: str, prefix: str) -> Iterator[Result]:
    """The user has to log in, has no role but for its own database, and is refused elsewhere when it tries."""
    name = prefix + service
    try:
        told = client.admin.command("connectionStatus")["authInfo"]
        others = [prefix + other for other in WITH_DATABASE if other != service]
        read = [other for other in others if _may_read(client, other, "probe")]
        read += ["users"] * _may_read(client, "admin", "system.users")
    except PyMongoError as error:
        yield Result("database: rights", type(error).__name__, "a majority of the members must be up")
        return
    if not told["authenticatedUsers"]:
        todo = "let MongoDB demand a login, and give each service a user with readWrite on its own database"
        yield Result("database: rights", "nobody has to log in", todo)
        return
    more = [
        f"{one['role']} on {one['db']}"
        for one in told["authenticatedUserRoles"]
        if one["db"] != name or MORE.fullmatch(one["role"])
    ]
    todo = f"give the user readWrite on {name} and no other role"
    yield Result("database: roles", ", ".join(more) or f"for {name} alone", todo if more else "")
    found = f"it reads {', '.join(read)}" if read else f"it is refused {', '.join(others)} and the users"
    yield Result("database: other databases", found, todo if read else "")


def _may_read(client: MongoClient[dict[str, Any]], database: str, collection: str) -> bool:
    try:
        client[database][collection].find_one()
    except OperationFailure as error:
        if error.code == UNAUTHORIZED:
            return False
        raise
    return True
