"""An application behind a real HTTP server on loopback, for the length of a test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import uvicorn
from fastapi import FastAPI

from deploy.local import ports
from tests.real import PATIENCE


@contextlib.asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of this application, which is served and whose lifespan runs while the context is open."""
    port = ports.pick()
    server = uvicorn.Server(uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, ws="none"))
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign, assignment]
    serving = asyncio.create_task(server.serve())
    try:
        async with asyncio.timeout(PATIENCE):
            while not server.started:
                assert not serving.done(), "the server did not start"
                await asyncio.sleep(0.01)
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
            yield client
    finally:
        server.should_exit = True
        await serving
