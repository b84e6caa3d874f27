"""A websocket client that costs next to nothing: what is measured shares its processors with the clients.

It speaks what a server may send to a well-behaved client: whole text frames, pings, close. No extensions.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Callable
from typing import cast

MASK = b"\x37\xfa\x21\x3d"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10
OPENING = 60.0  # seconds: a guard against hanging


class Refused(Exception):
    """The server did not take the websocket; its first line says why."""


class WebSocketClient(asyncio.Protocol):
    """One websocket; `received` is called with the payload of each text frame."""

    def __init__(self, request: bytes, received: Callable[[bytes], None]) -> None:
        self._request, self._received = request, received
        self._buffer = b""
        self._transport: asyncio.Transport | None = None
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by class
        self._transport.write(self._request)

    def connection_lost(self, _: Exception | None) -> None:
        self._transport = None
        self.closed.set()
        if not self.opened.done():
            self.opened.set_exception(Refused("closed before it was open"))

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer + data if self._buffer else data
        if not self.opened.done():
            head, found, buffer = buffer.partition(b"\r\n\r\n")
            if not found:
                self._buffer = head
                return
            self._open(head)
        at, size = 0, len(buffer)
        while size - at >= 2:
            length, begin = buffer[at + 1], at + 2
            if length == 126:
                length, begin = int.from_bytes(buffer[at + 2 : at + 4]), at + 4
            elif length == 127:
                length, begin = int.from_bytes(buffer[at + 2 : at + 10]), at + 10
            if size < begin + length:
                break
            self._frame(buffer[at] & 15, buffer[begin : begin + length])
            at = begin + length
        self._buffer = buffer[at:]

    def _open(self, head: bytes) -> None:
        if b" 101 " in head.split(b"\r\n", 1)[0]:
            self.opened.set_result(None)
        else:
            self.opened.set_exception(Refused(head.split(b"\r\n", 1)[0].decode()))

    def _frame(self, kind: int, payload: bytes) -> None:
        if kind == TEXT:
            self._received(payload)
        elif kind == PING:
            self.send(payload, PONG)
        elif kind == CLOSE:
            self.close()

    def send(self, payload: bytes, kind: int = TEXT) -> None:
        """One masked frame; nothing happens when the websocket is closed."""
        if self._transport is not None:
            self._transport.write(masked(payload, kind))

    def close(self) -> None:
        """Says goodbye and hangs up."""
        if self._transport is not None:
            self.send((1000).to_bytes(2), CLOSE)
            self._transport.close()


def masked(payload: bytes, kind: int = TEXT) -> bytes:
    """A client's frame. The mask is always the same one: it protects proxies, and there is none on loopback."""
    size = len(payload)
    if size < 126:
        head = bytes((128 | kind, 128 | size))
    elif size < 1 << 16:
        head = bytes((128 | kind, 128 | 126)) + size.to_bytes(2)
    else:
        head = bytes((128 | kind, 128 | 127)) + size.to_bytes(8)
    mask = int.from_bytes((MASK * (size // 4 + 1))[:size])
    return head + MASK + (int.from_bytes(payload) ^ mask).to_bytes(size)


async def connect(port: int, path: str, received: Callable[[bytes], None], **headers: str) -> WebSocketClient:
    """An open websocket. Raises `Refused`, `TimeoutError`."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", *(f"{n}: {v}" for n, v in headers.items())]
    request = ("\r\n".join(lines) + "\r\n\r\n").encode()
    _, websocket = await asyncio.get_running_loop().create_connection(
        lambda: WebSocketClient(request, received), "127.0.0.1", port
    )
    async with asyncio.timeout(OPENING):
        await websocket.opened
    return websocket
