"""`queue_metrics.py`: the bound is never below the truth, and what a real broker and real consumers make of it."""

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import aio_pika
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.events.event import Event
from services.common.messaging import queue_metrics
from services.common.messaging.consumer import Consumers
from services.common.messaging.queue_metrics import Backlog, Waiting
from tests.support.conditions import until
from tests.support.in_process.queue_bench import QUEUE, bench, consumed, events
from tests.support.metrics import sample
from tests.support.servers import PATIENCE

BEGAN = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
ACTIONS = ("post", "take", "elsewhere", "finish", "back", "lose", "wait")


@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.booleans()), min_size=10, max_size=60))
def test_no_message_is_older_than_the_bound_whatever_happens(steps: list[tuple[str, bool]]) -> None:
    now = BEGAN
    waiting = Waiting("test.events", lambda: now)
    queue: deque[datetime] = deque()
    again: deque[datetime] = deque()  # a quorum queue delivers first what was given back, in the order of that
    hand: dict[int, datetime] = {}
    for number, (action, looks) in enumerate(steps):
        if action == "post":
            queue.append(now)
        elif action == "take" and (queue or again):
            hand[number] = (again or queue).popleft()
            waiting.take(number, hand[number])
        elif action == "elsewhere" and (again or queue):  # another replica has it: that one tells how old it is
            (again or queue).popleft()
        elif action in ("finish", "back") and hand:
            key = min(hand)
            at = hand.pop(key)
            if action == "back":
                again.append(at)
            waiting.finish(key, done=action == "finish")
        elif action == "lose":
            again.extend(sorted(hand.values()))
            hand.clear()
            waiting.lose()
        elif action == "wait":
            now += timedelta(seconds=7)
        if looks:
            waiting.look(len(again) + len(queue), now)
            oldest = min([*hand.values(), *again, *queue], default=now)
            assert waiting.seconds(now) >= (now - oldest).total_seconds()
            assert again or queue or hand or waiting.seconds(now) == 0


def test_a_queue_that_cannot_be_looked_into_counts_as_not_empty() -> None:
    waiting = Waiting("test.events", lambda: BEGAN)
    waiting.look(0, BEGAN)
    assert waiting.seconds(BEGAN + timedelta(seconds=14)) == 0
    assert waiting.seconds(BEGAN + timedelta(seconds=60)) == 60


@pytest.mark.parametrize("loses", [False, True])
def test_what_was_given_back_is_as_old_as_it_was(loses: bool) -> None:
    waiting = Waiting("test.events", lambda: BEGAN)
    waiting.take(1, BEGAN)
    later = BEGAN + timedelta(seconds=30)
    waiting.look(0, later)
    if loses:
        waiting.lose()
    else:
        waiting.finish(1, done=False)
    assert waiting.seconds(later) == 30
    waiting.look(1, later)
    assert waiting.seconds(later) == 30


def test_a_steady_stream_is_as_old_as_the_last_one_that_was_taken() -> None:
    waiting = Waiting("test.events", lambda: BEGAN)
    for second in range(600):
        at = BEGAN + timedelta(seconds=second)
        waiting.take(second, at - timedelta(seconds=3))
        waiting.look(5, at)
        waiting.finish(second)
    assert waiting.seconds(at) == 3


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often; what other tests have left in the gauges is gone."""
    monkeypatch.setattr(queue_metrics, "LOOK_EVERY", 0.05)
    queue_metrics.READY.labels(QUEUE.name).set(0)
    queue_metrics.LETTERS.labels("test").set(0)


def shown(name: str, **labels: str) -> float:
    return sample(name, labels) or 0.0


def oldest() -> float:
    return shown("eloket_queue_oldest_seconds", queue=QUEUE.name)


@pytest.mark.usefixtures("often")
async def test_it_grows_while_a_handler_holds_a_message_and_is_nothing_when_all_are_done(vhost_url: str) -> None:
    begun, gate = asyncio.Event(), asyncio.Event()

    async def handler(_: Event) -> None:
        begun.set()
        await gate.wait()

    async with (
        bench(vhost_url) as made,
        consumed(made, handler, prefetch=1) as consumers,
        looking(vhost_url, consumers),
    ):
        await until(lambda: oldest() == 0, "an empty queue")
        await made.put(*events(3))
        await asyncio.wait_for(begun.wait(), PATIENCE)
        await until(lambda: shown("eloket_queue_messages", queue=QUEUE.name) == 2, "two that wait")
        first = oldest()
        await until(lambda: oldest() > first + 0.3, "an older oldest")
        gate.set()
        await until(lambda: oldest() == 0 and shown("eloket_queue_messages", queue=QUEUE.name) == 0, "nothing left")


@pytest.mark.usefixtures("often")
async def test_it_grows_while_nothing_is_consumed_and_dead_letters_are_counted(vhost_url: str) -> None:
    async with bench(vhost_url) as made, looking(vhost_url, made.consumers(nobody)):
        await made.put(*events(1))
        await until(lambda: shown("eloket_queue_messages", queue=QUEUE.name) == 1, "one that waits")
        first = oldest()
        await until(lambda: oldest() > first + 0.3, "an older oldest")
        letter = aio_pika.Message(b"what nobody understands")
        await made.channel.default_exchange.publish(letter, QUEUE.dead_letters)
        await until(lambda: shown("eloket_dead_letters", service="test") == 1, "one dead letter")


async def nobody(_: Event) -> None:
    raise AssertionError("nothing is consumed here")


@contextlib.asynccontextmanager
async def looking(url: str, consumers: Consumers) -> AsyncIterator[None]:
    declared = asyncio.Event()
    declared.set()
    task = asyncio.create_task(Backlog(url, "test", consumers.waiting.values()).run(declared))
    try:
        yield
        assert not task.done(), "looking ended by itself"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
