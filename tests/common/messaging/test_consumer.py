"""`consumer.py` on a real broker: what is handled, how it begins, what it survives, what a drain leaves."""

import asyncio
import random

import pytest
from faststream.rabbit import RabbitRouter

from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.messaging import middlewares
from services.common.messaging.consumer import Consumers
from services.common.messaging.subscribers import subscribe
from tests.support.conditions import until
from tests.support.in_process.queue_bench import QUEUE, bench, consumed, counted, events, seq
from tests.support.servers import PATIENCE, Account


async def test_each_event_is_handled_and_then_acknowledged(vhost_url: str) -> None:
    seen: list[int] = []

    async def handler(event: Event) -> None:
        seen.append(seq(event))

    async with bench(vhost_url) as made:
        await made.put(*events(120))
        async with consumed(made, handler):
            await until(lambda: len(seen) >= 120, "all events")
        assert sorted(seen) == list(range(1, 121))
        assert seen[:5] == [1, 2, 3, 4, 5], "one by one at first"
        assert await made.left() == []
        assert await made.left(QUEUE.dead_letters) == []


async def test_at_first_one_message_is_out_and_after_five_are_done_as_many_as_may_be(vhost_url: str) -> None:
    begun: list[int] = []
    gates = {n: asyncio.Event() for n in range(1, 40)}

    async def handler(event: Event) -> None:
        begun.append(seq(event))
        await gates[seq(event)].wait()

    async def reached(number: int) -> None:
        await until(lambda: len(begun) >= number, f"message {number}")

    async with bench(vhost_url) as made:
        await made.put(*events(39))
        async with consumed(made, handler, prefetch=10):
            for n in range(1, 6):
                await reached(n)
                await made.waiting(39 - n)
                assert begun == list(range(1, n + 1)), "a message that never returns has no neighbours out"
                gates[n].set()
            await reached(15)
            await made.all_begun(39, begun)
            assert len(begun) - 5 in (10, 11), "eleven when the sixth was on its way while the limit was raised"
            for gate in gates.values():
                gate.set()
            await until(lambda: len(begun) == 39, "the rest")


async def test_a_drain_finishes_what_is_in_hand_and_leaves_the_rest_uncounted(vhost_url: str) -> None:
    begun: list[int] = []
    done: list[int] = []
    slow = asyncio.Event()

    async def handler(event: Event) -> None:
        begun.append(seq(event))
        if seq(event) > 5:
            await slow.wait()
        done.append(seq(event))

    async with bench(vhost_url) as made:
        await made.put(*events(40))
        async with consumed(made, handler, prefetch=10) as consumers:
            await until(lambda: len(begun) >= 15, "ten in hand")
            await made.all_begun(40, begun)
            in_hand = list(begun)
            draining = asyncio.create_task(consumers.drain(PATIENCE))
            await until(lambda: not consumers.running, "the end of deliveries")
            await made.put(*events(1, 41))
            await made.waiting(41 - len(in_hand))
            assert not draining.done(), "it waits for what is in hand"
            slow.set()
            await draining
        assert begun == in_hand, "nothing was begun any more"
        assert set(done) == set(in_hand)
        left = await made.back(41 - len(in_hand))
        assert {seq(decode(m.body)) for m in left} == set(range(1, 42)) - set(in_hand)
        assert {m.headers.get("x-delivery-count", 0) for m in left} == {0}


async def test_a_drain_does_not_wait_for_a_delay(vhost_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(middlewares, "FIRST_DELAY", 600.0)
    failed, before = asyncio.Event(), counted("given_back")

    async def handler(_: Event) -> None:
        failed.set()
        raise RuntimeError("it hurts")

    async with bench(vhost_url) as made:
        await made.put(*events(1))
        async with consumed(made, handler) as consumers:
            await asyncio.wait_for(failed.wait(), PATIENCE)
            await consumers.drain(PATIENCE)
            assert counted("given_back") == before + 1, "given back by the drain, not by the end of the connection"
        (message,) = await made.back(1)
        assert message.headers["x-delivery-count"] == 1


async def test_a_drain_has_an_end_even_when_a_handler_has_none(vhost_url: str) -> None:
    begun = asyncio.Event()

    async def handler(_: Event) -> None:
        begun.set()
        await asyncio.Event().wait()

    async with bench(vhost_url) as made:
        await made.put(*events(1))
        async with consumed(made, handler, patience=0.0) as consumers:
            await asyncio.wait_for(begun.wait(), PATIENCE)
            async with asyncio.timeout(PATIENCE):
                await consumers.drain(0.05)
        assert len(await made.back(1)) == 1, "not acknowledged, so it is handled again elsewhere"


async def test_consuming_goes_on_after_the_connection_was_closed(vhost_url: str, account: Account) -> None:
    seen: list[int] = []

    async def handler(event: Event) -> None:
        seen.append(seq(event))

    async with bench(vhost_url, consumers_url=account.url) as made:
        await made.put(*events(10))
        async with consumed(made, handler) as consumers:
            await until(lambda: set(seen) == set(range(1, 11)), "the first ten")
            closing = asyncio.create_task(asyncio.to_thread(account.close_connections))
            await until(lambda: not consumers.running, "the loss to show")
            await made.put(*events(10, 11))
            await until(lambda: consumers.running, "a new connection")
            await until(lambda: set(seen) == set(range(1, 21)), "the next ten")
            await closing


async def test_a_queue_that_was_deleted_shows(vhost_url: str) -> None:
    async def handler(_: Event) -> None:
        return

    async with bench(vhost_url) as made, consumed(made, handler) as consumers:
        await made.channel.queue_delete(QUEUE.name)
        await until(lambda: not consumers.running, "the consumer to be missed")
        await made.channel.declare_queue(QUEUE.name, durable=True, arguments=QUEUE.declaration)
        await until(lambda: consumers.running, "the consumer to be back")


async def test_consumers_wait_for_queues_that_are_declared_late(
    vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda *_: 0.02)  # seconds between attempts
    seen: list[int] = []
    failures = 0

    async def handler(event: Event) -> None:
        seen.append(seq(event))

    async def probe() -> None:
        nonlocal failures
        failures += 1

    router = RabbitRouter()
    subscribe(router, QUEUE, handler)
    consumers = Consumers(vhost_url, router, probe)
    task = asyncio.create_task(consumers.run())
    try:
        await until(lambda: failures >= 3, "attempts without the queue")
        assert not consumers.running
        async with bench(vhost_url) as made:
            await made.put(*events(1))
            await until(lambda: seen == [1], "the event")
    finally:
        await consumers.drain(PATIENCE)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
