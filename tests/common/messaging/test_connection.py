"""`connection.py` and `publisher.py` while a real broker closes connections, is killed, stalls, and comes back."""

import asyncio
import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from functools import partial
from pathlib import Path

import aio_pika
import aiormq
import pytest
from aio_pika.abc import AbstractChannel
from yarl import URL

from deploy.local import ports, processes
from deploy.local import rabbitmq as node_files
from services.common.events.chats import CitizenArrived
from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.events.messages import TypingShown
from services.common.events.types import Party
from services.common.messaging import connection as messaging_connection
from services.common.messaging import publisher as messaging_publisher
from services.common.messaging import topology
from services.common.messaging.connection import BrokerConnection
from services.common.messaging.declarations import declare_topology
from services.common.messaging.publisher import Publisher, Unconfirmed
from tests.support.conditions import until
from tests.support.event_samples import CHAT, golden
from tests.support.faults import freeze
from tests.support.metrics import sample
from tests.support.servers import PATIENCE, START_SECONDS, Account, Broker, in_thread, patient, wait_for

EVENT = CitizenArrived(chat_id=CHAT)


class Node:
    """A broker of this module's own, which its tests may kill."""

    def __init__(self, home: Path) -> None:
        sbin = node_files.find_sbin()
        assert sbin is not None
        home.mkdir(parents=True, exist_ok=True)
        chosen = ports.remembered(home / "ports.json", (*node_files.PORT_NAMES, "management"))
        self.node = node_files.prepare(home / "node", sbin, chosen, (), None)
        self.mapper, self.program = node_files.programs(self.node, home / "log")
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def url(self) -> str:
        return self.node.url

    def start(self) -> None:
        """Begins to start what does not run, from the main thread; it may take some seconds until it answers."""
        if self.mapper.name not in self.running:
            self.running[self.mapper.name] = processes.start(self.mapper)
            wait_for(lambda: in_thread(self.mapper.ready) is None, "the port mapper")
        if self.program.name not in self.running:
            self.running[self.program.name] = processes.start(self.program)

    def kill(self) -> None:
        process = self.running.pop(self.program.name)
        processes.signal_group(process.pid, signal.SIGKILL)
        process.wait(PATIENCE)
        wait_for(lambda: not self.is_registered(), "the mapper to forget the node, which else would not start again")

    def is_registered(self) -> bool:
        """Whether the mapper knows the node (NAMES_REQ of the Erlang distribution protocol)."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.node.ports["broker_epmd"]), PATIENCE) as mapper:
            mapper.sendall(b"\x00\x01n")
            while part := mapper.recv(4_096):
                answer += part
        return b"name eloket at port" in answer

    def end(self) -> None:
        for process in self.running.values():
            processes.signal_group(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        pid = self.running[self.program.name].pid
        freeze(pid)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    node = Node(tmp_path_factory.mktemp("node"))
    node.start()
    wait_for(lambda: in_thread(node.program.ready) is None, "the node")
    yield node
    node.end()


@contextlib.asynccontextmanager
async def kept(run: Callable[[], Awaitable[None]]) -> AsyncIterator[asyncio.Task[None]]:
    """`run` in the background; it must not end by itself."""
    task = asyncio.ensure_future(run())
    try:
        yield task
        assert not task.done(), "it ended by itself"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def publish_until_confirmed(publisher: Publisher, event: Event = EVENT, seconds: float = START_SECONDS) -> None:
    """Publishes the event, again and again until it is confirmed."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await publisher.publish(event, timeout=5)
        except Unconfirmed:
            assert time.monotonic() < deadline, f"not told within {seconds} s"
            await asyncio.sleep(0.05)


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Grows with each attempt of a link that has failed, and each connection that it has lost; it waits no time."""
    made: list[float] = []

    def pause(least: float, most: float) -> float:
        made.append(most)
        return 0.01

    monkeypatch.setattr(random, "uniform", pause)
    return made


async def test_a_link_comes_back_after_the_broker_closed_it(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(messaging_connection, "CLOSE_TIMEOUT", PATIENCE)
    prepared: list[AbstractChannel] = []
    lost: list[bool] = []

    async def prepare(channel: AbstractChannel) -> None:
        assert not link.up.is_set(), "up before it was prepared"
        prepared.append(channel)

    link = BrokerConnection(account.url, "closed-by-broker", prepare, lambda: lost.append(link.up.is_set()))
    async with kept(link.run):
        await asyncio.wait_for(link.up.wait(), PATIENCE)
        await asyncio.to_thread(account.close_connections)
        await until(lambda: bool(lost), "the loss to be told")
        assert not any(lost), "it is told after it is not up any more"
        await asyncio.wait_for(link.up.wait(), PATIENCE)
        assert len(prepared) >= 2
        assert not prepared[-1].is_closed
    await until(lambda: prepared[-1].is_closed, "the end of its channel")
    assert not link.up.is_set()


@pytest.mark.parametrize("wrong", ["port", "password", "vhost", "rights"])
async def test_a_broker_that_was_never_reached_differs_from_one_that_refused(
    wrong: str, vhost_url: str, attempts: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that starts in an outage is ready without its broker; one with wrong settings is not."""
    monkeypatch.setattr(messaging_connection, "ABSENT_AFTER", 0.0)
    address = URL(vhost_url)
    url = {
        "port": str(address.with_port(9)),
        "password": str(address.with_password("wrong")),
        "vhost": str(address.with_path("/nobody-made-it")),
    }.get(wrong, vhost_url)

    async def prepare(channel: AbstractChannel) -> None:
        raise aiormq.exceptions.ChannelAccessRefused(403, "ACCESS_REFUSED")

    link = BrokerConnection(url, "refused", prepare)
    async with kept(link.run):
        await until(lambda: len(attempts) >= 3, "three attempts")
        assert link.absent == (wrong == "port")


