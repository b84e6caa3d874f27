"""`event_queue.py` and `bindings.py` on a real broker: what is followed comes in; a loss means a new queue."""

import asyncio
from random import Random
from typing import Any

import aio_pika
import aiormq
import pytest

from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.events.messages import MessageStored
from services.common.events.types import ChatStatus
from services.common.messaging import topology
from services.gateway.chats import bindings as module
from services.gateway.chats.bindings import Bindings
from services.gateway.chats.event_queue import EventQueue, EventRouter
from services.gateway.clients.http_client import Unavailable
from services.gateway.websocket.frames.client import Hello
from tests.gateway.making import AN, CHAT, OTHER, entry, fresh_citizen, id_of, sent, state, stored
from tests.gateway.standing import Parts, World, kept, parts_of
from tests.support.conditions import until
from tests.support.servers import PATIENCE, Account, Broker


class RecordingRouter(EventRouter):
    """A queue of a gateway, and what came in: a router that only notes what it is given."""

    def __init__(self, url: str) -> None:
        self.events: list[Event] = []
        self.resyncs = self.losses = 0
        self.now = 1_000.0
        self.bindings = Bindings(clock=lambda: self.now)
        self.queue = EventQueue(url, self.bindings, self)

    def handle(self, event: Event) -> None:
        self.events.append(event)

    def queue_started(self) -> None:
        self.resyncs += 1

    def queue_lost(self) -> None:
        self.losses += 1

    def stored(self) -> list[MessageStored]:
        return [event for event in self.events if isinstance(event, MessageStored)]

    def seqs(self) -> list[int]:
        return [event.entry.seq for event in self.stored()]


@pytest.fixture
async def recording(world: World, monkeypatch: pytest.MonkeyPatch) -> RecordingRouter:
    monkeypatch.setattr(module, "LOOK", 0.02)
    return RecordingRouter(world.url)


def bound_keys(broker: Broker, url: str) -> list[set[str]]:
    """The keys of each gateway queue in this virtual host."""
    vhost = url.rsplit("/", 1)[1].split("?")[0]
    queues: dict[str, set[str]] = {}
    for row in broker.api("GET", f"/api/bindings/{vhost}"):
        if row["source"] == topology.EXCHANGE and row["destination"].startswith("amq.gen"):
            queues.setdefault(row["destination"], set()).add(row["routing_key"])
    return [keys for keys in queues.values() if "#" not in keys]


async def until_bound(broker: Broker, url: str, *ids: str) -> None:
    """The broker has a gateway's queue with the bindings of these chats and agents and no others."""
    wanted = {*topology.GATEWAY_KEYS, *(topology.binding_of(id_) for id_ in ids)}
    async with asyncio.timeout(PATIENCE):
        while wanted not in await asyncio.to_thread(bound_keys, broker, url):
            await asyncio.sleep(0.05)


async def test_what_is_followed_comes_in_in_order_and_nothing_else(world: World, recording: RecordingRouter) -> None:
    async with kept(recording.queue.run()):
        await recording.bindings.follow(CHAT)
        assert recording.bindings.up
        assert recording.resyncs == 1
        for seq in range(1, 51):
            await world.publisher.publish(stored(entry(seq)))
            await world.publisher.publish(stored(entry(seq, OTHER)))
        await until(lambda: len(recording.events) == 50, "the entries")
        assert recording.seqs() == list(range(1, 51))


async def test_an_agent_gets_events_of_their_chat_before_their_gateway_follows_it(
    world: World, recording: RecordingRouter
) -> None:
    async with kept(recording.queue.run()):
        await recording.bindings.follow(AN)
        await world.publisher.publish(state(2, ChatStatus.ASSIGNED, AN))
        await until(lambda: recording.events, "the copy")


