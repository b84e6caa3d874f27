"""Two installations on one broker and one database, with the rights of deploy/examples/several-cities."""

import asyncio
import base64
import contextlib
import json
import secrets
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import aio_pika
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from yarl import URL

from deploy.local.settings import SERVICES
from deploy.manifests.kustomize import parse, shared, text_of
from deploy.manifests.objects import Object, of_kind
from services.common.messaging.connection import REFUSALS
from services.common.messaging.declarations import declare_topology
from tests.support.clients import agent, citizen, new_id, pair, say, until_blue, until_green
from tests.support.dependencies.database_users import Users, database_with_users
from tests.support.servers import Broker, System, patient, running_system, unique

ADDRESSES = "RABBITMQ_URL=$BROKER_{name} MONGODB_URL=$DATABASE_{name}"
COMMAND = f"/bin/sh -c '{ADDRESSES} exec {sys.executable} -m services.{{name}}'"
WITH_DATABASE = ("presence", "routing", "transcripts")


@dataclass(frozen=True)
class City:
    """A city with its running system, and the addresses with which its services use the shared servers."""

    name: str
    system: System
    broker: dict[str, str]
    database: dict[str, str]

    @property
    def base(self) -> str:
        return self.system.base_url


def logins(servers: list[Object], users: Users, city: str) -> dict[str, str]:
    """The city's users of the database as the manifests have them: service → address."""
    (database,) = of_kind(servers, "MongoDBCommunity").values()
    return {
        one["name"]: users.make(one["name"], one["db"], [(role["name"], role["db"]) for role in one["roles"]])
        for one in database["spec"]["users"]
        if any(role["db"].startswith(f"{city}_") for role in one["roles"])
    }


@contextlib.contextmanager
def rights(broker: Broker, objects: list[Object]) -> Iterator[tuple[str, dict[str, str]]]:
    """The virtual host and the users of a city as the manifests have them: its name, and user → address."""
    (vhost,) = (thing["spec"]["name"] for thing in of_kind(objects, "Vhost").values())
    admin = patient(broker.make_vhost(vhost))
    (limits,) = (thing["spec"]["limits"] for thing in of_kind(objects, "Vhost").values())
    for limit, value in limits.items():
        broker.api("PUT", f"/api/vhost-limits/{vhost}/max-{limit}", {"value": value})

    async def declare() -> None:
        async with await aio_pika.connect(admin) as connection:
            await declare_topology(await connection.channel())

    asyncio.run(declare())
    names = {user: unique(f"{user}-") for user in of_kind(objects, "User")}  # the operator makes random ones
    addresses = {}
    try:
        for user, thing in of_kind(objects, "User").items():
            password = secrets.token_hex(8)
            tags = ",".join(thing["spec"].get("tags", ()))
            broker.api("PUT", f"/api/users/{names[user]}", {"password": password, "tags": tags})
            addresses[user] = str(URL(admin).with_user(names[user]).with_password(password))
        for kind, path in (("Permission", "permissions"), ("TopicPermission", "topic-permissions")):
            for thing in of_kind(objects, kind).values():
                spec = thing["spec"]
                name = names[spec["userReference"]["name"]]
                broker.api("PUT", f"/api/{path}/{spec['vhost']}/{name}", spec["permissions"])
        yield vhost, addresses
    finally:
        for name in names.values():
            with contextlib.suppress(urllib.error.HTTPError):
                broker.api("DELETE", f"/api/users/{name}")
        broker.remove_vhost(vhost)