async def test_a_link_whose_channel_is_closed_makes_a_new_one(vhost_url: str) -> None:
    prepared: list[AbstractChannel] = []

    async def prepare(channel: AbstractChannel) -> None:
        prepared.append(channel)

    link = BrokerConnection(vhost_url, "channel-closed", prepare)
    async with kept(link.run):
        await asyncio.wait_for(link.up.wait(), PATIENCE)
        with pytest.raises(aio_pika.exceptions.ChannelNotFoundEntity):
            await prepared[0].get_queue("there-is-none")
        await until(lambda: len(prepared) >= 2 and link.up.is_set(), "a new channel")


async def test_a_link_that_cannot_be_prepared_is_tried_again(vhost_url: str) -> None:
    tries: list[int] = []

    async def prepare(channel: AbstractChannel) -> None:
        tries.append(len(tries))
        if len(tries) < 3:
            await channel.get_queue("there-is-none")

    link = BrokerConnection(vhost_url, "not-prepared", prepare)
    async with kept(link.run):
        await asyncio.wait_for(link.up.wait(), PATIENCE)
    assert tries == [0, 1, 2]


@pytest.mark.parametrize("url", ["amqp://127.0.0.1:9/", "amqp://eloket:wrong@127.0.0.1:{port}/"])
async def test_a_link_without_a_broker_or_with_a_wrong_password_goes_on_trying(
    broker: Broker, attempts: list[float], url: str
) -> None:
    prepared: list[AbstractChannel] = []

    async def prepare(channel: AbstractChannel) -> None:
        prepared.append(channel)

    link = BrokerConnection(url.format(port=broker.node.ports["broker"]), "nobody", prepare)
    async with kept(link.run):
        await until(lambda: len(attempts) >= 3, "three attempts")
        assert not link.up.is_set()
    assert not prepared, "there is no channel"


async def test_without_a_connection_publishing_fails_at_once_and_best_effort_never_does() -> None:
    publisher = Publisher("amqp://127.0.0.1:9/", "test")
    with pytest.raises(Unconfirmed, match="no connection"):
        publisher.publish(EVENT).send(None)  # nothing is waited for
    with pytest.raises(StopIteration):
        publisher.publish_best_effort(EVENT).send(None)
    assert not publisher.up


async def test_a_publisher_works_again_after_its_connection_was_closed(account: Account) -> None:
    publisher = Publisher(account.url, "closing")
    async with kept(publisher.run):
        await publish_until_confirmed(publisher)
        closing = asyncio.create_task(asyncio.to_thread(account.close_connections))
        await until(lambda: not publisher.up, "the loss")
        with pytest.raises(Unconfirmed, match="no connection"):
            await publisher.publish(EVENT)  # at once: it does not wait for the next connection
        await publish_until_confirmed(publisher)
        await until(lambda: publisher.up, "a new connection")
        await closing


