"""`connection.py` while a real broker closes connections, is killed, stands still, and comes back."""

import asyncio
import contextlib
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
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
from services.common.events.messages import TypingShown
from services.common.messaging import connection as messaging_connection
from services.common.messaging import topology
from services.common.messaging.connection import BrokerConnection, Publisher, Unconfirmed, declare_topology
from tests.real import PATIENCE, Broker, in_thread, wait_for
from tests.samples import CHAT, golden

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
        for program in (self.mapper, self.program):
            if program.name not in self.running:
                self.running[program.name] = processes.start(program)

    def kill(self) -> None:
        process = self.running.pop(self.program.name)
        processes.signal_group(process.pid, signal.SIGKILL)
        process.wait(10)

    def end(self) -> None:
        for process in self.running.values():
            processes.signal_group(process.pid, signal.SIGKILL)
            process.wait(10)

    @contextlib.contextmanager
    def standing_still(self) -> Iterator[None]:
        pid = self.running[self.program.name].pid
        os.killpg(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.killpg(pid, signal.SIGCONT)


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


async def until(condition: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        await asyncio.sleep(0.02)


async def told(publisher: Publisher, seconds: float = PATIENCE) -> None:
    """Tells the event as soon as it can be told."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            return await publisher.publish(EVENT, timeout=2)
        except Unconfirmed:
            assert time.monotonic() < deadline, f"not told within {seconds} s"
            await asyncio.sleep(0.1)


async def close_connections(real: Broker, url: str) -> None:
    """Has the broker close every connection to this virtual host, as an operator would."""
    vhost = url.rsplit("/", 1)[1].split("?")[0]
    control = await asyncio.create_subprocess_exec(
        *(real.node.sbin / "rabbitmqctl", "--quiet", "close_all_connections", "--vhost", vhost, "closed by a test"),
        env=node_files.control_environment(real.node),
        stdout=asyncio.subprocess.DEVNULL,
    )
    assert await control.wait() == 0


async def test_a_link_comes_back_after_the_broker_closed_it(vhost_url: str, broker: Broker) -> None:
    prepared: list[AbstractChannel] = []
    lost: list[bool] = []

    async def prepare(channel: AbstractChannel) -> None:
        assert not link.up.is_set(), "up before it was prepared"
        prepared.append(channel)

    link = BrokerConnection(vhost_url, "closed-by-broker", prepare, lambda: lost.append(link.up.is_set()))
    async with kept(link.run):
        await asyncio.wait_for(link.up.wait(), PATIENCE)
        await close_connections(broker, vhost_url)
        await until(lambda: lost == [False], "the loss to be told, after it is not up any more")
        await asyncio.wait_for(link.up.wait(), PATIENCE)
        assert len(prepared) == 2
        assert not prepared[1].is_closed
    await asyncio.sleep(0)
    assert prepared[1].is_closed
    assert not link.up.is_set()


@pytest.mark.parametrize("wrong", ["port", "password", "vhost", "rights"])
async def test_who_never_reached_the_broker_is_told_from_who_was_refused(
    wrong: str, vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replica that starts in an outage is ready without its broker; one with wrong settings is not."""
    monkeypatch.setattr(messaging_connection, "ABSENT_AFTER", 0.0)
    attempts = 0
    address = URL(vhost_url)
    url = {
        "port": str(address.with_port(9)),
        "password": str(address.with_password("wrong")),
        "vhost": str(address.with_path("/nobody-made-it")),
    }.get(wrong, vhost_url)

    async def prepare(channel: AbstractChannel) -> None:
        raise aiormq.exceptions.ChannelAccessRefused(403, "ACCESS_REFUSED")

    link = BrokerConnection(url, "refused", prepare)
    once = link._once

    async def counted() -> bool:
        nonlocal attempts
        attempts += 1
        return await once()

    monkeypatch.setattr(link, "_once", counted)
    async with kept(link.run):
        await until(lambda: attempts >= 3, "three attempts")
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
        await until(lambda: len(prepared) == 2 and link.up.is_set(), "a new channel")


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
async def test_a_link_to_nobody_or_with_a_wrong_password_goes_on_trying(broker: Broker, url: str) -> None:
    async def prepare(_: AbstractChannel) -> None:
        raise AssertionError("there is no channel")

    link = BrokerConnection(url.format(port=broker.node.ports["broker"]), "nobody", prepare)
    async with kept(link.run):
        await asyncio.sleep(1.5)
        assert not link.up.is_set()


async def test_without_a_connection_telling_fails_at_once_and_mentioning_never_does() -> None:
    publisher = Publisher("amqp://127.0.0.1:9/", "test")
    with pytest.raises(Unconfirmed, match="no connection"):
        publisher.publish(EVENT).send(None)  # nothing is waited for
    with pytest.raises(StopIteration):
        publisher.publish_best_effort(EVENT).send(None)
    assert not publisher.up


async def test_a_publisher_works_again_after_its_connection_was_closed(vhost_url: str, broker: Broker) -> None:
    publisher = Publisher(vhost_url, "closing")
    async with kept(publisher.run):
        await told(publisher)
        await close_connections(broker, vhost_url)
        await until(lambda: not publisher.up, "the loss")
        with pytest.raises(Unconfirmed):
            await publisher.publish(EVENT)
        await told(publisher)
        assert publisher.up


async def test_events_told_while_the_broker_is_killed_are_confirmed_and_there_or_unconfirmed(node: Node) -> None:
    publisher, confirmed, failures = Publisher(node.url, "killed"), set(), set()
    stop = asyncio.Event()

    async def tell_on() -> None:
        while not stop.is_set():
            event = CitizenArrived(chat_id=CHAT)
            try:
                await publisher.publish(event)
                confirmed.add(event.event_id)
            except Unconfirmed as error:
                failures.add(str(error))
                await asyncio.sleep(0.02)

    async with kept(publisher.run):
        await told(publisher)
        tellers = [asyncio.create_task(tell_on()) for _ in range(8)]
        try:
            for _ in range(2):
                before = len(confirmed)
                await until(lambda before=before: len(confirmed) > before + 50, "events to be told")  # type: ignore[misc]
                await asyncio.to_thread(node.kill)
                await until(lambda: not publisher.up, "the loss")
                with pytest.raises(Unconfirmed):
                    await publisher.publish(EVENT)
                node.start()
                await told(publisher)
        finally:
            stop.set()
            results = await asyncio.gather(*tellers, return_exceptions=True)
        assert results == [None] * 8, "nothing but Unconfirmed comes out of telling"
    assert failures
    there = await _event_ids(node.url)
    assert not confirmed - there


async def _event_ids(url: str) -> set[str]:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        queue = await channel.get_queue(topology.ROUTING_CHATS.name)
        found = set()
        while message := await queue.get(no_ack=True, fail=False):
            found.add(decode(message.body).event_id)
        return found


async def test_a_broker_that_stands_still_is_unconfirmed_in_time_and_used_again(node: Node) -> None:
    publisher = Publisher(node.url, "still")
    async with kept(publisher.run):
        await told(publisher)
        with node.standing_still():
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(Unconfirmed, match="TimeoutError"):
                    await publisher.publish(EVENT, timeout=1)
                await asyncio.gather(*(publisher.publish_best_effort(EVENT) for _ in range(20)))
        await told(publisher)
        assert publisher.up


async def test_a_broker_that_stands_still_for_long_is_noticed_by_the_heartbeat(node: Node) -> None:
    publisher = Publisher(node.url.replace("heartbeat=2", "heartbeat=1"), "heartbeat")
    async with kept(publisher.run):
        await told(publisher)
        with node.standing_still():
            await until(lambda: not publisher.up, "silence to be noticed")
        await told(publisher)


async def test_a_link_is_made_when_the_broker_comes_late(node: Node) -> None:
    await asyncio.to_thread(node.kill)
    publisher = Publisher(node.url, "early")
    async with kept(publisher.run):
        await asyncio.sleep(0.5)
        assert not publisher.up
        node.start()
        await told(publisher)


async def test_a_confirmed_event_survives_and_a_transient_one_need_not_be_heard(vhost_url: str) -> None:
    publisher = Publisher(vhost_url, "transient")
    async with kept(publisher.run):
        await told(publisher)
        await publisher.publish(TypingShown(chat_id=CHAT, party="citizen", sender_id="citizen", active=True))
        counted = messaging_connection.PUBLISHED.labels("typing.shown")._value.get()
        assert counted >= 1


async def test_the_topology_can_be_declared_again(vhost_url: str) -> None:
    async with await aio_pika.connect(vhost_url) as connection, connection.channel() as channel:
        assert (await declare_topology(channel)).name == (await declare_topology(channel)).name == topology.EXCHANGE


async def test_a_full_queue_of_messages_refuses_and_takes_again_when_there_is_room(
    vhost_url: str, broker: Broker
) -> None:
    publisher, posted = Publisher(vhost_url, "full"), decode(golden("message.posted"))
    vhost = vhost_url.rsplit("/", 1)[1].split("?")[0]
    async with kept(publisher.run), await aio_pika.connect(vhost_url) as connection, connection.channel() as channel:
        await told(publisher)
        queue = topology.TRANSCRIPTS_MESSAGES.name
        policy = {"pattern": f"^{queue}$", "definition": {"max-length": 3}, "apply-to": "queues"}
        await asyncio.to_thread(broker.api, "PUT", f"/api/policies/{vhost}/short", policy)
        confirmed = 0

        async def tell_on() -> None:
            nonlocal confirmed
            async with asyncio.timeout(PATIENCE):
                while True:
                    await publisher.publish(posted, timeout=5)
                    confirmed += 1

        with pytest.raises(Unconfirmed, match="DeliveryError"):
            await tell_on()
        assert confirmed >= 3
        letters = await channel.get_queue(queue)
        for _ in range(confirmed):
            assert decode((await letters.get(no_ack=True)).body) == posted
        await told(publisher)
        await publisher.publish(posted, timeout=5)
        assert publisher.up
