"""uvicorn's websocket protocol, with the time at which the peer was last heard (its pongs included)."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

SOCKET = "eloket.socket"  # in the scope's extensions: the protocol object of this websocket


class HeardProtocol(WebSocketsSansIOProtocol):
    """Any byte from the peer is a sign of life: the server pings each 4 s, so a live peer is heard at least as often."""

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

    def close_over_backlog(self, code: int, reason: str) -> None:
        """Closes a peer that reads too slowly: the close frame stands behind what it has not read yet, for 10 s at most."""
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
