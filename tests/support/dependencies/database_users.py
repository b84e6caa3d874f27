"""The embedded database with users: every client logs in, as on a cluster."""

import contextlib
import dataclasses
import urllib.parse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from deploy.local import embedded_mongodb, ports
from tests.support.servers import PATIENCE, running

Role = tuple[str, str]
"""A role and the database for which it is given."""


@dataclasses.dataclass(frozen=True)
class Users:
    """A database server, as its administrator."""

    address: str
    admin: MongoClient[dict[str, Any]]

    def url(self, name: str, database: str, password: str) -> str:
        """The address of the server for a user of this database."""
        login = f"mongodb://{urllib.parse.quote(name)}:{password}@"
        return f"{self.address.replace('mongodb://', login)}&authSource={database}"

    def make(self, name: str, database: str, roles: Sequence[Role], password: str = "word") -> str:
        """A user of this database with these roles; its address."""
        given = [{"role": role, "db": where} for role, where in roles]
        self.admin[database].command("createUser", name, pwd=password, roles=given)
        return self.url(name, database, password)

    def of_service(self, name: str, database: str) -> str:
        """A user as the manifests give one to a service; its address."""
        return self.make(name, database, [("readWrite", database)])

    def remove(self, name: str, database: str) -> None:
        """Remove a user."""
        self.admin[database].command("dropUser", name)


@contextlib.contextmanager
def database_with_users(home: Path) -> Iterator[Users]:
    """The embedded server while the context is open.

    The administrator is made before it demands a login, because it has no exception for the first user.
    """
    home.mkdir(parents=True, exist_ok=True)
    port = ports.pick()
    program = embedded_mongodb.program(home / "database", port, home / "database.log")
    address = embedded_mongodb.url(port)
    with running([program]), MongoClient[dict[str, Any]](address) as first:
        first["admin"].command("createUser", "root", pwd="word", roles=[{"role": "root", "db": "admin"}])
        first["admin"]["written"].insert_one({})  # its journal has the user too, before the server is killed
    closed = dataclasses.replace(program, argv=(*program.argv, "--auth"))
    login = f"{address.replace('mongodb://', 'mongodb://root:word@')}&authSource=admin"
    with running([closed]), MongoClient[dict[str, Any]](login, serverSelectionTimeoutMS=int(PATIENCE * 1000)) as admin:
        yield Users(address, admin)
