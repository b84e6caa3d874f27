"""Publishers for tests, connected to a broker while a context is open."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from services.common.messaging.publisher import Publisher
from tests.support.servers import PATIENCE


@contextlib.asynccontextmanager
async def publishing(url: str, service: str = "test") -> AsyncIterator[Publisher]:
    """Provide a publisher of this service that is connected."""
    publisher = Publisher(url, service)
    async with connected(publisher):
        yield publisher


@contextlib.asynccontextmanager
async def connected(publisher: Publisher) -> AsyncIterator[None]:
    """Connect this publisher, and disconnect it at the end."""
    task = asyncio.create_task(publisher.run())
    try:
        async with asyncio.timeout(PATIENCE):
            await publisher.link.up.wait()
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