@pytest.fixture(scope="module")
def users(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Users]:
    with database_with_users(tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture(scope="module")
def cities(broker: Broker, users: Users, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[City, City]]:
    """The two cities of the example. Both have the same agents and departments."""
    servers, *builds = (parse(text_of(folder)) for folder in shared())
    with contextlib.ExitStack() as stack:
        found = []
        for objects in builds:
            name, addresses = stack.enter_context(rights(broker, objects))
            database = logins(servers, users, name)
            urls = {f"BROKER_{service}": addresses[service] for service in SERVICES}
            urls |= {f"DATABASE_{service}": database.get(service, "mongodb://none:1/") for service in SERVICES}
            common = {"RABBITMQ_URL": addresses["gateway"], "MONGODB_URL": database["routing"]}
            home = tmp_path_factory.mktemp(name)
            given = {"RATE_LIMITS": "off", "TOPOLOGY": "given", "MONGODB_PREFIX": f"{name}_", **common, **urls}
            system = stack.enter_context(running_system(home, COMMAND, **given))
            found.append(City(name, system, addresses, database))
        one, other = found
        yield one, other


async def test_each_city_has_its_own_agents_and_conversations(cities: tuple[City, City], users: Users) -> None:
    one, other = cities
    await until_blue(one.base, "no_agents")
    words = {city.name: f"alleen voor {city.name} {new_id()}" for city in cities}
    async with agent(one.base) as an, citizen(one.base) as visitor:
        theirs, ours = await pair(visitor, an)
        await ours.expect("message", id=(await say(theirs, words[one.name]))["id"])
        await until_blue(other.base, "no_agents")  # the other city has nobody
        async with agent(other.base) as same_name, citizen(other.base) as guest:
            await until_green(other.base)
            theirs, ours = await pair(guest, same_name)
            await ours.expect("message", id=(await say(theirs, words[other.name]))["id"])
            await ours.send(type="close", chat_id=guest.chat_id)
            assert await theirs.closed() == 1000
        await until_blue(other.base, "no_agents")
    for city in cities:
        stored = {name for name in words if words[name] in entries(users, city)}
        assert stored == {city.name}


def entries(users: Users, city: City) -> str:
    """Everything that the city's three databases have."""
    found = []
    for service in WITH_DATABASE:
        database = users.admin[f"{city.name}_{service}"]
        names = [name for name in database.list_collection_names() if not name.startswith("system.")]
        assert names, service
        found += [str(document) for name in names for document in database[name].find()]
    return "\n".join(found)


@pytest.mark.parametrize("service", SERVICES)
async def test_no_service_is_let_into_the_virtual_host_of_another_city(cities: tuple[City, City], service: str) -> None:
    one, other = cities
    async with await aio_pika.connect(one.broker[service]):
        pass
    with pytest.raises(REFUSALS):
        await aio_pika.connect(str(URL(one.broker[service]).with_path(f"/{other.name}")))


@pytest.mark.parametrize("service", WITH_DATABASE)
def test_no_service_reads_or_writes_the_databases_of_another_city(cities: tuple[City, City], service: str) -> None:
    one, other = cities
    with MongoClient[dict[str, Any]](one.database[service]) as client:
        assert client[f"{one.name}_{service}"]["probe"].find_one({"_id": "nothing"}) is None
        elsewhere = client[f"{other.name}_{service}"]["chats"]
        for attempt in (elsewhere.find_one, lambda: elsewhere.insert_one({}), lambda: elsewhere.delete_many({})):
            with pytest.raises(OperationFailure) as refused:
                attempt()
            assert refused.value.code == 13


def test_a_backup_reads_its_own_city_alone(cities: tuple[City, City]) -> None:
    one, other = cities
    with MongoClient[dict[str, Any]](one.database[f"{one.name}-backup"]) as client:
        client[f"{one.name}_transcripts"]["chats"].find_one()
        for database in (f"{other.name}_transcripts", "admin"):
            with pytest.raises(OperationFailure) as refused:
                client[database]["chats"].find_one()
            assert refused.value.code == 13
        with pytest.raises(OperationFailure):
            client[f"{one.name}_transcripts"]["chats"].insert_one({})


def test_the_scaler_sees_the_queues_of_its_own_city(cities: tuple[City, City], broker: Broker) -> None:
    one, other = cities
    asked = URL(one.broker["keda"])
    token = base64.b64encode(f"{asked.user}:{asked.password}".encode()).decode()

    def queues(path: str) -> Any:
        request = urllib.request.Request(broker.management + path, headers={"Authorization": f"Basic {token}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.loads(answer.read())

    assert queues(f"/api/queues/{one.name}/transcripts.messages")["vhost"] == one.name
    assert {queue["vhost"] for queue in queues("/api/queues")} == {one.name}
    with pytest.raises(urllib.error.HTTPError):
        queues(f"/api/queues/{other.name}/transcripts.messages")
