"""Mirrors services/transcripts/log/subscription.py: a subscription that is stopped while it starts has no consumer."""

import asyncio
from typing import Any

import pytest
from aiormq import Channel

from services.common.messaging.errors import UnknownErrors
from services.transcripts.log.subscription import Batcher, Subscription
from tests.support.servers import PATIENCE
from tests.transcripts.conftest import EventObserver, new_id, opened_event


async def test_stopped_while_the_broker_registers_the_consumer_it_takes_nothing(
    vhost_url: str, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`stop` comes before the consumer's tag is known, so that it has no tag to cancel."""
    asked, stopped, answered = asyncio.Event(), asyncio.Event(), asyncio.Event()
    real = Channel.basic_consume

    async def basic_consume(self: Channel, *args: Any, **more: Any) -> Any:
        asked.set()
        await stopped.wait()
        try:
            return await real(self, *args, **more)
        finally:
            answered.set()

    monkeypatch.setattr(Channel, "basic_consume", basic_consume)
    batcher = Batcher()
    subscription = Subscription(vhost_url, batcher, UnknownErrors("test"))
    running = asyncio.create_task(subscription.run())
    try:
        async with asyncio.timeout(PATIENCE):
            await asked.wait()
            await subscription.stop()
            stopped.set()
            await answered.wait()
            while await consumers(observer):
                await asyncio.sleep(0.02)
        assert not subscription.running
        await observer.put(opened_event(new_id()))
        assert await observer.waiting() == 1
        assert batcher.is_empty
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def consumers(observer: EventObserver) -> int:
    """How many consumers `transcripts.messages` has."""
    declared = await observer.channel.declare_queue("transcripts.messages", passive=True)
    return declared.declaration_result.consumer_count or 0
