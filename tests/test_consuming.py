"""`services/consuming.py` on a real broker: what is handled, kept, given back, set aside, and what a drain leaves."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from itertools import pairwise

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pymongo.errors import AutoReconnect

from services import consuming, topology
from services.broker import Unconfirmed, declare_topology
from services.consuming import BadDay, Consumers, retry_in_place
from services.contracts import Fact, Party, ReadShown, decode, encode
from tests.real import Broker
from tests.samples import CHAT, golden

QUEUE = topology.Queue("test.facts", ("read.shown",))
HURTING = topology.Queue("test.facts", ("read.shown",), {"x-delivery-limit": 2})


@dataclass
class Bench:
    """A queue with its dead letters on a virtual host of its own, and what the handler was given."""

    channel: AbstractChannel
    consumers: Consumers
    probes: list[float] = field(default_factory=list)

    async def put(self, *bodies: bytes) -> None:
        for body in bodies:
            await self.channel.default_exchange.publish(aio_pika.Message(body), QUEUE.name)

    async def left(self, name: str = QUEUE.name) -> list[AbstractIncomingMessage]:
        """Everything that waits in a queue now, taken out."""
        queue = await self.channel.get_queue(name)
        found = []
        while message := await queue.get(no_ack=True, fail=False):
            found.append(message)
        return found

    async def letters(self, number: int) -> list[AbstractIncomingMessage]:
        """The dead letters, as soon as there are so many."""
        found: list[AbstractIncomingMessage] = []
        async with asyncio.timeout(20):
            while len(found) < number:
                found += await self.left(QUEUE.dead_letters)
                await asyncio.sleep(0.02)
        return found


@contextlib.asynccontextmanager
async def bench(url: str, queue: topology.Queue = QUEUE) -> AsyncIterator[Bench]:
    async with await aio_pika.connect(url) as connection, connection.channel() as channel:
        await declare_topology(channel)
        await channel.declare_queue(queue.name, durable=True, arguments=queue.declaration)
        letters = await channel.declare_queue(
            queue.dead_letters, durable=True, arguments=topology.DEAD_LETTER_DECLARATION
        )
        await letters.bind(topology.DEAD_EXCHANGE, queue.service)

        async def probe() -> None:
            made.probes.append(time.monotonic())

        made = Bench(channel, Consumers(url, probe))
        yield made


@contextlib.asynccontextmanager
async def consumed(made: Bench, handler: Callable[[Fact], Awaitable[None]], **options: int) -> AsyncIterator[Consumers]:
    """The queue is consumed by `handler` while the context is open."""
    consumers = made.consumers
    consumers.add(QUEUE, handler, **options)
    task = asyncio.create_task(consumers.run())
    try:
        await until(lambda: consumers.running or task.done(), "the consumers")
        yield consumers
        assert not task.done(), "consuming ended by itself"
    finally:
        await consumers.drain(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert not consumers.running


async def until(condition: Callable[[], bool], what: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain for {what}"
        await asyncio.sleep(0.01)


def facts(number: int, first: int = 1) -> list[bytes]:
    return [encode(ReadShown(chat_id=CHAT, party=Party.AGENT, sender_id="an", seq=first + i)) for i in range(number)]


def seq(fact: Fact) -> int:
    assert isinstance(fact, ReadShown)
    return fact.seq


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fifth of the delays before a message is given back, and quick probes."""
    monkeypatch.setattr(consuming, "FIRST_DELAY", 0.2)
    monkeypatch.setattr(consuming, "PROBE_INTERVAL", 0.05)


async def test_each_fact_is_handled_and_then_acknowledged(vhost_url: str) -> None:
    seen: list[int] = []

    async def handler(fact: Fact) -> None:
        seen.append(seq(fact))

    async with bench(vhost_url) as made:
        await made.put(*facts(120))
        async with consumed(made, handler):
            await until(lambda: len(seen) >= 120, "all facts")
        assert sorted(seen) == list(range(1, 121))
        assert seen[:5] == [1, 2, 3, 4, 5], "one by one at first"
        assert await made.left() == []
        assert await made.left(QUEUE.dead_letters) == []


