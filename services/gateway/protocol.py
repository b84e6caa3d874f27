"""uvicorn's websocket protocol, with the time at which the peer was last heard (its pongs included)."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

LINGER = 1.0  # seconds in which the last frame may still leave
SOCKET = "eloket.socket"  # in the scope's extensions: the protocol object of this websocket


class HeardProtocol(WebSocketsSansIOProtocol):
    """Any byte from the peer is a sign of life: the server pings each 4 s, so a live peer is heard as often."""

    last_heard: float = 0.0

    def connection_made(self, transport: Any) -> None:
        self.last_heard = self.loop.time()
        super().connection_made(transport)

    def data_received(self, data: bytes) -> None:
        self.last_heard = self.loop.time()
        super().data_received(data)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[SOCKET] = self

    def keepalive_timeout(self) -> None:
        """No pong in time: the peer is gone. A transport that is merely closed waits for minutes until it has read."""
        super().keepalive_timeout()
        self.loop.call_later(LINGER, self.transport.abort)

    async def send(self, message: Any) -> None:
        """Like uvicorn's, but a peer that does not answer our close is let go, whatever it has not read."""
        await super().send(message)
        if self.close_sent and self.close_timer is not None:
            self.close_timer.cancel()
            self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)

    def close_over_backlog(self, code: int, reason: str) -> None:
        """Closes a peer that reads too slowly: the close frame stands behind what it has not read, for 10 s at most."""
        if self.close_sent or self.transport.is_closing():
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)
