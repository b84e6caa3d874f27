"""Three RabbitMQ nodes behind one address, as behind a Kubernetes Service; and their faults.

`cluster_partition_handling` is pause_minority: the smaller side stops instead of continuing by itself. RabbitMQ 4.3 and
later do not know that: the smaller side keeps its connections, and can change nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from deploy.local import ports, processes, rabbitmq
from deploy.local.processes import Program
from tests.support.servers import START_SECONDS, in_thread, wait_for
from tests.system.chaos.alarms import control
from tests.system.chaos.faults import Fault

NAMES = ("one", "two", "three")
QUEUE = "transcripts.messages"
CONNECTED = """[node(P) || [{{pid, P}}, {{client_properties, Told}}]
    <- rabbit_networking:connection_info_all([pid, client_properties]),
    lists:member({{<<"connection_name">>, longstr, <<"{0}">>}}, Told)]."""
ONE_OF_THREE, GOES_ON = 5.0, 5.0  # seconds until messages flow again, at most


@dataclass
class Member:
    """One node of the cluster. `process` changes when it is started again."""

    name: str
    port: int
    program: Program
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def started(self) -> bool:
        """Whether it was ever started."""
        return hasattr(self, "process")

    def start(self) -> None:
        """Start it; it may not answer yet."""
        self.process = processes.start(self.program)

    def wait(self, seconds: float = START_SECONDS) -> None:
        """Wait until it speaks AMQP."""
        wait_for(lambda: in_thread(self.program.ready) is None, f"{self.name}, see {self.program.log}", seconds)

    def control(self, *arguments: str) -> str:
        """What `rabbitmqctl` says about this node."""
        return control(self.program.env, *arguments)


@dataclass(frozen=True)
class Cluster:
    """Three nodes by their Erlang names, and the password that each of them accepts."""

    members: Mapping[str, Member]
    password: str

    def url(self, port: int) -> str:
        """The AMQP address of what answers on this port."""
        return f"amqp://{rabbitmq.USER}:{self.password}@127.0.0.1:{port}/?heartbeat=5"

    def alive(self) -> Member:
        """A node whose process runs."""
        return next(member for member in self.members.values() if member.process.poll() is None)

    def queues(self, asked: Member | None = None) -> list[dict[str, Any]]:
        """Every quorum queue, as this node sees it: its name, its leader, its members, those of them that are there."""
        columns = ("name", "type", "leader", "members", "online")
        rows = json.loads((asked or self.alive()).control("list_queues", "--formatter", "json", *columns))
        return [row for row in rows if row["type"] == "quorum"]

    def leader(self, queue: str = QUEUE) -> str:
        """The node that leads this queue."""
        return next(str(row["leader"]) for row in self.queues() if row["name"] == queue)

    def node_of(self, connection: str) -> str:
        """The node to which a client is connected that calls its connection so."""
        return str(re.findall(r"[\w@]+@[\w@]+", self.alive().control("eval", CONNECTED.format(connection)))[0])

    def is_whole(self) -> bool:
        """Whether all nodes run and every quorum queue has all three of its members."""
        if any(member.process.poll() is not None for member in self.members.values()):
            return False
        with contextlib.suppress(AssertionError, subprocess.TimeoutExpired, ValueError):
            queues = self.queues()
            return bool(queues) and all(len(row["online"]) == len(row["members"]) == 3 for row in queues)
        return False

    async def whole(self) -> None:
        """Returns when all nodes run and every quorum queue has all three of its members."""
        await asyncio.to_thread(wait_for, self.is_whole, "three members of each queue", 240)


@contextlib.contextmanager
def clustered(home: Path, nodes: int = 3, more: Sequence[str] = ()) -> Iterator[Cluster]:
    """Run a cluster of three while the context is open.

    It has no queues yet: a queue that is declared from now on gets three members; one from before would have one.

    Args:
        home: Where the nodes have their data.
        nodes: How many are started here; a test starts the others.
        more: Lines of every node's configuration.
    """
    sbin = rabbitmq.find_sbin()
    assert sbin is not None
    home.mkdir(parents=True, exist_ok=True)
    own = [f"{name}_{part}" for name in NAMES for part in ("broker", "broker_distribution")]
    chosen = ports.remembered(home / "ports.json", (*own, "broker_epmd"))
    members = [_member(home, sbin, name, chosen, more) for name in NAMES]
    epmd, _ = _programs(home, sbin, NAMES[0], chosen, more)
    mapper = processes.start(epmd)
    try:
        for together in (members[:1], members[1:nodes]):  # the first alone, so that the others find one to join
            for member in together:
                member.start()
            for member in together:
                member.wait()
        yield Cluster({f"{member.name}@localhost": member for member in members}, _password(home))
    finally:
        for process in (*(member.process for member in members if member.started), mapper):
            processes.signal_group(process.pid, signal.SIGKILL)
            process.wait(10)


def _member(home: Path, sbin: Path, name: str, chosen: Mapping[str, int], more: Sequence[str]) -> Member:
    _, node = _programs(home, sbin, name, chosen, more)
    return Member(name, chosen[f"{name}_broker"], node)


def _programs(home: Path, sbin: Path, name: str, chosen: Mapping[str, int], more: Sequence[str]) -> list[Program]:
    """The port mapper, and the node of this name, as the one-machine runner starts them, in a cluster of three.

    Writes the configuration of the node, with the lines `more`.
    """
    own = {part: chosen[f"{name}_{part}"] for part in ("broker", "broker_distribution")}
    node = rabbitmq.prepare(home / name, sbin, {**own, "broker_epmd": chosen["broker_epmd"]})
    # The first one is a cluster by itself, and the others know it alone: RabbitMQ 4 waits for every node that it knows.
    known = dict.fromkeys((NAMES[0], name))
    peers = [f"cluster_formation.classic_config.nodes.{i} = {peer}@localhost" for i, peer in enumerate(known, 1)]
    backend = "cluster_formation.peer_discovery_backend = classic_config"
    with (home / name / "rabbitmq.conf").open("a") as file:
        file.write("\n".join([backend, *peers, "cluster_partition_handling = pause_minority", *more, ""]))
    shared = {"RABBITMQ_NODENAME": f"{name}@localhost", "HOME": str(home)}  # one cookie for all
    return [replace(p, env={**p.env, **shared}) for p in rabbitmq.programs(node, home / f"{name}.log")]


def _password(home: Path) -> str:
    """The first node has made the user; the others took over what it knew."""
    return (home / NAMES[0] / "password").read_text()


def faults(cluster: Cluster) -> list[Fault]:
    """One node of three dies, stands still, is cut off; all are restarted one after the other."""

    def other() -> str:
        leader = cluster.leader()
        return next(name for name in cluster.members if name != leader)

    return [
        _killed(cluster, "one that does not lead", other),
        _killed(cluster, f"the leader of {QUEUE}", cluster.leader),
        _killed(cluster, "the one to which transcripts is connected", lambda: cluster.node_of("transcripts.messages")),
        _killed(cluster, "the one to which a gateway is connected", lambda: cluster.node_of("gateway.publisher")),
        _stands_still(cluster),
        _cut_off(cluster),
        _restarted(cluster),
    ]


def _killed(cluster: Cluster, which: str, choose: Callable[[], str]) -> Fault:
    killed: list[Member] = []

    async def inject() -> None:
        await cluster.whole()
        member = cluster.members[await asyncio.to_thread(choose)]
        os.kill(member.process.pid, signal.SIGKILL)
        await asyncio.to_thread(member.process.wait, 10)
        killed.append(member)

    async def end() -> None:
        killed.pop().start()
        await cluster.whole()

    return Fault(f"broker node of three, {which}: kill -9", inject, end, 8.0, "injection", ONE_OF_THREE)


def _stands_still(cluster: Cluster) -> Fault:
    still: list[int] = []

    async def inject() -> None:
        await cluster.whole()
        still.append(cluster.members[await asyncio.to_thread(cluster.leader)].process.pid)
        os.kill(still[0], signal.SIGSTOP)

    async def end() -> None:
        os.kill(still.pop(), signal.SIGCONT)

    kind = f"broker node of three, the leader of {QUEUE}: stands still"
    return Fault(kind, inject, end, 20.0, "end", GOES_ON)


def _cut_off(cluster: Cluster) -> Fault:
    """The node and the others no longer accept each other, and lose the connections that they have."""
    alone: list[str] = []

    async def inject() -> None:
        await cluster.whole()
        alone.append(await asyncio.to_thread(cluster.leader))
        await asyncio.to_thread(cut_off, cluster, alone[0])

    async def end() -> None:
        await asyncio.to_thread(take_back, cluster, alone.pop())
        await cluster.whole()

    kind = f"broker node of three, the leader of {QUEUE}: cut off from the others"
    return Fault(kind, inject, end, 15.0, "injection", ONE_OF_THREE)


def cut_off(cluster: Cluster, name: str) -> None:
    """This node reaches no other node, and no other node reaches it; clients reach all of them."""
    _for_the_others(cluster, name, "erlang:set_cookie(Other, wrong), erlang:disconnect_node(Other)")


def take_back(cluster: Cluster, name: str) -> None:
    """The nodes accept each other again; a node that has paused looks for the others by itself."""
    _for_the_others(cluster, name, "erlang:set_cookie(Other, erlang:get_cookie())")


def _for_the_others(cluster: Cluster, name: str, deed: str) -> None:
    others = ", ".join(f"'{other}'" for other in cluster.members if other != name)
    cluster.members[name].control("eval", f"[begin {deed} end || Other <- [{others}]].")


def _restarted(cluster: Cluster) -> Fault:
    """As an operator updates a cluster: the next node only when the last one has all that it had."""
    under_way: list[asyncio.Task[None]] = []

    async def one_after_the_other() -> None:
        for member in cluster.members.values():
            os.kill(member.process.pid, signal.SIGTERM)
            await asyncio.to_thread(member.process.wait, 30)
            member.start()
            await cluster.whole()

    async def inject() -> None:
        await cluster.whole()
        under_way.append(asyncio.create_task(one_after_the_other()))

    async def end() -> None:
        await under_way.pop()

    return Fault("broker, all three nodes restarted one by one", inject, end, 0.0, "end", GOES_ON)
