"""Uvicorn's websocket protocol without its queue: messages are passed on as they arrive, frames are written at once."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.frames import Frame
from websockets.http11 import Request
from websockets.protocol import OPEN

LINGER = 1.0  # seconds in which the last frame may still leave
SOCKET = "eloket.socket"  # key in the scope's extensions: the protocol object of this websocket
MOST_PIECES = 1_024  # fragments of one message; empty ones have no size that could be limited
MUCH = 32 * 1024  # bytes that arrived at once
TEXT = 0x81  # the first byte of a text frame that is whole (RFC 6455 §5.2)


class ReceivingProtocol(WebSocketsSansIOProtocol):
    """Websocket protocol that calls back for each message.

    Any byte from the peer is a sign of life: the server pings every 4 s, so a live peer sends as often. Until
    `receive_with` is called everything is as in uvicorn. From then on uvicorn's queue holds only the end: a message
    costs no queue and no task switch, and does not pause and resume the reading.
    """

    last_received: float = 0.0
    lost: Callable[[], None] | None = None  # called when the connection is lost
    _full = False
    _receive: Callable[[bytes | None], None] | None = None
    _writable: Callable[[], None] | None = None

    def connection_made(self, transport: Any) -> None:
        """Start the clock of the last sign of life."""
        self.last_received = self.loop.time()
        super().connection_made(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Call `lost`, then do as uvicorn does."""
        if self.lost:
            self.lost()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Handle bytes of the peer. After many bytes at once, reading pauses for one event-loop iteration."""
        self.last_received = self.loop.time()
        super().data_received(data)
        if len(data) > MUCH and self._receive and not self.transport.is_closing():
            self.read_paused = True  # for the other connections: libuv reads up to 31 times more while data comes
            self.transport.pause_reading()
            self.soon(self._read_on)

    def handle_connect(self, event: Request) -> None:
        """Add this object to the scope's extensions."""
        super().handle_connect(event)
        if hasattr(self, "scope"):
            extensions: dict[str, Any] = self.scope["extensions"]
            extensions[SOCKET] = self

    # ── in ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    def receive_with(self, receive: Callable[[bytes | None], None], writable: Callable[[], None]) -> None:
        """Pass each whole message to `receive`, first the ones that came already; None stands for a binary one.

        `writable` is called when `may_write` has become true again. Neither function may raise.
        """
        self._receive, self._writable = receive, writable
        del self.request, self.response  # of the handshake: 4 KB that are not read any more
        while not self.queue.empty():
            message = self.queue.get_nowait()
            if message["type"] != "websocket.receive":
                self.queue.put_nowait(message)
                break
            text = message.get("text")
            receive(None if text is None else text.encode())
        self._read_on()

    def _read_on(self) -> None:
        if self.read_paused and not self.transport.is_closing():
            self.read_paused = False
            self.transport.resume_reading()

    def send_receive_event_to_app(self) -> None:
        """Pass on a whole message. Before `receive_with` was called, put it into uvicorn's queue."""
        if self._receive is None:
            super().send_receive_event_to_app()
            return
        data = self.frames[0] if len(self.frames) == 1 else b"".join(self.frames)
        self.frames = []
        if not self.close_sent:
            self._receive(data if self.curr_msg_data_type == "text" else None)

    def handle_cont(self, event: Frame) -> None:
        """Handle a continuation frame. Close the connection when a message has too many fragments."""
        super().handle_cont(event)
        if len(self.frames) > MOST_PIECES:
            self.frames = []
            self.close(1009, "too many pieces")

    def handle_ping(self) -> None:
        """Answer a ping, but not while the peer reads nothing: the answers to its pings would then fill the memory."""
        if self.may_write:
            super().handle_ping()
        else:
            self.conn.data_to_send()

    # ── out ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def may_write(self) -> bool:
        """Whether frames can be written now: the connection is open, no close was sent, and the buffer is not full."""
        return not (self._full or self.close_sent or self.disconnected or self.transport.is_closing())

    def write(self, frames: Sequence[bytes]) -> None:
        """Send these text frames in one write. Only while `may_write`."""
        if len(frames) == 1:
            self.transport.write(_head(len(frames[0])) + frames[0])
        else:
            self.transport.write(b"".join([part for frame in frames for part in (_head(len(frame)), frame)]))

    def soon(self, call: Callable[[], None]) -> None:
        """Call a function after what is ready in the event loop now."""
        self.loop.call_soon(call)

    def pause_writing(self) -> None:
        """Record that the transport's buffer is full."""
        self._full = True
        super().pause_writing()

    def resume_writing(self) -> None:
        """Record that the transport's buffer has room again, and call `writable`."""
        self._full = False
        super().resume_writing()
        if self._writable:
            self.soon(self._writable)

    # ── the end ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def keepalive_timeout(self) -> None:
        """Abort the connection, because no pong came in time.

        A transport that is merely closed waits for minutes until the peer has read everything.
        """
        super().keepalive_timeout()
        self.loop.call_later(LINGER, self.transport.abort)

    def close(self, code: int, reason: str = "") -> None:
        """Close after what was written. A peer that does not answer is aborted after 10 s, whatever it has not read."""
        if self.close_sent or self.conn.state is not OPEN or self.transport.is_closing():
            return
        self.conn.send_close(code, reason)
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})
        self._read_on()
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.abort)


def _head(length: int) -> bytes:
    """Return the header of a whole, unmasked text frame; no extension is ever negotiated (RFC 6455 §5.2)."""
    if length < 126:
        return bytes((TEXT, length))
    return struct.pack("!BBH", TEXT, 126, length) if length < 65_536 else struct.pack("!BBQ", TEXT, 127, length)
