"""An alarm stops publishers and no consumers, until it is over."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import aio_pika
import pytest

from deploy.local.rabbitmq import control_environment
from tests.support.servers import PATIENCE, Broker, patient, running_broker
from tests.system.chaos import alarms

KINDS = ("memory", "disk")


@pytest.fixture(scope="module")
def alarmed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of these tests alone: an alarm stops every publisher on it."""
    with running_broker(tmp_path_factory.mktemp("alarmed")) as running:
        yield running


@pytest.mark.parametrize("number", range(len(KINDS)), ids=KINDS)
async def test_publishers_wait_and_consumers_do_not_until_it_is_over(alarmed: Broker, number: int) -> None:
    fault = alarms.faults(control_environment(alarmed.node))[number]
    assert KINDS[number] in fault.kind
    url = patient(alarmed.url)
    async with await aio_pika.connect(url) as publishing, await aio_pika.connect(url) as consuming:
        channel = await publishing.channel()
        queue = await (await consuming.channel()).declare_queue(KINDS[number])

        async def send(text: bytes) -> None:
            await channel.default_exchange.publish(aio_pika.Message(text), KINDS[number])

        await send(b"before")
        try:
            await fault.inject()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(send(b"meanwhile"), 0.5)
            assert (await queue.get(no_ack=True)).body == b"before"
        finally:
            await fault.end()
        await asyncio.wait_for(send(b"afterwards"), PATIENCE)
        assert [(await queue.get(no_ack=True)).body for _ in range(2)] == [b"meanwhile", b"afterwards"]
