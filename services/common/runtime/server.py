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

KEEP_ALIVE = 75  # seconds until the next request on a connection; longer than nginx keeps an idle one
DATE_EVERY = 1.0  # seconds
JOIN_LIMIT = 10.0  # seconds; then a replica that is not ready takes connections too: an error is better than no answer


async def _without_port(service: Service) -> dict[str, str]:
    return {name: said for name, said in (await service.readiness()).items() if name != "port"}


class Server(uvicorn.Server):
    """uvicorn's server without its signal handlers: the service drains before the server stops, and exits with 0.

    It waits for `end`. uvicorn's own looks ten times a second whether it should exit, and so wakes an idle process.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        """Create a server that does not listen yet."""
        super().__init__(config)
        self._ended = asyncio.Event()

    def end(self) -> None:
        """Let `serve` return as soon as the requests in progress are done."""
        self.should_exit = True
        self._ended.set()

    async def main_loop(self) -> None:
        """Renew the `date` header each second, until `end`."""
        while not await self.on_tick(0):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DATE_EVERY):
                    await self._ended.wait()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Leave signals to the service."""
        yield


def server(app: FastAPI, ws: Any, bounds: Bounds | None = None, **where: Any) -> Server:
    """Return the server of this application.

    Args:
        app: The application.
        ws: The protocol of its websockets.
        bounds: Limits of the number of connections; None: any number. Their bytes and times are always limited.
        where: Further settings of uvicorn, such as its address.
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
            proxy_headers=False,  # a gateway trusts its own list of proxies only
            timeout_keep_alive=KEEP_ALIVE,
            timeout_graceful_shutdown=2,
        )
    )


class SecurePort:
    """A port on which the service answers by TLS, beside its own port: it begins after that one and ends before it."""

    def __init__(self, server: Server) -> None:
        """Prepare the port.

        Args:
            server: A server with a certificate, without the events of the application's start and end.
        """
        self._server = server

    async def serve(self, service: Service, own: Server) -> None:
        """Accept connections, from when the service's own port does until `end`. Readiness waits for it."""
        service.check("tls_port", lambda: self._server.started)
        while not (own.started or self._server.should_exit):  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.05)
        if not self._server.should_exit:
            await self._server.serve()

    def leave(self) -> None:
        """Do nothing: connections come as long as others have this address, as on the service's own port."""

    def end(self) -> None:
        """Let `serve` return as soon as the requests in progress are done."""
        self._server.end()


class SharedPort:
    """A port on which several replicas listen: the kernel gives each new connection to one of them."""

    def __init__(self, server: Server, host: str, port: int) -> None:
        """Bind the port without listening yet.

        Raises:
            OSError: Another program uses the port exclusively.
        """
        self._server, self._left = server, False
        # asyncio sets TCP_NODELAY only on sockets with an explicit `proto`.
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        self._listener = socket.socket(*found[0][:3])
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._listener.bind(found[0][4])

    async def serve(self, service: Service, own: Server) -> None:
        """Accept a share of the connections, from when the service is ready until `end`. Readiness waits for it."""
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
        """Accept no more connections; the other replicas get them."""
        self._left = True
        for server in self._server.servers if self._server.started else []:
            server.close()

    def end(self) -> None:
        """Let `serve` return as soon as the requests in progress are done."""
        self._server.end()
