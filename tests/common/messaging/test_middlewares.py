"""`middlewares.py` and `subscribers.py` around a handler, in FastStream's test broker: what each delivery ends with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
from faststream.rabbit import RabbitBroker, RabbitRouter, TestRabbitBroker
from faststream.rabbit.testing import PatchedMessage
from pymongo.errors import AutoReconnect

from services.common.events.chats import CitizenArrived
from services.common.events.event import Event
from services.common.events.messages import ReadShown
from services.common.events.types import Party
from services.common.messaging import middlewares, retry
from services.common.messaging.middlewares import ConsumerState, QueueState, create_middlewares
from services.common.messaging.queue_metrics import Waiting
from services.common.messaging.slow_start import SLOW_START
from services.common.messaging.subscribers import EventCodec, subscribe
from tests.support.event_samples import CHAT
from tests.support.in_process.queue_bench import QUEUE, counted

READ = ReadShown(chat_id=CHAT, party=Party.AGENT, sender_id="an", seq=1)
ARRIVED = CitizenArrived(chat_id=CHAT)


class Widened:
    """Counts how often the prefetch limit was raised, and how many deliveries were in progress then."""

    def __init__(self, state: ConsumerState) -> None:
        self.in_progress: list[int] = []
        self._state = state

    async def __call__(self) -> None:
        self.in_progress.append(self._state.in_progress)


@asynccontextmanager
async def delivering(
    *handlers: Callable[[Any], Awaitable[None]],
) -> AsyncIterator[tuple[RabbitBroker, ConsumerState, Widened]]:
    """A broker that delivers to these handlers of one queue."""
    router, state = RabbitRouter(), ConsumerState()
    subscribe(router, QUEUE, *handlers)
    widened = Widened(state)
    state.queues[QUEUE.name] = QueueState(QUEUE.name, 20, Waiting(QUEUE.name), widened)
    broker = RabbitBroker(
        codec=EventCodec(), routers=[router], middlewares=create_middlewares(state), apply_types=False
    )
    async with TestRabbitBroker(broker) as made:
        yield made, state, widened


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middlewares, "FIRST_DELAY", 0.0)
    monkeypatch.setattr(retry, "FIRST_PAUSE", 0.0)


@contextlib.contextmanager
def ends_as(outcome: str, times: int = 1) -> Iterator[None]:
    """So many messages end with this outcome."""
    before = counted(outcome)
    yield
    assert counted(outcome) == before + times


async def test_an_event_reaches_the_handler_of_its_kind() -> None:
    seen: list[Event] = []

    async def arrived(event: CitizenArrived) -> None:
        seen.append(event)

    async def other(event: Event) -> None:
        seen.append(event)
        assert not isinstance(event, CitizenArrived)

    async with delivering(arrived, other) as (broker, state, _):
        with ends_as("done", 2):
            await broker.publish(ARRIVED, QUEUE.name)
            await broker.publish(READ, QUEUE.name)
    assert seen == [ARRIVED, READ]
    assert state.in_progress == 0


async def test_what_cannot_be_decoded_reaches_no_handler() -> None:
    async def arrived(event: CitizenArrived) -> None:
        pytest.fail("it was handled")

    async def other(event: Event) -> None:
        pytest.fail("it was handled")

    async with delivering(arrived, other) as (broker, state, _):
        with ends_as("dead_lettered"):
            await broker.publish("no event", QUEUE.name)
    assert state.in_progress == 0


@pytest.mark.usefixtures("quick")
async def test_an_event_of_another_kind_than_the_handler_takes_is_given_back() -> None:
    async def arrived(event: CitizenArrived) -> None:
        pytest.fail("it was handled")

    async with delivering(arrived) as (broker, _, _):
        with ends_as("given_back"), structlog.testing.capture_logs() as logged:
            await broker.publish(READ, QUEUE.name)
    (failed,) = [line for line in logged if line["event"] == "message_failed"]
    assert failed["type"] == READ.type


@pytest.mark.usefixtures("quick")
async def test_a_handler_is_called_again_in_an_outage_and_decoding_is_not() -> None:
    tries = 0

    async def read(event: ReadShown) -> None:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise AutoReconnect("away")

    async with delivering(read) as (broker, state, _):
        with ends_as("done"):
            await broker.publish(READ, QUEUE.name)
    assert tries == 3
    assert not state.restart.is_set()


async def test_a_long_outage_keeps_the_message_and_asks_for_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retry, "OUTAGE_PATIENCE", -1.0)

    async def read(event: ReadShown) -> None:
        raise AutoReconnect("away")

    async def acknowledge(*_: object, **__: object) -> None:
        pytest.fail("it was acknowledged or rejected")

    for name in ("ack", "nack", "reject"):
        monkeypatch.setattr(PatchedMessage, name, acknowledge)
    async with delivering(read) as (broker, state, widened):
        with ends_as("kept", 2 * SLOW_START):
            for _ in range(2 * SLOW_START):
                await broker.publish(READ, QUEUE.name)
    assert state.restart.is_set()
    assert widened.in_progress == [], "what is kept was not handled"


@pytest.mark.usefixtures("quick")
async def test_the_slow_start_ends_once_while_its_last_message_is_in_progress() -> None:
    async def read(event: ReadShown) -> None:
        if event.seq % 2:
            raise RuntimeError("it hurts")

    async with delivering(read) as (broker, _, widened):
        for seq in range(1, SLOW_START):
            await broker.publish(READ.model_copy(update={"seq": seq}), QUEUE.name)
        assert widened.in_progress == []
        for seq in range(SLOW_START, 3 * SLOW_START):
            await broker.publish(READ.model_copy(update={"seq": seq}), QUEUE.name)
    assert widened.in_progress == [1], "failed or not"


async def test_a_drain_ends_the_delay_of_a_failed_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middlewares, "FIRST_DELAY", 600.0)
    failed = asyncio.Event()

    async def read(event: ReadShown) -> None:
        failed.set()
        raise RuntimeError("it hurts")

    async with delivering(read) as (broker, state, _):
        with ends_as("given_back"):
            publishing = asyncio.create_task(broker.publish(READ, QUEUE.name))
            await failed.wait()
            state.draining.set()
            await publishing