async def test_events_published_while_the_broker_is_killed_are_confirmed_and_there_or_unconfirmed(node: Node) -> None:
    publisher = Publisher(node.url, "killed")
    confirmed: set[str] = set()
    failures: set[str] = set()
    stop = asyncio.Event()

    async def publish_on() -> None:
        while not stop.is_set():
            event = CitizenArrived(chat_id=CHAT)
            try:
                await publisher.publish(event)
                confirmed.add(event.event_id)
            except Unconfirmed as error:
                failures.add(str(error))
                await asyncio.sleep(0.02)

    async with kept(publisher.run):
        await publish_until_confirmed(publisher)
        tellers = [asyncio.create_task(publish_on()) for _ in range(8)]
        try:
            for _ in range(2):
                enough = len(confirmed) + 50
                await until(partial(lambda number: len(confirmed) > number, enough), "events to be told")
                await asyncio.to_thread(node.kill)
                await until(lambda: not publisher.up, "the loss")
                with pytest.raises(Unconfirmed):
                    await publisher.publish(EVENT)
                node.start()
                await publish_until_confirmed(publisher)
        finally:
            stop.set()
            results = await asyncio.gather(*tellers, return_exceptions=True)
        assert results == [None] * 8, "nothing but Unconfirmed comes out of telling"
    assert failures
    there = await _event_ids(node.url)
    assert not confirmed - there


async def _event_ids(url: str) -> set[str]:
    async with await aio_pika.connect(patient(url)) as connection, connection.channel() as channel:
        queue = await channel.get_queue(topology.ROUTING_CHATS.name)
        found = set()
        while message := await queue.get(no_ack=True, fail=False):
            found.add(decode(message.body).event_id)
        return found


async def test_a_broker_that_stands_still_is_unconfirmed_in_time_and_used_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(messaging_publisher, "CONFIRM_TIMEOUT", 0.5)
    publisher = Publisher(patient(node.url), "still")
    async with kept(publisher.run):
        await publish_until_confirmed(publisher)
        with node.standing_still():
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(Unconfirmed, match="TimeoutError"):
                    await publisher.publish(EVENT)
                await asyncio.gather(*(publisher.publish_best_effort(EVENT) for _ in range(20)))
        await publish_until_confirmed(publisher)
        await until(lambda: publisher.up, "its connection")


async def test_a_broker_that_stands_still_for_long_is_noticed_by_the_heartbeat(node: Node) -> None:
    publisher = Publisher(node.url.replace("heartbeat=2", "heartbeat=1"), "heartbeat")
    async with kept(publisher.run):
        await publish_until_confirmed(publisher)
        with node.standing_still():
            await until(lambda: not publisher.up, "silence to be noticed")
        await publish_until_confirmed(publisher)


async def test_a_link_is_made_when_the_broker_comes_late(node: Node, attempts: list[float]) -> None:
    await asyncio.to_thread(node.kill)
    publisher = Publisher(node.url, "early")
    async with kept(publisher.run):
        await until(lambda: len(attempts) >= 3, "three attempts")
        assert not publisher.up
        node.start()
        await publish_until_confirmed(publisher)


async def test_a_confirmed_event_survives_and_a_transient_one_need_not_be_consumed(vhost_url: str) -> None:
    publisher = Publisher(vhost_url, "transient")
    async with kept(publisher.run):
        await publish_until_confirmed(publisher)
        before = published("typing.shown")
        await publisher.publish(TypingShown(chat_id=CHAT, party=Party.CITIZEN, sender_id="citizen", active=True))
        assert published("typing.shown") == before + 1


def published(type_: str) -> float:
    """How many events of this type were confirmed to this process."""
    return sample("eloket_facts_published_total", {"type": type_}) or 0.0


async def test_the_topology_can_be_declared_again(vhost_url: str) -> None:
    async with await aio_pika.connect(vhost_url) as connection, connection.channel() as channel:
        assert (await declare_topology(channel)).name == (await declare_topology(channel)).name == topology.EXCHANGE


async def test_a_full_queue_of_messages_refuses_and_takes_again_when_there_is_room(
    vhost_url: str, broker: Broker
) -> None:
    publisher, posted = Publisher(vhost_url, "full"), decode(golden("message.posted"))
    vhost = vhost_url.rsplit("/", 1)[1].split("?")[0]
    async with kept(publisher.run), await aio_pika.connect(vhost_url) as connection, connection.channel() as channel:
        await publish_until_confirmed(publisher)
        queue = topology.TRANSCRIPTS_MESSAGES.name
        policy = {"pattern": f"^{queue}$", "definition": {"max-length": 3}, "apply-to": "queues"}
        await asyncio.to_thread(broker.api, "PUT", f"/api/policies/{vhost}/short", policy)
        confirmed = 0

        async def publish_on() -> None:
            nonlocal confirmed
            async with asyncio.timeout(PATIENCE):
                while True:
                    await publisher.publish(posted)
                    confirmed += 1

        with pytest.raises(Unconfirmed, match="DeliveryError"):
            await publish_on()
        assert confirmed >= 3
        letters = await channel.get_queue(queue)
        for _ in range(confirmed):
            assert decode((await letters.get(no_ack=True)).body) == posted
        await publish_until_confirmed(publisher)
        await publish_until_confirmed(publisher, posted)  # the queue says a moment later that it takes messages again
