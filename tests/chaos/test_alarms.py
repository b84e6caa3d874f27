"""An alarm stops who publishes and nobody who consumes, until it is over."""

from __future__ import annotations

import asyncio

import aio_pika
import pytest

from deploy.local.rabbitmq import control_environment
from tests.chaos import alarms
from tests.real import PATIENCE, Broker

BLOWS = ("memory", "disk")


@pytest.mark.parametrize("number", range(len(BLOWS)), ids=BLOWS)
async def test_publishers_wait_and_consumers_do_not_until_it_is_over(
    broker: Broker, vhost_url: str, number: int
) -> None:
    blow = alarms.blows(control_environment(broker.node))[number]
    assert BLOWS[number] in blow.kind
    async with await aio_pika.connect(vhost_url) as publishing, await aio_pika.connect(vhost_url) as consuming:
        channel = await publishing.channel()
        queue = await (await consuming.channel()).declare_queue("said")

        async def tell(text: bytes) -> None:
            await channel.default_exchange.publish(aio_pika.Message(text), "said")

        await tell(b"before")
        try:
            await blow.strike()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(tell(b"meanwhile"), 0.5)
            assert (await queue.get(no_ack=True)).body == b"before"
        finally:
            await blow.heal()
        await asyncio.wait_for(tell(b"afterwards"), PATIENCE)
        assert [(await queue.get(no_ack=True)).body for _ in range(2)] == [b"meanwhile", b"afterwards"]
