"""Clients of a gateway for its tests, and servers that answer them."""

import contextlib
import socket
from collections.abc import AsyncIterator

from fastapi import FastAPI
from fastapi.responses import Response

from services.common.http import problems
from services.gateway.clients.http_client import HttpClient
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.routing import RoutingClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.settings import Settings
from tests.gateway.standing import KEYS, SECRET, listening


class Clients:
    """The clients of all services at one address."""

    def __init__(self, url: str) -> None:
        self.http = HttpClient(
            Settings(token_secret=SECRET, presence_url=url, routing_url=url, transcripts_url=url), KEYS
        )
        self.presence, self.routing = PresenceClient(self.http), RoutingClient(self.http)
        self.transcripts = TranscriptsClient(self.http)


@contextlib.asynccontextmanager
async def asking(app: FastAPI | None) -> AsyncIterator[Clients]:
    """Asks this application, or a port where nobody listens."""
    async with contextlib.AsyncExitStack() as stack:
        if app is None:
            taken = stack.enter_context(socket.socket())  # so that nobody else can listen there
            taken.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        else:
            problems.install(app)
            _, address = await stack.enter_async_context(listening(app, ws="none"))
            url = f"http://{address}"
        clients = Clients(url)
        stack.push_async_callback(clients.http.close)
        yield clients


def answering(path: str, status: int = 200, body: bytes = b"{}", media_type: str = "application/json") -> FastAPI:
    """An application that gives one answer on this path."""
    app = FastAPI()

    @app.post(path)
    async def answer() -> Response:
        return Response(body, status, media_type=media_type, headers={"Retry-After": "7"})

    return app
