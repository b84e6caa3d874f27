"""Three nodes are one cluster: what is declared on it has three members, and it goes on without one of them."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import aio_pika
import pytest
import yaml

from deploy.local import ports
from deploy.local.rabbitmq import find_sbin
from services.common.events.chats import CloseRequested
from services.common.events.codec import decode
from services.common.events.types import CloseReason
from services.common.messaging.declarations import declare_topology
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.messaging.topology import ROUTING_CHATS
from tests.support.publishers import publishing
from tests.support.servers import PATIENCE, ROOT, START_SECONDS
from tests.system.chaos.cluster import QUEUE, Cluster, Member, clustered, cut_off, take_back
from tests.system.chaos.network import forwarding


async def connect(cluster: Cluster, member: Member) -> aio_pika.abc.AbstractConnection:
    return await aio_pika.connect(
        cluster.url(member.port), client_properties={"connection_name": "transcripts.messages"}
    )


def version(member: Member) -> tuple[int, ...]:
    """The first two numbers of the version of RabbitMQ, as the node has logged it at its start."""
    assert member.program.log is not None
    reported = re.search(r"RabbitMQ (\d+)\.(\d+)", member.program.log.read_text(errors="replace"))
    assert reported
    return int(reported[1]), int(reported[2])


def refuses_new_settings() -> bool:
    """Whether this RabbitMQ is the system's own, and older than the settings of the manifests."""
    found = re.search(r"rabbitmq_server-(\d+)\.(\d+)", str(find_sbin()))
    return found is not None and (int(found[1]), int(found[2])) < (3, 13)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(2 * PATIENCE):  # each look takes a second and more
        while not await condition():
            await asyncio.sleep(0.05)


async def led_by_another(cluster: Cluster, member: Member, leader: str) -> bool:
    try:
        rows = await asyncio.to_thread(cluster.queues, member)
    except (AssertionError, subprocess.TimeoutExpired, ValueError):  # it has no answer yet
        return False
    known = next((row["leader"] for row in rows if row["name"] == QUEUE), "")  # meanwhile nobody may know
    return known not in ("", leader)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster that each test leaves whole: three nodes take eleven seconds of processor time to start."""
    with clustered(tmp_path_factory.mktemp("cluster")) as running:
        yield running


async def test_a_cluster_goes_on_without_its_leader_and_is_whole_again(cluster: Cluster) -> None:
    first, second, third = cluster.members.values()
    async with await connect(cluster, second) as connection:
        await declare_topology(await connection.channel())
        await cluster.whole()
        assert await asyncio.to_thread(cluster.node_of, "transcripts.messages") == "two@localhost"
    leader = await asyncio.to_thread(cluster.leader)

    await asyncio.to_thread(cut_off, cluster, leader)
    alone = cluster.members[leader]
    others = [member for member in (first, second, third) if member is not alone]

    async def paused() -> bool:
        return await alone.program.ready() is not None

    if version(alone) < (4, 3):
        await until(paused)
    await until(lambda: led_by_another(cluster, others[0], leader))
    assert not await asyncio.to_thread(cluster.is_whole)
    await asyncio.to_thread(take_back, cluster, leader)
    await cluster.whole()

    leader = await asyncio.to_thread(cluster.leader)
    killed = cluster.members[leader]
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait(PATIENCE)
    await until(lambda: led_by_another(cluster, cluster.alive(), leader))
    killed.start()
    await cluster.whole()


async def test_all_nodes_are_restarted_one_by_one_under_load_and_nothing_confirmed_is_lost(
    cluster: Cluster, tmp_path: Path
) -> None:
    """As an operator updates a cluster. What got no confirm is published again, as the services do."""
    near = ports.remembered(tmp_path / "link_ports.json", ("broker",))
    far = {"broker": [member.port for member in cluster.members.values()]}
    with forwarding(far, near):
        url = cluster.url(near["broker"])
        async with publishing(url, "gateway") as publisher:
            await cluster.whole()
            over, confirmed = asyncio.Event(), list[str]()
            writing = asyncio.create_task(_write(publisher, confirmed, over))
            for member in cluster.members.values():
                before = len(confirmed)
                os.kill(member.process.pid, signal.SIGTERM)
                await asyncio.to_thread(member.process.wait, START_SECONDS)
                async with asyncio.timeout(2 * PATIENCE):
                    while len(confirmed) < before + 20:
                        await asyncio.sleep(0.05)
                member.start()
                await cluster.whole()
            over.set()
            await writing
        assert set(confirmed) <= await _waiting(url, set(confirmed))


async def _write(publisher: Publisher, confirmed: list[str], over: asyncio.Event) -> None:
    """Publish events one after the other until it is over. Each is published until the broker has confirmed it."""
    number = 0
    while not over.is_set():
        chat_id = f"chat {number}"
        try:
            await publisher.publish(CloseRequested(chat_id=chat_id, by=CloseReason.CITIZEN))
        except Unconfirmed:
            await asyncio.sleep(0.1)
            continue
        confirmed.append(chat_id)
        number += 1
        await asyncio.sleep(0.01)


async def _waiting(url: str, wanted: set[str]) -> set[str]:
    """The chats of the events that wait in routing's queue, until all that are wanted have come, or no more comes."""
    found: set[str] = set()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        await channel.set_qos(100)
        queue = await channel.get_queue(ROUTING_CHATS.name)
        with contextlib.suppress(TimeoutError):
            async with queue.iterator(timeout=PATIENCE) as messages:  # seconds for each: how many there are is open
                async for message in messages:
                    await message.ack()
                    event = decode(message.body)
                    assert isinstance(event, CloseRequested)
                    found.add(event.chat_id)
                    if found >= wanted:
                        break
    return found


async def test_queues_of_a_first_node_get_a_member_on_each_node_that_joins(tmp_path: Path) -> None:
    """With the settings of the manifests: on a new installation the first node is a cluster of one for some time."""
    manifest = ROOT / "deploy" / "components" / "rabbitmq" / "server" / "cluster.yaml"
    spec = next(yaml.safe_load_all(manifest.read_text()))["spec"]
    lines = [line for line in spec["rabbitmq"]["additionalConfig"].splitlines() if line.startswith("quorum_queue.")]
    assert len(lines) == 3
    if refuses_new_settings():
        pytest.skip("RabbitMQ before 3.13 does not add members by itself, and does not start with these settings")
    with clustered(tmp_path, nodes=1, more=lines) as cluster:
        first, *others = cluster.members.values()
        async with await connect(cluster, first) as connection:
            await declare_topology(await connection.channel())
        assert {len(row["members"]) for row in await asyncio.to_thread(cluster.queues, first)} == {1}
        for member in others:
            member.start()
        for member in others:
            await asyncio.to_thread(member.wait)
        await cluster.whole()
