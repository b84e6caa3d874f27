"""`event_stream.py` behind a real server: every page hears of each change, and none holds up another."""

import asyncio
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from starlette.types import Receive, Scope, Send

from services.gateway.http import event_stream as module
from services.gateway.http.event_stream import Listeners
from tests.gateway.making import value_of
from tests.gateway.standing import listening, until
from tests.support.servers import PATIENCE

MUCH = b"x" * 400_000  # more than a connection takes from a page that does not read


@dataclass
class Told:
    """A server whose every address is one button's stream; `show` is what changes it."""

    address: str = ""
    shown: bytes = b"event 1\n\n"
    listeners: Listeners = field(init=False)

    def __post_init__(self) -> None:
        self.listeners = Listeners(lambda: self.shown)

    def show(self, event: bytes) -> None:
        self.shown = event + b"\n\n"
        self.listeners.changed()

    async def page(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A page that has asked for the stream and read the head of the answer."""
        host, port = self.address.split(":")
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.setblocking(False)
        await asyncio.get_running_loop().sock_connect(small, (host, int(port)))
        reader, writer = await asyncio.open_connection(sock=small, limit=4096)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert b"content-type: text/event-stream" in head
        return reader, writer


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    told, before = Told(), shown_listeners()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await told.listeners.listen(receive, send)

    async with listening(app, send_buffer=64 * 1024, lifespan="off") as (_, told.address):
        yield told
        await told.listeners.end()
    await until(lambda: (len(told.listeners), shown_listeners()) == (0, before), "the last page to be forgotten")


def shown_listeners() -> float:
    return value_of(module.LISTENERS)


async def heard(reader: asyncio.StreamReader) -> bytes:
    """The next thing that the server wrote: one chunk of its answer."""
    async with asyncio.timeout(PATIENCE):
        size = int(await reader.readuntil(b"\r\n"), 16)
        return (await reader.readexactly(size + 2))[:-2]


async def test_each_page_gets_the_present_state_at_once_and_then_each_change(
    told: Told, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 2)
    pages = [await told.page() for _ in range(7)]
    try:
        for reader, _ in pages:
            assert await heard(reader) == b"event 1\n\n"
        for event in (b"event 2", b"event 3"):
            told.show(event)
            for reader, _ in pages:
                assert await heard(reader) == event + b"\n\n"
        await told.listeners.remind()
        for reader, _ in pages:
            assert await heard(reader) == module.STILL_HERE
    finally:
        for _, writer in pages:
            writer.close()
    await until(lambda: len(told.listeners) == 0, "the pages to be forgotten")


async def test_a_change_during_a_broadcast_reaches_all_pages(told: Told, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SLICE", 1)
    pages = [await told.page() for _ in range(4)]
    for reader, _ in pages:
        await heard(reader)
    told.show(b"event 2")
    await asyncio.sleep(0)  # the first of them is told
    told.show(b"event 3")
    seen = [await heard(reader) for reader, _ in pages]
    assert sorted(set(seen)) == [b"event 2\n\n", b"event 3\n\n"], "some heard the first change, some only the second"
    for (reader, writer), event in zip(pages, seen, strict=True):
        if event == b"event 2\n\n":
            assert await heard(reader) == b"event 3\n\n"
        writer.close()


async def test_a_page_that_does_not_read_delays_no_other_and_gets_only_the_last_state(told: Told) -> None:
    slow, slow_writer = await told.page()
    quick, quick_writer = await told.page()
    assert await heard(quick) == b"event 1\n\n"
    for number in range(20):
        told.show(b"%d " % number + MUCH)
        assert (await heard(quick)).startswith(b"%d " % number)
        await told.listeners.remind()
        assert await heard(quick) == module.STILL_HERE
    told.show(b"the last")
    assert await heard(quick) == b"the last\n\n"
    backlog = [await heard(slow)]
    while backlog[-1] != b"the last\n\n":
        backlog.append(await heard(slow))
    events = [part for part in backlog if part != module.STILL_HERE]
    assert len(events) < 10, "what the system took for it of the 20 before it was full, and the last"
    told.show(b"more")
    assert await heard(slow) == await heard(quick) == b"more\n\n"
    slow_writer.close()
    quick_writer.close()


async def test_at_the_drain_the_streams_end_those_of_slow_pages_and_late_ones_too(told: Told) -> None:
    slow, slow_writer = await told.page()
    quick, quick_writer = await told.page()
    assert await heard(slow) == await heard(quick) == b"event 1\n\n"
    for number in range(2):
        told.show(b"%d " % number + MUCH)
        await heard(quick)
    await told.listeners.end()
    late, late_writer = await told.page()
    assert await heard(quick) == await heard(late) == b""
    while await heard(slow):
        pass
    for writer in (slow_writer, quick_writer, late_writer):
        writer.close()


async def test_a_page_that_goes_without_having_read_is_forgotten(told: Told) -> None:
    _, writer = await told.page()
    for number in range(3):
        told.show(b"%d " % number + MUCH)
        await asyncio.sleep(0)
    assert len(told.listeners) == 1
    writer.transport.abort()
    await until(lambda: len(told.listeners) == 0, "the page to be forgotten")
