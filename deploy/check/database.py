"""Checks of MongoDB: address, password, rights, replica set, write concern."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from deploy.check.result import Result

LIMIT_MS = 5_000
SECRET = "compare user and password with the Secret (docs/kubernetes.md, Secrets)"  # noqa: S105 - advice

UNVERIFIED = "name the CA (tlsCAFile=ca.crt in the address) and a host of the certificate (docs/kubernetes.md, TLS)"


def results(url: str, name: str) -> Iterator[Result]:
    """Check the database `name` as a service with this address would find it. Writes one document, `probe`."""
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
