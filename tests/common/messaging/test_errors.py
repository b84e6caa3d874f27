"""`errors.py` in each loop that uses it: a lost connection is tried again, a fault ends the service."""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from types import SimpleNamespace
from typing import Any, NoReturn, cast

import aio_pika
import aiormq
import pytest
import structlog
import uvloop
from aio_pika.abc import AbstractChannel
from faststream.rabbit import RabbitBroker, RabbitRouter
from yarl import URL

from services.common.events.chats import CitizenArrived
from services.common.messaging import errors, queue_metrics, topology
from services.common.messaging.connection import BrokerConnection
from services.common.messaging.consumer import Consumers
from services.common.messaging.errors import MOST_IN_A_ROW, UnknownErrors, given_up_is_failure
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.messaging.queue_metrics import Backlog, Waiting
from services.gateway.chats import bindings as gateway_bindings
from services.gateway.chats.bindings import Bindings
from services.gateway.chats.event_queue import EventQueue, EventRouter
from services.transcripts.log.delivery import Acknowledger, Delivery
from tests.support.event_samples import CHAT
from tests.support.servers import PATIENCE

FAULT = "dictionary changed size during iteration"
Logged = list[MutableMapping[str, Any]]


@pytest.fixture
def logged() -> Iterator[Logged]:
    with structlog.testing.capture_logs() as lines:
        yield lines


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loops that wait before they try again wait no time here."""
    monkeypatch.setattr(random, "uniform", lambda least, most: 0.0)
    monkeypatch.setattr(queue_metrics, "LOOK_EVERY", 0.0)


async def fault(*_: object, **__: object) -> NoReturn:
    raise RuntimeError(FAULT)


async def ends(run: Callable[[], Awaitable[None]], logged: Logged) -> None:
    """It ends with the fault, and each occurrence was logged with its traceback."""
    with pytest.raises((RuntimeError, ExceptionGroup)) as raised:
        async with asyncio.timeout(PATIENCE):
            await run()
    error: BaseException = raised.value
    while isinstance(error, ExceptionGroup):
        (error,) = error.exceptions
    assert str(error) == FAULT
    logged_errors = [line for line in logged if line["event"] == "unknown_error"]
    assert [line["in_a_row"] for line in logged_errors] == [*range(1, MOST_IN_A_ROW + 1)]
    assert all(line["exc_info"].__traceback__ for line in logged_errors)


async def test_a_link_whose_preparation_is_faulty_ends(vhost_url: str, logged: Logged) -> None:
    await ends(BrokerConnection(vhost_url, "faulty", fault).run, logged)


async def test_a_link_that_loses_its_connection_goes_on(vhost_url: str, logged: Logged) -> None:
    attempts = 0

    async def prepare(_: AbstractChannel) -> None:
        nonlocal attempts
        attempts += 1
        if attempts <= 2 * MOST_IN_A_ROW:
            raise RuntimeError("Connection is not ready")  # aio-pika's own words for a connection that was lost

    link = BrokerConnection(vhost_url, "lost", prepare)
    running = asyncio.create_task(link.run())
    async with asyncio.timeout(PATIENCE):
        await link.up.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert attempts == 2 * MOST_IN_A_ROW + 1
    assert not [line for line in logged if line["event"] == "unknown_error"]


async def test_a_publisher_with_a_fault_raises_unconfirmed_to_its_callers_and_ends(
    vhost_url: str, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher = Publisher(vhost_url, "faulty")
    monkeypatch.setattr(aiormq.Channel, "basic_publish", fault)

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(publisher.run())
            await publisher.link.up.wait()
            for n in range(MOST_IN_A_ROW):
                event = CitizenArrived(chat_id=CHAT)
                with pytest.raises(Unconfirmed):
                    await (publisher.publish_all([(event, None)] * 2) if n % 2 else publisher.publish(event))
            await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup):
        await run()
    assert len([line for line in logged if line["event"] == "unknown_error"]) >= MOST_IN_A_ROW


async def test_one_fault_in_which_all_that_is_under_way_fails_is_no_row(
    vhost_url: str, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    publisher, fails = Publisher(vhost_url, "faulty"), asyncio.Event()

    async def publish(*_: object, **__: object) -> NoReturn:
        await fails.wait()
        raise RuntimeError(FAULT)

    monkeypatch.setattr(aiormq.Channel, "basic_publish", publish)
    running = asyncio.create_task(publisher.run())
    await publisher.link.up.wait()
    event = CitizenArrived(chat_id=CHAT)
    single = [publisher.publish(event) for _ in range(2 * MOST_IN_A_ROW)]
    publishing = asyncio.gather(
        *single, publisher.publish_all([(event, None)] * 2 * MOST_IN_A_ROW), return_exceptions=True
    )
    await asyncio.sleep(0)
    fails.set()
    assert {type(outcome) for outcome in await publishing} == {Unconfirmed}
    logged_errors = [line for line in logged if line["event"] == "unknown_error"]
    assert [line["in_a_row"] for line in logged_errors] == [1] * 4 * MOST_IN_A_ROW
    assert not running.done()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_consumers_that_cannot_be_begun_for_a_fault_end(logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    async def probe() -> None:
        return None

    consumers = Consumers("amqp://127.0.0.1:9/", RabbitRouter(), probe)
    monkeypatch.setattr(RabbitBroker, "connect", fault)
    await ends(consumers.run, logged)


async def test_a_look_into_the_queues_with_a_fault_ends(
    vhost_url: str, logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    looking = Backlog(vhost_url, "routing", [Waiting("routing.chats")])
    monkeypatch.setattr(looking, "look", fault)
    declared = asyncio.Event()
    declared.set()
    await ends(lambda: looking.run(declared), logged)


async def test_bindings_with_a_fault_end(vhost_url: str, logged: Logged, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_bindings, "BIND_LIMIT", PATIENCE)
    router = cast(EventRouter, SimpleNamespace(queue_started=lambda: None, queue_lost=lambda: None))
    bindings = Bindings()
    queue = EventQueue(vhost_url, bindings, router)

    def broken(_: str) -> NoReturn:
        raise RuntimeError(FAULT)

    async def follow() -> None:
        await queue.link.up.wait()
        monkeypatch.setattr(topology, "binding_of", broken)
        await bindings.follow(CHAT)

    following = asyncio.create_task(follow())
    await ends(queue.run, logged)
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_a_fault_in_acknowledging_begins_anew_and_then_ends(logged: Logged) -> None:
    unknown = UnknownErrors("test")
    closed: list[object] = []

    class Channel:
        async def basic_ack(self, *_: object, **__: object) -> NoReturn:
            await fault()

        async def close(self) -> None:
            closed.append(self)

    async def run() -> None:
        for _ in range(MOST_IN_A_ROW):
            channel = Channel()
            acknowledger = Acknowledger(cast(aiormq.Channel, channel), unknown)
            acknowledger.delivered(1)
            await acknowledger.complete([Delivery(b"", 1, channel)], at_once=True)
        await unknown.watch()

    await ends(run, logged)
    assert len(closed) == MOST_IN_A_ROW, "what was not settled is delivered again, on a new channel"


def test_only_faults_in_a_row_count_and_old_ones_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    unknown = UnknownErrors("test")
    for _ in range(3 * MOST_IN_A_ROW):
        unknown.note(KeyError("x"))
        unknown.clear()
        unknown.check()
    for _ in range(3 * MOST_IN_A_ROW):
        unknown.note(KeyError("x"))
        unknown.check()
        now += errors.WITHIN / 2
    for _ in range(MOST_IN_A_ROW):
        unknown.note(KeyError("x"))
    with pytest.raises(KeyError):
        unknown.check()


def said_by_the_libraries() -> list[RuntimeError]:
    """What they raise of a connection or channel that is closed or was never open."""
    found: list[RuntimeError] = []

    async def collect() -> None:
        connection = aio_pika.Connection(URL("amqp://127.0.0.1:9/"))
        with pytest.raises(RuntimeError) as never_opened:
            connection.channel()
        server = await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0)
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
        writer.close()
        await writer.wait_closed()
        with pytest.raises(RuntimeError) as transport:
            writer.write(b"x")
        below = aiormq.Connection("amqp://127.0.0.1:9/")  # its text, since one that was never open cannot be closed
        found.extend([never_opened.value, RuntimeError(f"{below!r} closed"), transport.value])
        server.close()

    uvloop.run(collect())
    return found


async def test_what_the_libraries_say_of_a_lost_connection_is_known() -> None:
    said = await asyncio.to_thread(said_by_the_libraries)
    assert len(said) == 3
    for error in [*said, RuntimeError("Connection is not ready")]:
        with pytest.raises(ConnectionError), given_up_is_failure():
            raise error
    with pytest.raises(RuntimeError, match=FAULT), given_up_is_failure():
        raise RuntimeError(FAULT)


async def test_a_link_ends_whose_cancellation_the_library_swallows(vhost_url: str) -> None:
    """A service that is asked to stop while it connects must not connect for ever."""
    asked = asyncio.Event()

    async def swallow(_: AbstractChannel) -> None:
        asked.set()
        await swallowing()

    running = asyncio.create_task(BrokerConnection(vhost_url, "swallowed", swallow).run())
    await asyncio.wait_for(asked.wait(), PATIENCE)
    running.cancel()
    await asyncio.wait([running], timeout=PATIENCE)
    assert running.cancelled()


async def swallowing(returns: bool = False) -> None:
    """What aiormq sometimes does when it is cancelled while it connects or closes."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        if not returns:
            raise aiormq.exceptions.AMQPConnectionError("closed") from None


@pytest.mark.parametrize("returns", [False, True])
async def test_a_cancellation_that_the_library_swallows_is_raised(returns: bool) -> None:
    async def work() -> None:
        with given_up_is_failure():
            await swallowing(returns)
        pytest.fail("it went on")

    running = asyncio.create_task(work())
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running], timeout=PATIENCE)
    assert running.cancelled()


async def test_a_limit_that_ran_out_while_the_library_swallows_it_is_a_timeout() -> None:
    async def work() -> None:
        async with asyncio.timeout(0.01):
            with given_up_is_failure():
                await swallowing()

    with pytest.raises(TimeoutError):
        await work()
