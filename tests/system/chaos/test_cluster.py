"""Three nodes are one cluster: what is declared on it has three members, and it goes on without one of them."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from pathlib import Path

import aio_pika

from services.common.messaging.connection import declare_topology
from tests.support.servers import PATIENCE
from tests.system.chaos.cluster import QUEUE, Cluster, Member, clustered, cut_off, take_back


async def connect(cluster: Cluster, member: Member) -> aio_pika.abc.AbstractConnection:
    return await aio_pika.connect(
        cluster.url(member.port), client_properties={"connection_name": "transcripts.messages"}
    )


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
