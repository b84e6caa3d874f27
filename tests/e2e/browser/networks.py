"""A network between a browser and the gateway: a real proxy that does to connections what real ones do."""

import asyncio
import base64
import contextlib
import functools
import hashlib
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

BUFFER = 64_000
FOR_A_WHILE = re.compile(rb"max-age=(60|2)(?!\d)")
"""How caches are told that they may keep the entries of pages, and the button's state."""
PAGE = b"<!doctype html><title>Gastnetwerk</title><h1>Meld u aan</h1>"
"""What a guest network's sign-in page, or a firewall, answers instead of the server."""


def answer(status: str, body: bytes = PAGE, media_type: str = "text/html") -> bytes:
    """A whole HTTP response after which the connection closes."""
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {media_type}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body


@dataclass
class Network:
    """The proxy. What it does can be changed while it runs.

    `upgrades`: what becomes of a websocket's handshake: `pass`, `refuse` (403), `hang` (no answer), `html` (200 with a
    page), `drop` (closes at once), `silent` (accepts it, and nothing ever comes). `answers`: `METHOD /path` to bytes
    answered instead of the server's. `slow`: paths whose response is kept back, as by a buffering proxy.

    `blocked`: a pattern of paths that are answered with 403 and a page. `buffers`: each response, its head too, is held
    until its end or until 64 kB of it are there. `cuts`: seconds after which each connection is cut, whatever it does.
    `stale`: what caches may keep for a minute or less is older than that already.
    """

    server: str
    upgrades: str = "pass"
    answers: dict[str, bytes] = field(default_factory=dict)
    slow: set[str] = field(default_factory=set)
    blocked: str | None = None
    buffers: bool = False
    cuts: float | None = None
    stale: bool = False
    requests: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._moving = asyncio.Event()
        self._moving.set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._listening: asyncio.Server | None = None
        # Has the port while nobody listens, so that no other process gets it then.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._held.bind(("127.0.0.1", 0))
        self.port: int = self._held.getsockname()[1]

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        """Listens, on the same port each time; nothing changes if it does already."""
        if self._listening:
            return
        self._listening = await asyncio.start_server(self._accept, "127.0.0.1", self.port, reuse_port=True)

    async def down(self) -> None:
        """Every connection is reset, and new ones are refused."""
        if self._listening:
            # A connection that asyncio has just accepted gets no transport of a server that is closed meanwhile. It
            # would stay open until it is collected as garbage, with a warning in whatever test runs then.
            for listening in self._listening.sockets:
                asyncio.get_running_loop().remove_reader(listening.fileno())
            await asyncio.sleep(0)
            self._listening.close()
            self._listening = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Ends it, and gives its port back."""
        self.thaw()
        await self.down()
        self._held.close()

    def freeze(self) -> None:
        """Connections stay open and nothing comes through any more, as when a cable is pulled somewhere on the way."""
        self._moving.clear()

    def thaw(self) -> None:
        self._moving.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._listening is None:  # it came just before the end
            return writer.close()
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        await self._moving.wait()
        method, target, _ = head.decode("latin-1").split("\r\n", 1)[0].split(" ")
        path = target.partition("?")[0]
        self.requests.append(f"{method} {path}")
        upgrade = re.search(rb"^upgrade: *websocket\r$", head, re.IGNORECASE | re.MULTILINE)
        if upgrade and self.upgrades != "pass":
            return await self._refuse(head, writer)
        if self.blocked and re.search(self.blocked, path):
            writer.write(answer("403 Forbidden"))
            return await writer.drain()
        if f"{method} {path}" in self.answers:
            writer.write(self.answers[f"{method} {path}"])
            return await writer.drain()
        if not upgrade:  # one request for each connection, so that each is looked at
            head = re.sub(rb"(?im)^connection:.*\r\n", b"", head).replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
        server = urlsplit(self.server)
        there_reader, there = await asyncio.open_connection(server.hostname, server.port)
        there.write(head)
        try:
            buffered = self.buffers and not upgrade
            back = self._copy_at_once if buffered else functools.partial(self._copy, held=path in self.slow)
            copies = (self._copy(reader, there), back(there_reader, writer))
            tasks = [asyncio.create_task(copy) for copy in copies]
            done, rest = await asyncio.wait(tasks, timeout=self.cuts, return_when=asyncio.FIRST_COMPLETED)
            for one in rest:
                one.cancel()
            await asyncio.gather(*done, *rest, return_exceptions=True)
        finally:
            there.close()

    async def _refuse(self, head: bytes, writer: asyncio.StreamWriter) -> None:
        if self.upgrades == "hang":
            await asyncio.sleep(3600)
        elif self.upgrades == "silent":
            writer.write(_accepted(head))
            await asyncio.sleep(3600)
        elif self.upgrades != "drop":
            writer.write(answer("403 Forbidden" if self.upgrades == "refuse" else "200 OK"))
            await writer.drain()

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, held: bool = False) -> None:
        while chunk := await reader.read(65_536):
            await self._moving.wait()
            if held:
                await asyncio.sleep(3600)
            writer.write(FOR_A_WHILE.sub(b"max-age=0", chunk) if self.stale else chunk)
            await writer.drain()

    async def _copy_at_once(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held = b""
        while chunk := await reader.read(65_536):
            held += chunk
            if len(held) >= BUFFER:
                writer.write(held)
                held = b""
                await writer.drain()
        await self._moving.wait()
        writer.write(held)
        await writer.drain()


def _accepted(head: bytes) -> bytes:
    key = re.search(rb"(?im)^sec-websocket-key: *(\S+)\r$", head)
    assert key
    digest = hashlib.sha1(key[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()  # noqa: S324 - RFC 6455 section 4.2.2
    lines = (b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade")
    return b"\r\n".join((*lines, b"Sec-WebSocket-Accept: " + base64.b64encode(digest), b"", b""))


@contextlib.asynccontextmanager
async def network(server: str) -> AsyncIterator[Network]:
    """A proxy in front of this server, on a port of its own."""
    made = Network(server)
    await made.up()
    try:
        yield made
    finally:
        await made.close()
