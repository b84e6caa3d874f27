"""An application behind a real HTTP server on loopback, for the length of a test."""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import aiohttp
import uvicorn
from fastapi import FastAPI

from services.common.runtime.server import Server
from tests.support.servers import PATIENCE


def listener() -> socket.socket:
    """A socket that is bound to a free port of loopback; nobody else can take the port."""
    # asyncio sets TCP_NODELAY only on sockets that say `proto`.
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    made.bind(("127.0.0.1", 0))
    return made


@contextlib.asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[aiohttp.ClientSession]:
    """A client of this application, which is served and whose lifespan runs while the context is open."""
    with listener() as bound:
        port = bound.getsockname()[1]
        # A client never finds its connection closed because the machine was slow.
        keep = 2 * int(PATIENCE)
        server = Server(uvicorn.Config(app, log_config=None, ws="none", timeout_keep_alive=keep))
        serving = asyncio.create_task(server.serve([bound]))
        try:
            async with asyncio.timeout(PATIENCE):
                while not server.started:
                    assert not serving.done(), "the server did not start"
                    await asyncio.sleep(0.01)
            async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as client:
                yield client
        finally:
            server.end()
            await serving