async def test_poison_is_set_aside_alone_and_at_once(vhost_url: str) -> None:
    seen: list[int] = []

    async def handler(fact: Fact) -> None:
        seen.append(seq(fact))

    poison = [
        b"not json",
        b"\xff\xfe\x00",
        b"",
        b'{"type": "chat.renamed", "chat_id": "x"}',
        golden("read.shown").replace(b'"seq": 7', b'"seq": 9223372036854775808'),
        golden("read.shown").replace(b"citizen", rb"\ud800", 1),
    ]
    good = facts(len(poison))
    async with bench(vhost_url) as made:
        await made.put(*(body for pair in zip(poison, good, strict=True) for body in pair))
        async with consumed(made, handler):
            letters = await made.letters(len(poison))
            await until(lambda: len(seen) == len(good), "the neighbours")
        assert sorted(letter.body for letter in letters) == sorted(poison)
        assert {letter.headers["x-first-death-reason"] for letter in letters} == {"rejected"}
        assert sorted(seen) == [1, 2, 3, 4, 5, 6]
        assert await made.left() == []


@pytest.mark.parametrize("error", [AutoReconnect("away"), Unconfirmed("no connection")])
async def test_on_a_bad_day_a_message_is_tried_again_in_place_and_counts_no_delivery(
    vhost_url: str, broker: Broker, error: Exception
) -> None:
    tries: list[float] = []
    bad = asyncio.Event()

    async def handler(_: Fact) -> None:
        tries.append(time.monotonic())
        if not bad.is_set():
            raise error

    async with bench(vhost_url) as made:
        await made.put(*facts(1))
        async with consumed(made, handler):
            await until(lambda: len(tries) >= 5, "five tries")
            assert await made.left() == [], "it is kept, not given back"
            bad.set()
            count = len(tries)
            await until(lambda: len(tries) > count, "the good day")
        assert await made.left() == []
        assert await made.left(QUEUE.dead_letters) == []
    pauses = [b - a for a, b in pairwise(tries)]
    assert min(pauses) > 0.02
    assert pauses[3] > pauses[0]


async def test_a_bad_day_gives_no_delivery_count_to_what_is_handled_after_it(vhost_url: str) -> None:
    failures = 25  # more than the delivery limit

    async def handler(_: Fact) -> None:
        nonlocal failures
        failures -= 1
        if failures > 0:
            raise AutoReconnect("away")
        raise asyncio.CancelledError  # as a process that ends: the message goes back to the queue

    async with bench(vhost_url) as made:
        await made.put(*facts(1))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("random.uniform", lambda *_: 0.001)
            async with consumed(made, handler):
                await until(lambda: failures <= 0, "the end of the bad day")
        (message,) = await made.left()
        assert message.headers.get("x-delivery-count", 0) == 1, "that of the process that ended, and no more"


