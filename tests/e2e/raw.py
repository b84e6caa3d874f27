"""An agent's websocket by hand (RFC 6455), for what a proper client never does: break off, or stop answering pings."""

import asyncio
import base64
import contextlib
import os
import struct

import orjson

from tests.support.clients import Agent, Frame
from tests.support.servers import PATIENCE


class RawSocket:
    """Says hello and is welcomed; from then on it reads nothing, so no ping is answered."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    async def send(self, frame: Frame) -> None:
        """One masked text frame."""
        body, mask = orjson.dumps(frame), os.urandom(4)
        assert len(body) < 126
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(body))
        self._writer.write(struct.pack("!BB", 0x81, 0x80 | len(body)) + mask + masked)
        await self._writer.drain()

    async def stay(self) -> None:
        """Until it is cancelled: a sign of life each second, so that nobody takes the agent for gone."""
        while True:
            await self.send({"type": "active"})
            await asyncio.sleep(1)

    async def break_off(self) -> None:
        """The connection ends without a close frame."""
        self._writer.transport.abort()
        with contextlib.suppress(OSError):
            await self._writer.wait_closed()


async def raw_socket(helper: Agent) -> RawSocket:
    """A websocket of an agent who is logged in, welcomed."""
    host = helper.base.removeprefix("http://")
    address, port = host.split(":")
    reader, writer = await asyncio.open_connection(address, int(port))
    cookies = "; ".join(f"{c.key}={c.value}" for c in helper.http.cookie_jar)
    key = base64.b64encode(os.urandom(16)).decode()
    head = (
        f"GET /ws/agent HTTP/1.1\r\nHost: {host}\r\nOrigin: {helper.base}\r\nCookie: {cookies}\r\n"
        f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    writer.write(head.encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    socket = RawSocket(reader, writer)
    await socket.send({"type": "hello", "chats": {}})
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b'"welcome"')
    return socket