async def test_a_binding_goes_late_and_a_reload_costs_none(
    world: World, recording: RecordingRouter, broker: Broker
) -> None:
    async with kept(recording.queue.run()):
        await recording.bindings.follow(CHAT)
        await recording.bindings.follow(CHAT)
        await recording.bindings.follow(OTHER)
        recording.bindings.unfollow(CHAT)
        recording.bindings.unfollow(OTHER)
        assert recording.bindings.bound == {CHAT, OTHER}
        assert recording.bindings.late == {OTHER}
        recording.now += module.UNBIND_LATE - 1
        await recording.bindings.follow(AN)  # a binding is looked at in the same round
        assert recording.bindings.bound == {CHAT, OTHER, AN}
        assert recording.bindings.late == {OTHER}
        recording.now += 1
        await until(lambda: recording.bindings.bound == {CHAT, AN}, "the late unbinding")
        await until_bound(broker, world.url, CHAT, AN)
        recording.bindings.unfollow(CHAT)
        with pytest.raises(StopIteration):  # it was still bound, so nothing is waited for
            recording.bindings.follow(CHAT).send(None)
        assert not recording.bindings.late


async def test_who_comes_back_while_another_one_is_unbound_stays_bound(
    world: World, recording: RecordingRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with kept(recording.queue.run()):
        for id_ in (CHAT, OTHER, AN):
            await recording.bindings.follow(id_)
        unbind, begun, ended = aio_pika.Queue.unbind, list[str](), list[str]()

        async def come_back(queue: aio_pika.Queue, exchange: str, key: str) -> object:
            begun.append(key)
            if len(begun) == 1:  # the last tab of OTHER's citizen is there again; AN is followed and left once more
                await recording.bindings.follow(OTHER)
                await recording.bindings.follow(AN)
                recording.bindings.unfollow(AN)
            answer = await unbind(queue, exchange, key)
            ended.append(key)
            return answer

        monkeypatch.setattr(aio_pika.Queue, "unbind", come_back)
        for id_ in (CHAT, OTHER, AN):
            recording.bindings.unfollow(id_)
        recording.now += module.UNBIND_LATE
        await until(lambda: ended, "the late unbinding")
        assert recording.bindings.bound == {OTHER, AN}
        assert recording.bindings.late == {AN}
        await world.publisher.publish(stored(entry(1, OTHER)))
        await until(lambda: recording.seqs() == [1], "what the one hears who came back")
        assert begun == [topology.binding_of(CHAT)]


async def test_however_quickly_participants_come_and_go_those_who_are_connected_get_events(
    world: World, recording: RecordingRouter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "UNBIND_LATE", 0.0)
    rng, chats = Random(1), [id_of(n) for n in range(20)]
    here = dict.fromkeys(chats, 0)
    async with kept(recording.queue.run()):

        async def come_and_go(chat_id: str) -> None:
            for _ in range(rng.randint(5, 15)):
                await recording.bindings.follow(chat_id)
                here[chat_id] += 1
                if rng.random() < 0.8:
                    await asyncio.sleep(rng.choice((0.0, 0.001, 0.01)))
                    recording.bindings.unfollow(chat_id)
                    here[chat_id] -= 1

        await asyncio.gather(*(come_and_go(c) for c in chats for _ in range(2)))
        wanted = {c for c, n in here.items() if n}
        assert wanted
        for chat_id in chats:
            await world.publisher.publish(stored(entry(1, chat_id)))
        await until(lambda: {event.chat_id for event in recording.stored()} >= wanted, "all that is followed")


async def test_a_connection_that_the_broker_closed_means_a_new_queue_all_binds_and_a_resync(
    world: World, broker: Broker, account: Account
) -> None:
    async with parts_of(world, account.url) as parts:
        await parts.bindings.follow(CHAT)
        await parts.bindings.follow(AN)
        before = parts.event_queue.name
        await asyncio.to_thread(account.close_connections)
        await until(lambda: parts.resyncs >= 2 and parts.bindings.up, "the new queue")
        assert parts.event_queue.name not in (None, before)
        assert parts.bindings.bound == {CHAT, AN}
        await until_bound(broker, world.url, CHAT, AN)


async def test_what_was_left_while_there_was_no_queue_is_not_bound_again(
    world: World, recording: RecordingRouter
) -> None:
    run = asyncio.create_task(recording.queue.run())
    await recording.bindings.follow(CHAT)
    await recording.bindings.follow(OTHER)
    run.cancel()
    await asyncio.gather(run, return_exceptions=True)
    assert recording.losses == 1
    recording.bindings.unfollow(OTHER)
    async with kept(recording.queue.run()):
        await until(lambda: recording.resyncs >= 2, "the new queue")
        assert recording.bindings.bound == {CHAT}
        assert not recording.bindings.late


async def test_without_a_broker_following_fails_in_time_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BIND_LIMIT", 0.1)
    recording = RecordingRouter("amqp://127.0.0.1:9/")
    async with kept(recording.queue.run()):
        with pytest.raises(Unavailable):
            await recording.bindings.follow(CHAT)
        assert recording.bindings.idle
        monkeypatch.setattr(module, "BIND_LIMIT", PATIENCE)
        waiting = asyncio.create_task(recording.bindings.follow(CHAT))
        await until(lambda: not recording.bindings.idle, "who waits")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert waiting.cancelled()
    assert recording.bindings.idle


async def test_a_gateway_that_stands_still_loses_its_oldest_events_hinders_no_other_and_reads_them_again(
    world: World, parts: Parts, recording: RecordingRouter
) -> None:
    """Its queue has room for 5 here; a publisher gets every confirm."""
    world.others.open(CHAT)
    session, still = fresh_citizen(), {**topology.GATEWAY_QUEUE_ARGUMENTS, "x-max-length": 5}
    await parts.citizens.greet(session, Hello())
    parts.router.stands_still = True  # what its queue keeps is in the one below
    async with kept(recording.queue.run()), await aio_pika.connect(world.url) as broker, broker.channel() as channel:
        await recording.bindings.follow(CHAT)
        queue = await channel.declare_queue(exclusive=True, arguments=still)
        await queue.bind(topology.EXCHANGE, topology.binding_of(CHAT))
        await world.append(*(entry(n) for n in range(2, 62)))
        await until(lambda: recording.seqs() == list(range(2, 62)), "the other gateway")
        left = [await queue.get(no_ack=True) for _ in range(5)]
        assert await queue.get(fail=False) is None
    parts.router.stands_still = False
    for message in left:
        parts.router.handle(decode(message.body))
    await until(lambda: session.shown[CHAT] == 61, "what it has missed")
    assert [f["seq"] for f in sent(session) if f["type"] == "message"] == list(range(1, 62))


async def test_an_event_that_is_not_understood_has_no_effect(world: World, recording: RecordingRouter) -> None:
    async with kept(recording.queue.run()):
        await recording.bindings.follow(CHAT)
        before = recording.queue.name
        message = aio_pika.Message(b'{"type":"message.stored","chat_id":7}')
        async with await aio_pika.connect(world.url) as connection, connection.channel() as other:
            await (await other.get_exchange(topology.EXCHANGE)).publish(message, f"message.stored.{CHAT}")
        await world.publisher.publish(stored(entry(1)))
        await until(lambda: recording.events, "the good one")
        assert (recording.queue.name, recording.losses) == (before, 0)


async def test_many_bindings_of_a_new_queue_cost_few_round_trips(
    world: World, recording: RecordingRouter, broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a gateway that serves many follows is bound again after a restart of the broker, while all others do too."""
    chats = [id_of(n) for n in range(1_000)]
    waited: list[str] = []
    bind = aiormq.Channel.queue_bind

    async def counting(
        channel: aiormq.Channel, queue: str, exchange: str, routing_key: str = "", nowait: bool = False, **more: Any
    ) -> Any:
        if not nowait:
            waited.append(routing_key)
        return await bind(channel, queue, exchange, routing_key, nowait, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(aiormq.Channel, "queue_bind", counting)
    monkeypatch.setattr(module, "BIND_LIMIT", PATIENCE)
    following = [asyncio.create_task(recording.bindings.follow(chat)) for chat in chats]
    async with kept(recording.queue.run()):
        await asyncio.gather(*following)
        await until_bound(broker, world.url, *chats)
    ours = [key for key in waited if key.startswith("*.*.") or key in topology.GATEWAY_KEYS]
    assert 1 <= len(ours) <= 10
