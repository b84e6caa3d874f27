"""`event_stream.py` behind a real server: every page gets each change, and none delays another."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from starlette.types import Receive, Scope, Send

from services.gateway.http.citizen import event_stream as module
from services.gateway.http.citizen.event_stream import Listeners
from tests.gateway.browsers import narrow_connection
from tests.gateway.making import value_of
from tests.gateway.standing import listening
from tests.support.conditions import until
from tests.support.servers import PATIENCE

MUCH = b"x" * 400_000  # more than a connection takes from a page that does not read


@dataclass
class StreamServer:
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
        reader, writer = await narrow_connection(self.address)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert b"content-type: text/event-stream" in head
        return reader, writer


@pytest.fixture
async def server() -> AsyncIterator[StreamServer]:
    server, before = StreamServer(), shown_listeners()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await server.listeners.listen(receive, send)

    async with listening(app, send_buffer=64 * 1024, lifespan="off") as (_, server.address):
        yield server
        await server.listeners.end()
    await until(lambda: (len(server.listeners), shown_listeners()) == (0, before), "the last page to be forgotten")


def shown_listeners() -> float:
    return value_of(module.LISTENERS)


async def received(reader: asyncio.StreamReader) -> bytes:
    """The next thing that the server wrote: one chunk of its answer."""
    async with asyncio.timeout(PATIENCE):
        size = int(await reader.readuntil(b"\r\n"), 16)
        return (await reader.readexactly(size + 2))[:-2]


async def test_each_page_gets_the_present_state_at_once_and_then_each_change(
    server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 2)
    pages = [await server.page() for _ in range(7)]
    try:
        for reader, _ in pages:
            assert await received(reader) == b"event 1\n\n"
        for event in (b"event 2", b"event 3"):
            server.show(event)
            for reader, _ in pages:
                assert await received(reader) == event + b"\n\n"
        await server.listeners.remind()
        for reader, _ in pages:
            assert await received(reader) == module.STILL_HERE
    finally:
        for _, writer in pages:
            writer.close()
    await until(lambda: len(server.listeners) == 0, "the pages to be forgotten")


async def test_a_change_during_a_broadcast_reaches_all_pages(
    server: StreamServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLICE", 1)
    pages = [await server.page() for _ in range(4)]
    for reader, _ in pages:
        await received(reader)
    server.show(b"event 2")
    await asyncio.sleep(0)  # the first of them gets it
    server.show(b"event 3")
    seen = [await received(reader) for reader, _ in pages]
    assert sorted(set(seen)) == [b"event 2\n\n", b"event 3\n\n"], "some heard the first change, some only the second"
    for (reader, writer), event in zip(pages, seen, strict=True):
        if event == b"event 2\n\n":
            assert await received(reader) == b"event 3\n\n"
        writer.close()


async def test_a_page_that_does_not_read_delays_no_other_and_gets_only_the_last_state(server: StreamServer) -> None:
    slow, slow_writer = await server.page()
    quick, quick_writer = await server.page()
    assert await received(quick) == b"event 1\n\n"
    for number in range(20):
        server.show(b"%d " % number + MUCH)
        assert (await received(quick)).startswith(b"%d " % number)
        await server.listeners.remind()
        assert await received(quick) == module.STILL_HERE
    server.show(b"the last")
    assert await received(quick) == b"the last\n\n"
    backlog = [await received(slow)]
    while backlog[-1] != b"the last\n\n":
        backlog.append(await received(slow))
    events = [part for part in backlog if part != module.STILL_HERE]
    assert len(events) < 10, "what the system took for it of the 20 before it was full, and the last"
    server.show(b"more")
    assert await received(slow) == await received(quick) == b"more\n\n"
    slow_writer.close()
    quick_writer.close()


async def test_at_the_drain_the_streams_end_those_of_slow_pages_and_late_ones_too(server: StreamServer) -> None:
    slow, slow_writer = await server.page()
    quick, quick_writer = await server.page()
    assert await received(slow) == await received(quick) == b"event 1\n\n"
    for number in range(2):
        server.show(b"%d " % number + MUCH)
        await received(quick)
    await server.listeners.end()
    late, late_writer = await server.page()
    assert await received(quick) == await received(late) == b""
    while await received(slow):
        pass
    for writer in (slow_writer, quick_writer, late_writer):
        writer.close()


async def test_a_page_that_goes_without_having_read_is_forgotten(server: StreamServer) -> None:
    _, writer = await server.page()
    for number in range(3):
        server.show(b"%d " % number + MUCH)
        await asyncio.sleep(0)
    assert len(server.listeners) == 1
    writer.transport.abort()
    await until(lambda: len(server.listeners) == 0, "the page to be forgotten")
