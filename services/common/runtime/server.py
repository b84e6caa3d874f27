"""HTTP server of a service: its own port, and one that several replicas on a machine share."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Any

import uvicorn
from fastapi import FastAPI

from services.common.runtime.http_limits import BoundedProtocol, Bounds

if TYPE_CHECKING:
    from services.common.runtime.service import Service

KEEP_ALIVE = 75  # seconds until the next request on a connection; longer than nginx keeps its own
JOIN_LIMIT = 10.0  # after that even a replica that is not ready takes connections: an answer tells more than silence


async def _without_port(service: Service) -> dict[str, str]:
    return {name: said for name, said in (await service.readiness()).items() if name != "port"}


class Server(uvicorn.Server):
    """Leaves the signals to us: we drain before the server stops, and exit with 0."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def server(app: FastAPI, ws: Any, bounds: Bounds | None = None, **where: Any) -> Server:
    """What serves this application `where` it is told to.

    Args:
        ws: its websockets' protocol.
        bounds: how many connections the process takes; None: any number. Their bytes and times are always bounded.
        where: further settings of uvicorn.
    """
    protocol = type("Protocol", (BoundedProtocol,), {"bounds": bounds or Bounds()})
    return Server(
        uvicorn.Config(
            app,
            **where,
            ws=ws,
            loop="uvloop",
            http=protocol,
            ws_max_size=64 * 1024,
            ws_ping_interval=4,
            ws_ping_timeout=4,
            ws_per_message_deflate=False,
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,  # a gateway believes its own trusted proxies only
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=2,
        )
    )


class SharedPort:
    """The service's port where several replicas listen on it: the kernel gives each new connection to one of them."""

    def __init__(self, server: Server, host: str, port: int) -> None:
        """Takes the port without listening yet. Raises `OSError` when another program has it for itself."""
        self._server, self._left = server, False
        # asyncio sets TCP_NODELAY only on sockets that say `proto`.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        self._listener = socket.socket(*found[0][:3])
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._listener.bind(found[0][4])

    async def serve(self, service: Service, own: Server) -> None:
        """Take a part of the connections, from when the service is ready until `end`; readiness waits for it."""
        service.check("port", lambda: self._server.started)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(JOIN_LIMIT):
                ready = False
                while not (self._left or ready):
                    await asyncio.sleep(0.1)
                    ready = own.started and service.is_ready(await _without_port(service))
        if not self._left:
            await self._server.serve([self._listener])

    def leave(self) -> None:
        """No more new connections: the other replicas get them."""
        self._left = True
        for server in self._server.servers if self._server.started else []:
            server.close()

    def end(self) -> None:
        """Let `serve` return, as soon as what is in hand is done."""
        self._server.should_exit = True
