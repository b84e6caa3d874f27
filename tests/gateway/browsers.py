"""Websocket clients: a well-behaved one, and a raw one that reads, answers and closes only when it is asked to."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import struct
from collections.abc import AsyncIterator
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection, connect

from tests.gateway.standing import Gateway
from tests.support.servers import PATIENCE


@contextlib.asynccontextmanager
async def browser(gateway: Gateway, path: str = "/ws/citizen", **headers: str) -> AsyncIterator[ClientConnection]:
    """A websocket to this gateway; underscores in header names stand for hyphens."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with connect(
        f"ws://{gateway.address}{path}",
        additional_headers=named,
        compression=None,
        proxy=None,
        max_size=None,
        open_timeout=PATIENCE,
        ping_interval=None,
    ) as socket_:
        yield socket_


async def say(socket_: ClientConnection, kind: str, **members: Any) -> None:
    await socket_.send(json.dumps({"type": kind, **members}))


async def receive(socket_: ClientConnection, *kinds: str, seconds: float = PATIENCE) -> dict[str, Any]:
    """The next frame of one of these kinds, or the next at all but `sync`, which may come at any time."""
    async with asyncio.timeout(seconds):
        while True:
            frame: dict[str, Any] = json.loads(await socket_.recv())
            if frame["type"] in kinds if kinds else frame["type"] != "sync":
                return frame


async def close_code(socket_: ClientConnection, seconds: float = PATIENCE) -> int:
    """The code with which the gateway closes."""
    async with asyncio.timeout(seconds):
        with contextlib.suppress(websockets.ConnectionClosed):
            while True:
                await socket_.recv()
    assert socket_.close_code is not None
    return socket_.close_code


async def narrow_connection(address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection whose reader holds 4 KiB, so that the server notices soon that nothing is read."""
    host, port = address.split(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.setblocking(False)
    await asyncio.get_running_loop().sock_connect(sock, (host, int(port)))
    return await asyncio.open_connection(sock=sock, limit=4_096)


class Raw:
    """A websocket by hand: it never answers a ping, and reads only in `frames`."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def open(cls, gateway: Gateway, path: str = "/ws/citizen", **headers: str) -> "Raw":
        reader, writer = await narrow_connection(gateway.address)
        key = base64.b64encode(os.urandom(16)).decode()
        head = f"GET {path} HTTP/1.1\r\nHost: {gateway.address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        head += "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"{head}Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        assert b" 101 " in answer.split(b"\r\n")[0]
        return cls(reader, writer)

    def send(self, data: bytes, opcode: int = 1, fin: bool = True) -> None:
        """One frame, masked with zeros."""
        head = bytes([opcode | (0x80 if fin else 0)])
        if len(data) < 126:
            head += bytes([0x80 | len(data)])
        elif len(data) < 65_536:
            head += b"\xfe" + struct.pack("!H", len(data))
        else:
            head += b"\xff" + struct.pack("!Q", len(data))
        self._writer.write(head + b"\0\0\0\0" + data)

    def say(self, kind: str, **members: Any) -> None:
        self.send(json.dumps({"type": kind, **members}).encode())

    async def frame(self) -> tuple[int, bytes]:
        """The opcode and payload of the next frame, whatever it is."""
        first, second = await self._reader.readexactly(2)
        length = second & 0x7F
        if length == 126:
            length = struct.unpack("!H", await self._reader.readexactly(2))[0]
        elif length == 127:
            length = struct.unpack("!Q", await self._reader.readexactly(8))[0]
        return first & 0x0F, await self._reader.readexactly(length)

    async def text(self) -> dict[str, Any]:
        """The next frame of our protocol."""
        async with asyncio.timeout(PATIENCE):
            while True:
                opcode, payload = await self.frame()
                if opcode == 1:
                    frame: dict[str, Any] = json.loads(payload)
                    return frame

    async def close_code(self, seconds: float = PATIENCE) -> int:
        """Reads on until the gateway's close frame."""
        async with asyncio.timeout(seconds):
            while True:
                opcode, payload = await self.frame()
                if opcode == 8:
                    code: int = struct.unpack("!H", payload[:2])[0]
                    return code

    async def end(self) -> None:
        """Waits until the gateway has let the connection go."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(65_536):
                pass

    def drop(self) -> None:
        self._writer.transport.abort()
