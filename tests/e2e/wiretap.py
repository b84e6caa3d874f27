"""What services ask of the database, read from the wire: every search that their commands begin with."""

import asyncio
import contextlib
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import bson

from tests.support.servers import PATIENCE

Document = dict[str, Any]
OP_MSG, HEADER = 2013, 16  # MongoDB's wire protocol
SEARCHING = {"update": ("updates", "q"), "delete": ("deletes", "q")}


@dataclass(frozen=True)
class Search:
    """What a command looks for, in which collection, in which order."""

    database: str
    collection: str
    command: str
    filter: Document
    sort: Document

    @property
    def shape(self) -> str:
        """The same for searches that differ only in what they compare with."""
        return f"{self.collection}: {self.command} {_shape(self.filter)} {self.sort or ''}".strip()


class Wiretap:
    """Stands between services and their database at `url`, and remembers one search of each shape."""

    def __init__(self, server: str) -> None:
        self._server = urlsplit(server)
        self.url = ""
        self.searches: dict[str, Search] = {}

    async def run(self, ready: threading.Event, end: asyncio.Event) -> None:
        async with await asyncio.start_server(self._pass_on, "127.0.0.1", 0) as listening:
            port = listening.sockets[0].getsockname()[1]
            self.url = urlunsplit(self._server._replace(netloc=f"127.0.0.1:{port}"))
            ready.set()
            await end.wait()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._server.hostname, self._server.port)
        answers = asyncio.create_task(_copy(there, writer))
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                header = await reader.readexactly(HEADER)
                body = await reader.readexactly(struct.unpack_from("<i", header)[0] - HEADER)
                if struct.unpack_from("<i", header, 12)[0] == OP_MSG:
                    for search in searches(body):
                        self.searches.setdefault(f"{search.database}.{search.shape}", search)
                back.write(header + body)
                await back.drain()
        answers.cancel()
        back.close()
        writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


def searches(body: bytes) -> Iterator[Search]:
    """What the command in the body of an OP_MSG looks for; nothing for one that looks for nothing."""
    command, lists = _sections(body)
    if not command:
        return
    kind, database = next(iter(command)), command.get("$db", "")
    collection = command[kind] if isinstance(command[kind], str) else ""
    if kind in SEARCHING:
        name, key = SEARCHING[kind]
        for one in lists.get(name) or command.get(name) or ():
            yield Search(database, collection, kind, one[key], {})
    elif kind in ("find", "findAndModify", "count", "distinct"):
        wanted: Document = command.get("filter") or command.get("query") or {}
        yield Search(database, collection, kind, wanted, command.get("sort") or {})
    elif kind == "aggregate":
        first = command["pipeline"][0] if command["pipeline"] else {}
        yield Search(database, collection, kind, first.get("$match", {}), {})


def _sections(body: bytes) -> tuple[Document, dict[str, list[Document]]]:
    checked, at = struct.unpack_from("<i", body)[0] & 1, 4
    command: Document = {}
    lists: dict[str, list[Document]] = {}
    while at < len(body) - 4 * checked:
        kind, size = body[at], struct.unpack_from("<i", body, at + 1)[0]
        section, at = body[at + 1 : at + 1 + size], at + 1 + size
        if kind == 0:
            command = bson.decode(section)
        else:
            name_end = section.index(b"\0", 4)
            lists[section[4:name_end].decode()] = bson.decode_all(section[name_end + 1 :])
    return command, lists


def _shape(value: Any) -> str:
    if not isinstance(value, dict):
        return "…"
    return "{" + ", ".join(f"{k}: {_shape(v)}" if isinstance(v, dict) else k for k, v in value.items()) + "}"


@contextlib.contextmanager
def tapped(server: str) -> Iterator[Wiretap]:
    """A wiretap of this server, in a thread of its own."""
    tap, ready = Wiretap(server), threading.Event()
    loop, end = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(_until_end(tap, ready, end)))
    thread.start()
    try:
        assert ready.wait(PATIENCE)
        yield tap
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(PATIENCE)
        loop.close()


async def _until_end(tap: Wiretap, ready: threading.Event, end: asyncio.Event) -> None:
    await tap.run(ready, end)
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
