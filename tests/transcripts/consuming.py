"""The ordinary queues of transcripts, consumed from the real broker."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from faststream.rabbit import RabbitRouter

from services.common.messaging.consumer import Consumers
from tests.support.conditions import until


@contextlib.asynccontextmanager
async def consuming(vhost_url: str, router: RabbitRouter) -> AsyncIterator[None]:
    """The handlers of this router get what is in their queues while the context is open."""
    consumers = Consumers(vhost_url, router, lambda: asyncio.sleep(0))
    task = asyncio.create_task(consumers.run())
    try:
        await until(lambda: consumers.running, "the consumers")
        yield
        await consumers.drain()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
