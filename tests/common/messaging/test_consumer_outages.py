"""Days without a database or broker: kept and tried again in place, and nothing counts as a delivery."""

import asyncio
import time
from itertools import pairwise
from typing import NoReturn

import pytest
from aio_pika import RobustChannel
from faststream.rabbit import RabbitBroker
from faststream.rabbit.subscriber import RabbitSubscriber
from pymongo.errors import AutoReconnect

from services.common.events.event import Event
from services.common.messaging import consumer, retry
from services.common.messaging.consumer import NotStopped
from services.common.messaging.publisher import Unconfirmed
from services.common.messaging.retry import DependencyOutage, retry_with_backoff
from tests.support.conditions import until
from tests.support.in_process.queue_bench import QUEUE, bench, consumed, events, quicken, seq
from tests.support.servers import PATIENCE


@pytest.mark.parametrize("error", [AutoReconnect("away"), Unconfirmed("no connection")])
async def test_in_an_outage_a_message_is_tried_again_in_place_and_counts_no_delivery(
    vhost_url: str, error: Exception
) -> None:
    tries: list[float] = []
    bad = asyncio.Event()

    async def handler(_: Event) -> None:
        tries.append(time.monotonic())
        if not bad.is_set():
            raise error

    async with bench(vhost_url) as made:
        await made.put(*events(1))
        async with consumed(made, handler):
            await until(lambda: len(tries) >= 5, "five tries")
            assert await made.left() == [], "it is kept, not given back"
            bad.set()
            count = len(tries)
            await until(lambda: len(tries) > count, "the good day")
        assert await made.left() == []
        assert await made.left(QUEUE.dead_letters) == []
    pauses = [later - earlier for earlier, later in pairwise(tries)]
    least = [retry.FIRST_PAUSE * 2**n / 2 for n in range(4)]  # each is twice the one before, less its jitter
    assert all(pause > 0.9 * shortest for pause, shortest in zip(pauses, least, strict=False))


async def test_an_outage_gives_no_delivery_count_to_what_is_handled_after_it(vhost_url: str) -> None:
    failures = 25  # more than the delivery limit

    async def handler(_: Event) -> None:
        nonlocal failures
        failures -= 1
        if failures > 0:
            raise AutoReconnect("away")
        raise asyncio.CancelledError  # as a process that ends: the message goes back to the queue

    async with bench(vhost_url) as made:
        await made.put(*events(1))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("random.uniform", lambda *_: 0.001)
            async with consumed(made, handler):
                await until(lambda: failures <= 0, "the end of the bad day")
        (message,) = await made.back(1)
        assert message.headers.get("x-delivery-count", 0) == 1, "that of the process that ended, and no more"


async def test_after_too_long_an_outage_consuming_stops_until_a_probe_succeeds(
    vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicken(monkeypatch)
    tries: list[int] = []
    good = asyncio.Event()
    good.set()
    in_hand = most = 0

    async def handler(event: Event) -> None:
        nonlocal in_hand, most
        tries.append(seq(event))
        if not good.is_set():
            raise AutoReconnect("away")
        in_hand += 1
        most = max(most, in_hand)
        await asyncio.sleep(0.05)
        in_hand -= 1

    async def probe() -> None:
        if not good.is_set():
            raise AutoReconnect("away")

    monkeypatch.setattr(retry, "OUTAGE_PATIENCE", 0.2)
    async with bench(vhost_url, probe=probe) as made:
        await made.put(*events(10))
        async with consumed(made, handler) as consumers:
            await until(lambda: set(tries) == set(range(1, 11)) and in_hand == 0, "the good day before")
            good.clear()
            await made.put(*events(30, 11))
            await until(lambda: len(made.probes) >= 3, "probes")
            assert not consumers.running
            before, probes = len(tries), len(made.probes)
            await until(lambda: len(made.probes) >= probes + 5, "more probes")
            assert len(tries) == before, "nothing is consumed while the database is away"
            tries.clear()
            most = 0
            good.set()
            await made.put(*events(30, 41))
            await until(lambda: set(tries) == set(range(11, 71)), "all events")
            await until(lambda: consumers.running, "all consumers")
            assert most > 1, "it begins slowly again, and then widens again"
        assert await made.left(QUEUE.dead_letters) == []


async def test_retrying_in_place_gives_the_result_and_lets_other_errors_pass() -> None:
    tries = iter([AutoReconnect("away"), Unconfirmed("away"), None])

    async def work() -> str:
        if error := next(tries):
            raise error
        return "done"

    async def broken() -> None:
        raise KeyError("other")

    assert await retry_with_backoff(work) == "done"
    with pytest.raises(KeyError):
        await retry_with_backoff(broken)


async def test_retrying_in_place_ends_as_an_outage() -> None:
    async def away() -> None:
        raise AutoReconnect("away")

    with pytest.raises(DependencyOutage) as caught:
        await retry_with_backoff(away, 0.2)
    assert isinstance(caught.value.__cause__, AutoReconnect)


async def test_consumers_that_cannot_be_stopped_end_the_process(
    vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was delivered to them would stay with a connection that nobody serves: another process gets it."""

    async def forever(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    async def handler(_: Event) -> NoReturn:
        raise AutoReconnect("away")

    monkeypatch.setattr(consumer, "STOP_LIMIT", 0.1)
    monkeypatch.setattr(retry, "OUTAGE_PATIENCE", 0.0)
    async with bench(vhost_url) as made:
        await made.put(*events(1))
        consumers = made.consumers(handler)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(RabbitBroker, "stop", forever)
            with pytest.raises(NotStopped):
                await asyncio.wait_for(consumers.run(), PATIENCE)
        await consumers.broker.stop()


async def test_consumers_that_the_library_does_not_restore_are_started_anew(
    vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "RESTORE_LIMIT", 1.0)
    handled: list[int] = []

    async def handler(event: Event) -> None:
        handled.append(seq(event))

    async with bench(vhost_url) as made, consumed(made, handler) as consumers:
        await made.put(*events(1))
        await until(lambda: handled == [1], "the first event")
        (subscriber,) = consumers.broker.subscribers
        assert isinstance(subscriber, RabbitSubscriber)
        queue = await consumers.broker.declare_queue(subscriber.queue)
        assert isinstance(queue.channel, RobustChannel)
        await queue.channel.close()  # which the library does not open again
        assert not consumers.running
        await made.put(*events(2)[1:])
        await until(lambda: handled == [1, 2], "the second event, by new consumers")
        await until(lambda: consumers.running, "the consumers")
