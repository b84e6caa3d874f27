"""Three nodes are one cluster: what is declared on it has three members, and it goes on without one of them."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import aio_pika
import pytest
import yaml

from services.common.messaging.declarations import declare_topology
from tests.support.servers import PATIENCE, ROOT
from tests.system.chaos.cluster import QUEUE, Cluster, Member, clustered, cut_off, take_back


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


async def test_a_cluster_goes_on_without_its_leader_and_is_whole_again(tmp_path: Path) -> None:
    with clustered(tmp_path) as cluster:
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
        killed.process.wait(30)
        await until(lambda: led_by_another(cluster, cluster.alive(), leader))
        killed.start()
        await cluster.whole()


async def test_queues_of_a_first_node_get_a_member_on_each_node_that_joins(tmp_path: Path) -> None:
    """With the settings of the manifests: on a new installation the first node is a cluster of one for some time."""
    manifest = ROOT / "deploy" / "components" / "rabbitmq" / "server" / "cluster.yaml"
    spec = next(yaml.safe_load_all(manifest.read_text()))["spec"]
    lines = [line for line in spec["rabbitmq"]["additionalConfig"].splitlines() if line.startswith("quorum_queue.")]
    assert len(lines) == 3
    with clustered(tmp_path, nodes=1, more=lines) as cluster:
        first, *others = cluster.members.values()
        if version(first) < (3, 13):
            pytest.skip("RabbitMQ before 3.13 does not add members by itself")
        async with await connect(cluster, first) as connection:
            await declare_topology(await connection.channel())
        assert {len(row["members"]) for row in await asyncio.to_thread(cluster.queues, first)} == {1}
        for member in others:
            member.start()
        for member in others:
            await asyncio.to_thread(member.wait)
        await cluster.whole()
