"""Open pages that listen to the button: each a raw connection to its stream of events, hundreds in one process.

As a program (`python -m tests.system.soak.button_pages port count`) it opens its pages, says `open` on its output,
listens until its input ends, and writes what came as one line of JSON: {revision: {"button": {…}, "at": [times]}}.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import time
from collections.abc import Callable
from typing import Any, cast

import uvloop

PATH = "/api/button/events"
AT_A_TIME = 50  # connections that are being opened
_EVENT = re.compile(rb"id: (\d+)\ndata: (\{[^\n]*\})\n")
Receive = Callable[[int, bytes, float], None]


class Page(asyncio.Protocol):
    """One page: `receive` gets each event's revision, its data and the time (monotonic) at which it came."""

    def __init__(self, port: int, receive: Receive) -> None:
        self._port, self._receive = port, receive
        self._rest = b""
        self.first = asyncio.Event()
        self.lost = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        head = f"GET {PATH} HTTP/1.1\r\nHost: 127.0.0.1:{self._port}\r\nAccept: text/event-stream\r\n\r\n"
        self.transport.write(head.encode())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        self._rest += data
        end = 0
        for match in _EVENT.finditer(self._rest):
            self._receive(int(match[1]), match[2], now)
            self.first.set()
            end = match.end()
        self._rest = self._rest[end:][-4096:]

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()
        self.first.set()


async def open_page(port: int, receive: Receive) -> Page:
    """A page that has been shown the button's present state, or was refused."""
    _, page = await asyncio.get_running_loop().create_connection(lambda: Page(port, receive), "127.0.0.1", port)
    async with asyncio.timeout(30):
        await page.first.wait()
    return page


async def watch(port: int, count: int) -> dict[int, dict[str, Any]]:
    """So many pages until the input ends: which page received what, and when."""
    received: dict[int, dict[str, Any]] = {}

    def receive(revision: int, data: bytes, now: float) -> None:
        if revision not in received:
            received[revision] = {"button": json.loads(data), "at": []}
        received[revision]["at"].append(now)

    pages: list[Page] = []
    for begin in range(0, count, AT_A_TIME):
        some = range(begin, min(begin + AT_A_TIME, count))
        pages += await asyncio.gather(*(open_page(port, receive) for _ in some))
    print("open", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    received[-1] = {"button": {"lost": sum(page.lost.is_set() for page in pages)}, "at": []}
    for page in pages:
        page.transport.close()
    return received


if __name__ == "__main__":
    print(json.dumps(uvloop.run(watch(int(sys.argv[1]), int(sys.argv[2])))), flush=True)
