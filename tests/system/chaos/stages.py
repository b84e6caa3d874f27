"""The stages of a run: each is a system of its own, ready, with its possible faults."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local import ports
from deploy.local.settings import SERVICES
from tests.support.servers import running_broker, running_database
from tests.system.chaos import alarms, clock, cluster, kills, network
from tests.system.chaos.faults import Target
from tests.system.environment import AgentAccounts, agent_accounts, running_replicas

TWO_OF_EACH = "gateway=2,presence=2,routing=2,transcripts=2"
ONE_OF_EACH = "1"
LINKS = ("clients", "broker", "database", "presence", "routing", "transcripts")
SPARE = 2  # agents more than there are pairs, so that no citizen waits for a slot that is just being released


def accounts(pairs: int) -> AgentAccounts:
    """`medewerker1`, `medewerker2`, … : enough for so many pairs, each with one chat at a time."""
    return agent_accounts("medewerker", [1] * (pairs + SPARE))


@contextlib.contextmanager
def killing(home: Path, pairs: int) -> Iterator[Target]:
    """Two of each service; one of them, or both, are killed."""
    with running_replicas(home, accounts(pairs), TWO_OF_EACH) as system:
        yield Target(system, system.base_url, [*kills.of_one_replica(system), *kills.of_all_replicas(system)])


@contextlib.contextmanager
def alone(home: Path, pairs: int) -> Iterator[Target]:
    """One of each service; every process is killed, or asked to stop."""
    with running_replicas(home, accounts(pairs), ONE_OF_EACH) as system:
        yield Target(system, system.base_url, [*kills.of_the_only_ones(system), *kills.asked_to_stop(system)])


@contextlib.contextmanager
def standstill(home: Path, pairs: int) -> Iterator[Target]:
    """Two of each service; processes stand still for 20 s and go on."""
    with running_replicas(home, accounts(pairs), TWO_OF_EACH) as system:
        yield Target(system, system.base_url, kills.standing_still(system))


@contextlib.contextmanager
def networked(home: Path, pairs: int) -> Iterator[Target]:
    """One of each service; every link between them, to clients, to the broker and to the database can fail."""
    home.mkdir(parents=True, exist_ok=True)
    own = ports.remembered(home / "service_ports.json", SERVICES)  # those that the system will take
    near = ports.remembered(home / "link_ports.json", LINKS, taken=set(own.values()))
    with running_broker(home / "broker") as broker, running_database(home / "database") as database_url:
        servers = {
            "broker": broker.node.ports["broker"],
            "database": urlsplit(database_url).port,
            "clients": own["gateway"],
        }
        far = {name: [servers.get(name) or own[name]] for name in LINKS}
        with network.forwarding(far, near) as links:
            urls = {f"{name.upper()}_URL": f"http://127.0.0.1:{near[name]}" for name in SERVICES if name != "gateway"}
            urls["RABBITMQ_URL"] = broker.url.replace(f":{far['broker'][0]}/", f":{near['broker']}/")
            urls["MONGODB_URL"] = database_url.replace(f":{far['database'][0]}/", f":{near['database']}/")
            with running_replicas(home, accounts(pairs), ONE_OF_EACH, **urls) as system:
                yield Target(system, f"http://127.0.0.1:{near['clients']}", network.faults(links, LINKS))


@contextlib.contextmanager
def clustered(home: Path, pairs: int) -> Iterator[Target]:
    """Two of each service; the broker is three nodes, one of which fails."""
    with cluster.clustered(home / "cluster") as nodes:
        near = ports.remembered(home / "link_ports.json", ("broker",))
        far = {"broker": [member.port for member in nodes.members.values()]}
        with (
            network.forwarding(far, near),
            running_replicas(home, accounts(pairs), TWO_OF_EACH, RABBITMQ_URL=nodes.url(near["broker"])) as system,
        ):
            assert nodes.is_whole(), "a quorum queue has not three members: it was declared before the cluster formed"
            yield Target(system, system.base_url, cluster.faults(nodes))


@contextlib.contextmanager
def alarming(home: Path, pairs: int) -> Iterator[Target]:
    """Two of each service; the broker blocks publishers."""
    with running_replicas(home, accounts(pairs), TWO_OF_EACH) as system:
        yield Target(system, system.base_url, alarms.faults(alarms.of_the_own_broker(system)))


@contextlib.contextmanager
def clocks(home: Path, pairs: int) -> Iterator[Target]:
    """Two of each service, each with a clock of its own, which jumps; those of broker and database are right."""
    faces = home / "clocks"
    with running_replicas(home, accounts(pairs), TWO_OF_EACH, command=clock.command(faces)) as system:
        yield Target(system, system.base_url, clock.faults(clock.Clocks(system, faces)))


Stage = Callable[[Path, int], AbstractContextManager[Target]]
STAGES: dict[str, Stage] = {
    "kills": killing,
    "alone": alone,
    "standstill": standstill,
    "network": networked,
    "cluster": clustered,
    "alarms": alarming,
    "clocks": clocks,
}