async def test_after_too_long_a_bad_day_consuming_stops_until_a_probe_succeeds(
    vhost_url: str, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []
    good = asyncio.Event()
    good.set()
    in_hand = most = 0

    async def handler(fact: Fact) -> None:
        nonlocal in_hand, most
        tries.append(seq(fact))
        if not good.is_set():
            raise AutoReconnect("away")
        in_hand += 1
        most = max(most, in_hand)
        await asyncio.sleep(0.05)
        in_hand -= 1

    async def probe() -> None:
        made.probes.append(time.monotonic())
        if not good.is_set():
            raise AutoReconnect("away")

    patient = retry_in_place
    monkeypatch.setattr(consuming, "retry_in_place", lambda work: patient(work, 0.2))
    async with bench(vhost_url) as made:
        made.consumers._probe = probe
        await made.put(*facts(10))
        async with consumed(made, handler) as consumers:
            await until(lambda: set(tries) == set(range(1, 11)) and in_hand == 0, "the good day before")
            good.clear()
            await made.put(*facts(30, 11))
            await until(lambda: len(made.probes) >= 3, "probes")
            assert not consumers.running
            before = len(tries)
            await asyncio.sleep(0.3)
            assert len(tries) == before, "nothing is consumed while the database is away"
            tries.clear()
            most = 0
            good.set()
            await until(lambda: set(tries) == set(range(11, 41)), "all facts")
            assert consumers.running
            assert most > 1, "it begins slowly again, and then widens again"
        assert await made.left(QUEUE.dead_letters) == []


async def test_what_hurts_is_given_back_later_each_time_and_set_aside_at_the_limit(vhost_url: str, quick: None) -> None:
    tries: dict[int, list[float]] = {}

    async def handler(fact: Fact) -> None:
        tries.setdefault(seq(fact), []).append(time.monotonic())
        if seq(fact) == 1:
            raise RuntimeError("it hurts")

    async with bench(vhost_url, HURTING) as made:
        await made.put(*facts(8))
        async with consumed(made, handler):
            (letter,) = await made.letters(1)
            await until(lambda: len(tries) == 8, "the neighbours")
        assert seq(decode(letter.body)) == 1
        assert letter.headers["x-first-death-reason"] == "delivery_limit"
        one, two = (b - a for a, b in pairwise(tries[1]))
        assert one >= 0.2
        assert two >= 0.4
        assert len(tries[1]) == 3, "the first delivery and two more"
        assert [len(tries[n]) for n in range(2, 9)] == [1] * 7
        assert await made.left() == []


def test_the_delays_before_a_message_is_given_back_stay_in_bounds() -> None:
    delays = [min(consuming.FIRST_DELAY * 2.0**n, consuming.LONGEST_DELAY) for n in range(topology.DELIVERY_LIMIT)]
    assert delays[:6] == [1, 2, 4, 8, 16, 30]
    assert max(delays) == 30


async def test_at_first_one_message_is_out_and_after_five_are_done_as_many_as_may_be(vhost_url: str) -> None:
    begun: list[int] = []
    gates = {n: asyncio.Event() for n in range(1, 40)}

    async def handler(fact: Fact) -> None:
        begun.append(seq(fact))
        await gates[seq(fact)].wait()

    async with bench(vhost_url) as made:
        await made.put(*facts(39))
        async with consumed(made, handler, prefetch=10):
            for n in range(1, 6):
                await until(lambda n=n: begun == list(range(1, n + 1)), f"message {n}")  # type: ignore[misc]
                await asyncio.sleep(0.2)
                assert begun == list(range(1, n + 1)), "a message that never returns has no neighbours out"
                gates[n].set()
            await until(lambda: len(begun) >= 15, "ten at once")
            await asyncio.sleep(0.2)
            assert len(begun) - 5 in (10, 11), "eleven when the sixth was on its way while the limit was raised"
            for gate in gates.values():
                gate.set()
            await until(lambda: len(begun) == 39, "the rest")


async def test_a_drain_finishes_what_is_in_hand_and_leaves_the_rest_uncounted(vhost_url: str) -> None:
    begun: list[int] = []
    done: list[int] = []
    slow = asyncio.Event()

    async def handler(fact: Fact) -> None:
        begun.append(seq(fact))
        if seq(fact) > 5:
            await slow.wait()
        done.append(seq(fact))

    async with bench(vhost_url) as made:
        await made.put(*facts(40))
        async with consumed(made, handler, prefetch=10) as consumers:
            await until(lambda: len(begun) >= 15, "ten in hand")
            await asyncio.sleep(0.2)
            in_hand = list(begun)
            draining = asyncio.create_task(consumers.drain())
            await asyncio.sleep(0.3)
            assert not draining.done(), "it waits for what is in hand"
            assert not consumers.running
            slow.set()
            await draining
        assert begun == in_hand, "nothing was begun any more"
        assert set(done) == set(in_hand)
        left = await made.left()
        assert {seq(decode(m.body)) for m in left} == set(range(1, 41)) - set(in_hand)
        assert {m.headers.get("x-delivery-count", 0) for m in left} == {0}


async def test_a_drain_does_not_wait_for_a_delay(vhost_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(consuming, "FIRST_DELAY", 30.0)
    failed = asyncio.Event()

    async def handler(_: Fact) -> None:
        failed.set()
        raise RuntimeError("it hurts")

    async with bench(vhost_url) as made:
        await made.put(*facts(1))
        async with consumed(made, handler) as consumers:
            await asyncio.wait_for(failed.wait(), 10)
            began = time.monotonic()
            await consumers.drain()
            assert time.monotonic() - began < 5
        (message,) = await made.left()
        assert message.headers["x-delivery-count"] == 1


async def test_a_drain_has_an_end_even_when_a_handler_has_none(vhost_url: str) -> None:
    begun = asyncio.Event()

    async def handler(_: Fact) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with bench(vhost_url) as made:
        await made.put(*facts(1))
        async with consumed(made, handler) as consumers:
            await asyncio.wait_for(begun.wait(), 10)
            began = time.monotonic()
            await consumers.drain(0.5)
            assert time.monotonic() - began < 8
        assert len(await made.left()) == 1, "not acknowledged, so it is handled again elsewhere"


async def test_consuming_goes_on_after_the_connection_was_closed(vhost_url: str, broker: Broker) -> None:
    seen: list[int] = []

    async def handler(fact: Fact) -> None:
        seen.append(seq(fact))

    async with bench(vhost_url) as made:
        await made.put(*facts(10))
        async with consumed(made, handler) as consumers:
            await until(lambda: len(seen) == 10, "the first ten")
            connection = consumers._broker._connection  # type: ignore[union-attr]
            await connection.transport.connection.close(ConnectionError("lost"))  # type: ignore[union-attr]
            await until(lambda: not consumers.running, "the loss to show")
            await made.put(*facts(10, 11))
            await until(lambda: consumers.running, "a new connection")
            await until(lambda: set(seen) == set(range(1, 21)), "the next ten")


async def test_a_queue_that_was_deleted_shows(vhost_url: str) -> None:
    async def handler(_: Fact) -> None:
        return

    async with bench(vhost_url) as made, consumed(made, handler) as consumers:
        await made.channel.queue_delete(QUEUE.name)
        await until(lambda: not consumers.running, "the consumer to be missed")
        await made.channel.declare_queue(QUEUE.name, durable=True, arguments=QUEUE.declaration)
        await until(lambda: consumers.running, "the consumer to be back", 30)


async def test_consumers_wait_for_queues_that_are_declared_late(vhost_url: str) -> None:
    seen: list[int] = []

    async def handler(fact: Fact) -> None:
        seen.append(seq(fact))

    async def probe() -> None:
        return

    consumers = Consumers(vhost_url, probe)
    consumers.add(QUEUE, handler)
    task = asyncio.create_task(consumers.run())
    try:
        await asyncio.sleep(1)
        assert not consumers.running
        async with bench(vhost_url) as made:
            await made.put(*facts(1))
            await until(lambda: seen == [1], "the fact", 30)
    finally:
        await consumers.drain(0.5)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_retrying_in_place_gives_the_result_and_lets_other_errors_pass() -> None:
    tries = iter([AutoReconnect("away"), Unconfirmed("away"), None])

    async def work() -> str:
        if error := next(tries):
            raise error
        return "done"

    async def broken() -> None:
        raise KeyError("other")

    assert await retry_in_place(work) == "done"
    with pytest.raises(KeyError):
        await retry_in_place(broken)


async def test_retrying_in_place_ends_as_a_bad_day() -> None:
    async def away() -> None:
        raise AutoReconnect("away")

    with pytest.raises(BadDay) as caught:
        await retry_in_place(away, 0.2)
    assert isinstance(caught.value.__cause__, AutoReconnect)
