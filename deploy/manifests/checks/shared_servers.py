"""Checks of cities that share a broker and a database: nobody reaches what is of another city. No I/O."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from deploy.manifests.checks import installation
from deploy.manifests.checks.environment import environment
from deploy.manifests.objects import ALLOWED, SERVERS, Object, called, of_kind, services

TOPOLOGY = ("Vhost", "Exchange", "Queue", "Binding", "Policy", "User", "Permission", "TopicPermission")
WITH_DATABASE = {"presence": "readWrite", "routing": "readWrite", "transcripts": "readWrite"}
MOST_BYTES = 63  # of the name of a database (MongoDB manual, "MongoDB Limits and Thresholds")


def problems(servers: Sequence[Object], cities: Sequence[Sequence[Object]]) -> list[str]:
    """Return one line for each thing that a city lacks on the servers, or that it shares with another city."""
    found = [line for city in cities for line in (*_declares(servers, city), *_stores(servers, city))]
    found += _strangers(servers, {installation.namespace(city) for city in cities})
    pairs = [(one, other) for number, one in enumerate(cities) for other in cities[number + 1 :]]
    return found + [line for one, other in pairs for line in installation.collisions(one, other)]


def _declares(servers: Sequence[Object], city: Sequence[Object]) -> Iterator[str]:
    """What the city declares is in its own virtual host of the shared broker, where its services are connected."""
    own = installation.namespace(city)
    for broker in of_kind(servers, "RabbitmqCluster").values():
        if own not in broker["metadata"]["annotations"][ALLOWED].split(","):
            yield f"{own} may declare nothing on {called(broker)}"
    for thing in (o for kind in TOPOLOGY for o in of_kind(city, kind).values()):
        spec = thing["spec"]
        if spec["rabbitmqClusterReference"].get("namespace") != SERVERS:
            yield f"{called(thing)} of {own} is not for the broker of {SERVERS}"
        vhost = spec["name"] if thing["kind"] == "Vhost" else spec.get("vhost", "/")
        if thing["kind"] != "User" and vhost != own:
            yield f"{called(thing)} of {own} is in the virtual host {vhost}"
    for scaler in of_kind(city, "ScaledObject").values():
        for trigger in (t for t in scaler["spec"]["triggers"] if t["type"] == "rabbitmq"):
            if trigger["metadata"].get("vhostName") != own:
                yield f"{called(scaler)} of {own} asks for queues of another virtual host"
    for user in of_kind(city, "User").values():
        if {"administrator", "monitoring", "policymaker"} & set(user["spec"].get("tags", ())):
            yield f"{called(user)} of {own} sees other virtual hosts"
    for name, deployment in services(city):
        address = urlsplit(environment(city, deployment)[0].get("RABBITMQ_URL", ""))
        if (address.hostname, address.path) != (f"rabbitmq.{SERVERS}.svc", f"/{own}"):
            yield f"{name} of {own} is not connected to its virtual host"


def _stores(servers: Sequence[Object], city: Sequence[Object]) -> Iterator[str]:
    """Each service has a user for its own database alone, and writes to that database."""
    own = installation.namespace(city)
    users = {
        (one["db"], one["name"]): {(role["db"], role["name"]) for role in one["roles"]}
        for database in of_kind(servers, "MongoDBCommunity").values()
        for one in database["spec"]["users"]
    }
    for name, deployment in services(city):
        if name not in WITH_DATABASE:
            continue
        database = environment(city, deployment)[0].get("MONGODB_PREFIX", "") + name
        if database != f"{own}_{name}" or len(database) > MOST_BYTES:
            yield f"{name} of {own} has the database {database}"
        if users.get((f"{own}_{name}", name)) != {(f"{own}_{name}", WITH_DATABASE[name])}:
            yield f"{name} of {own} has no user of the database with the right to its own alone"
    wanted = {(f"{own}_{name}", "read") for name in WITH_DATABASE}
    if users.get(("admin", f"{own}-backup"), wanted) != wanted:
        yield f"the user {own}-backup reads other databases than those of {own}"


def _strangers(servers: Sequence[Object], cities: set[str]) -> Iterator[str]:
    """No user of the database is of no city."""
    for database in of_kind(servers, "MongoDBCommunity").values():
        for user in database["spec"]["users"]:
            if {role["db"].rpartition("_")[0] for role in user["roles"]} - cities:
                yield f"{called(database)}: the user {user['name']} of {user['db']} belongs to no city"
