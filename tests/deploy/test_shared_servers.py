"""The example of cities that share a broker and a database fits, and each planted fault is reported."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from deploy.manifests.checks import schemas, shared_servers, sizes
from deploy.manifests.checks.build import problems
from deploy.manifests.kustomize import DEPLOY, parse, shared
from deploy.manifests.objects import Object, container, of_kind
from tests.deploy.builds import text_of

Build = list[Object]
Plant = Callable[[Build, Build], None]


@pytest.fixture(scope="module")
def builds() -> dict[str, Build]:
    return {folder.name: parse(text_of(folder)) for folder in shared()}


def reported(builds: dict[str, Build]) -> list[str]:
    servers, *cities = builds.values()
    return shared_servers.problems(servers, cities)


def test_the_servers_and_both_cities_fit(builds: dict[str, Build]) -> None:
    assert list(builds) == ["servers", "brugge", "gent"]
    for objects in [*builds.values(), parse(text_of(DEPLOY / "servers"))]:
        assert problems(objects) == []
    assert reported(builds) == []


def test_a_city_has_no_server_of_its_own_and_requests_less(builds: dict[str, Build]) -> None:
    own = parse(text_of(DEPLOY / "overlays" / "small"))
    kinds = ("RabbitmqCluster", "MongoDBCommunity", "PodMonitor", "Role")
    assert all(of_kind(own, kind) for kind in kinds)
    assert not any(of_kind(builds["gent"], kind) for kind in kinds)
    assert sizes.total(builds["gent"]).memory < 0.6 * sizes.total(own).memory


def test_everything_of_the_topology_is_in_the_virtual_host(builds: dict[str, Build]) -> None:
    whole = parse(text_of(DEPLOY / "overlays" / "small"))
    for kind in shared_servers.TOPOLOGY[1:]:
        assert set(of_kind(builds["gent"], kind)) == set(of_kind(whole, kind)), kind
    assert schemas.problems(list(of_kind(builds["gent"], "Vhost").values())) == []


def variable(objects: Build, service: str, name: str) -> Any:
    return next(one for one in container(of_kind(objects, "Deployment")[service])["env"] if one["name"] == name)


def another_vhost(_: Build, city: Build) -> None:
    of_kind(city, "Queue")["transcripts.messages"]["spec"]["vhost"] = "/"


def another_broker(_: Build, city: Build) -> None:
    del of_kind(city, "User")["routing"]["spec"]["rabbitmqClusterReference"]["namespace"]


def connected_elsewhere(_: Build, city: Build) -> None:
    one = variable(city, "gateway", "RABBITMQ_URL")
    one["value"] = one["value"].replace("/chat-gent", "/")


def not_allowed(servers: Build, _: Build) -> None:
    broker = of_kind(servers, "RabbitmqCluster")["rabbitmq"]
    broker["metadata"]["annotations"]["rabbitmq.com/topology-allowed-namespaces"] = "chat-brugge"


def one_prefix(_: Build, city: Build) -> None:
    variable(city, "routing", "MONGODB_PREFIX")["value"] = "chat-brugge_"


def a_tag(_: Build, city: Build) -> None:
    of_kind(city, "User")["keda"]["spec"]["tags"] = ["monitoring"]


def scaled_by_another(_: Build, city: Build) -> None:
    of_kind(city, "ScaledObject")["routing"]["spec"]["triggers"][0]["metadata"]["vhostName"] = "chat-brugge"


def users(servers: Build) -> list[Any]:
    found: list[Any] = of_kind(servers, "MongoDBCommunity")["mongodb"]["spec"]["users"]
    return found


def a_wide_user(servers: Build, _: Build) -> None:
    one = next(user for user in users(servers) if user["db"] == "chat-gent_routing")
    one["roles"].append({"db": "chat-brugge_routing", "name": "readWrite"})


def no_user(servers: Build, _: Build) -> None:
    users(servers)[:] = [user for user in users(servers) if user["db"] != "chat-gent_routing"]


def a_wide_backup(servers: Build, _: Build) -> None:
    one = next(user for user in users(servers) if user["name"] == "chat-gent-backup")
    one["roles"].append({"db": "chat-brugge_routing", "name": "read"})


def a_stranger(servers: Build, _: Build) -> None:
    users(servers).append({"name": "x", "db": "admin", "roles": [{"db": "chat-aalst_routing", "name": "read"}]})


@pytest.mark.parametrize(
    ("plant", "line"),
    [
        (another_vhost, "Queue transcripts.messages of chat-gent is in the virtual host /"),
        (another_broker, "User routing of chat-gent is not for the broker of eloket-servers"),
        (connected_elsewhere, "gateway of chat-gent is not connected to its virtual host"),
        (not_allowed, "chat-gent may declare nothing on RabbitmqCluster rabbitmq"),
        (one_prefix, "routing of chat-gent has the database chat-brugge_routing"),
        (a_tag, "User keda of chat-gent sees other virtual hosts"),
        (scaled_by_another, "ScaledObject routing of chat-gent asks for queues of another virtual host"),
        (a_wide_user, "routing of chat-gent has no user of the database with the right to its own alone"),
        (no_user, "routing of chat-gent has no user of the database with the right to its own alone"),
        (a_wide_backup, "the user chat-gent-backup reads other databases than those of chat-gent"),
        (a_stranger, "MongoDBCommunity mongodb: the user x of admin belongs to no city"),
    ],
)
def test_a_planted_fault_between_cities_is_reported(builds: dict[str, Build], plant: Plant, line: str) -> None:
    changed = copy.deepcopy(builds)
    plant(changed["servers"], changed["gent"])
    assert line in reported(changed)


def no_way(kind: str, name: str) -> Callable[[Build], None]:
    def plant(objects: Build) -> None:
        objects[:] = [o for o in objects if (o["kind"], o["metadata"]["name"]) != (kind, name)]

    return plant


def open_to_all(objects: Build) -> None:
    of_kind(objects, "NetworkPolicy")["rabbitmq"]["spec"]["ingress"][0]["from"][0] = {"namespaceSelector": {}}


@pytest.mark.parametrize(
    ("build", "plant", "line"),
    [
        ("gent", no_way("NetworkPolicy", "shared-broker"), "not allowed: gateway -> the shared broker:5672"),
        ("gent", no_way("NetworkPolicy", "shared-database"), "not allowed: routing -> the shared database:27017"),
        ("servers", no_way("NetworkPolicy", "mongodb"), "not allowed: routing of a city -> mongodb:27017"),
        ("servers", no_way("NetworkPolicy", "keda"), "not allowed: keda -> rabbitmq:15672"),
        ("servers", open_to_all, "allowed, but not in the design: a stranger elsewhere -> rabbitmq:5672"),
    ],
)
def test_a_planted_fault_of_the_network_is_reported(
    builds: dict[str, Build], build: str, plant: Callable[[Build], None], line: str
) -> None:
    changed = copy.deepcopy(builds[build])
    plant(changed)
    assert any(line in one for one in problems(changed)), problems(changed)


def test_the_backup_of_a_city_reads_its_own_databases(builds: dict[str, Build]) -> None:
    given = {one["name"]: one for one in container(of_kind(builds["gent"], "CronJob")["backup"])["env"]}
    assert given["MONGODB_PREFIX"]["value"] == "chat-gent_"
    assert given["MONGODB_URL"]["valueFrom"]["secretKeyRef"] == {"name": "backup-mongodb", "key": "url"}
    assert given["BACKUP_FOLDER"]["value"] == "/backups", "what was there stays"
