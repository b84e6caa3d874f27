"""`services/gateway/live.py` on a real broker: what is followed comes in, and after a loss everything begins anew."""

import asyncio
import time

import aio_pika
import pytest

from services import topology
from services.contracts import ChatStatus, Fact
from services.gateway import live as module
from services.gateway.live import Live
from services.gateway.upstream import Unavailable
from tests.gateway.making import AN, CHAT, OTHER, entry, state, stored
from tests.gateway.standing import Parts, World, kept, until
from tests.real import Broker
from tests.test_broker import close_connections


class Ear:
    """A queue of a gateway, and what came in."""

    def __init__(self, url: str) -> None:
        self.facts: list[Fact] = []
        self.resyncs = self.losses = 0
        self.live = Live(url, self.facts.append, self._resync, self._lose)

    def _resync(self) -> None:
        self.resyncs += 1

    def _lose(self) -> None:
        self.losses += 1

    def seqs(self) -> list[int]:
        return [f.entry.seq for f in self.facts]  # type: ignore[attr-defined]


@pytest.fixture
async def ear(world: World) -> Ear:
    return Ear(world.url)


def bound_keys(broker: Broker, url: str) -> list[set[str]]:
    """The keys of each gateway queue in this virtual host."""
    vhost = url.rsplit("/", 1)[1].split("?")[0]
    queues: dict[str, set[str]] = {}
    for row in broker.api("GET", f"/api/bindings/{vhost}"):
        if row["source"] == topology.EXCHANGE and row["destination"].startswith("amq.gen"):
            queues.setdefault(row["destination"], set()).add(row["routing_key"])
    return [keys for keys in queues.values() if "#" not in keys]


async def test_what_is_followed_comes_in_in_order_and_nothing_else(world: World, ear: Ear) -> None:
    async with kept(ear.live.run()):
        await ear.live.follow(CHAT)
        assert ear.live.up
        assert ear.resyncs == 1
        for seq in range(1, 51):
            await world.publisher.tell(stored(entry(seq)))
            await world.publisher.tell(stored(entry(seq, OTHER)))
        await until(lambda: len(ear.facts) == 50, "the entries")
        assert ear.seqs() == list(range(1, 51))


async def test_an_agent_hears_of_his_chat_before_his_gateway_follows_it(world: World, ear: Ear) -> None:
    async with kept(ear.live.run()):
        await ear.live.follow(AN)
        await world.publisher.tell(state(2, ChatStatus.ASSIGNED, AN))
        await until(lambda: ear.facts, "the copy")


async def test_a_binding_goes_late_and_a_reload_costs_none(
    world: World, ear: Ear, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNBIND_LATE", 0.3)
    async with kept(ear.live.run()):
        await ear.live.follow(CHAT)
        await ear.live.follow(CHAT)
        await ear.live.follow(OTHER)
        ear.live.unfollow(CHAT)
        ear.live.unfollow(OTHER)
        assert ear.live._bound == {CHAT, OTHER}
        await until(lambda: ear.live._bound == {CHAT}, "the late unbinding", 8)
        keys = await asyncio.to_thread(bound_keys, broker, world.url)
        assert keys == [{topology.binding_of(CHAT), *topology.GATEWAY_KEYS}]
        ear.live.unfollow(CHAT)
        began = time.monotonic()
        await ear.live.follow(CHAT)
        assert time.monotonic() - began < 0.05, "it was still bound"
        assert ear.live._late == {}


async def test_a_connection_that_the_broker_closed_means_a_new_queue_all_binds_and_a_resync(
    world: World, parts: Parts, broker: Broker
) -> None:
    await parts.live.follow(CHAT)
    await parts.live.follow(AN)
    queue = parts.live._queue
    await close_connections(broker, world.url)
    await until(lambda: parts.resyncs == 2 and parts.live.up, "the new queue", 20)
    assert parts.live._queue is not None
    assert queue is not None
    assert parts.live._queue.name != queue.name
    assert parts.live._bound == {CHAT, AN}
    keys = await asyncio.to_thread(bound_keys, broker, world.url)
    assert {*topology.GATEWAY_KEYS, topology.binding_of(CHAT), topology.binding_of(AN)} in keys


async def test_what_was_left_while_there_was_no_queue_is_not_bound_again(world: World, ear: Ear) -> None:
    run = asyncio.create_task(ear.live.run())
    await ear.live.follow(CHAT)
    await ear.live.follow(OTHER)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert ear.losses == 1
    ear.live.unfollow(OTHER)
    async with kept(ear.live.run()):
        await until(lambda: ear.resyncs == 2, "the new queue")
        assert ear.live._bound == {CHAT}
        assert ear.live._late == {}


async def test_without_a_broker_following_fails_in_time_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BIND_LIMIT", 0.2)
    ear = Ear("amqp://127.0.0.1:9/")
    async with kept(ear.live.run()):
        with pytest.raises(Unavailable):
            await ear.live.follow(CHAT)
        waiting = asyncio.create_task(ear.live.follow(CHAT))
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
    assert ear.live._wanted == {}
    assert ear.live._waiting == {}


async def test_a_fact_that_is_not_understood_harms_nobody(world: World, ear: Ear) -> None:
    async with kept(ear.live.run()):
        await ear.live.follow(CHAT)
        assert ear.live._queue is not None
        channel = ear.live._queue.channel
        message = aio_pika.Message(b'{"type":"message.stored","chat_id":7}')
        async with await aio_pika.connect(world.url) as connection, connection.channel() as other:
            await (await other.get_exchange(topology.EXCHANGE)).publish(message, f"message.stored.{CHAT}")
        await world.publisher.tell(stored(entry(1)))
        await until(lambda: ear.facts, "the good one")
        assert not channel.is_closed
