"""The forwarding process does to its links what it says: a network that is not spoiled would prove nothing."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from deploy.local import ports
from tests.support.servers import PATIENCE
from tests.system.chaos.network import Links, forwarding

Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]
SERVERS = ("first", "second")


@pytest.fixture(scope="module")
def links(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Links, dict[str, int]]]:
    """A link `one` to the first server, a link `two` to the second or else the first; and the servers' ports."""
    chosen = ports.remembered(tmp_path_factory.mktemp("ports") / "ports.json", (*SERVERS, "one", "two"))
    to = {"one": [chosen["first"]], "two": [chosen["second"], chosen["first"]]}
    with forwarding(to, {name: chosen[name] for name in to}) as running:
        yield running, chosen


class Echo:
    """A server that sends back what it receives; it keeps who is connected and what each of them said."""

    def __init__(self) -> None:
        self.open = 0
        self.chunks: list[bytes] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(65_536):
                self.chunks.append(data)
                writer.write(data)
        self.open -= 1
        writer.close()


@contextlib.asynccontextmanager
async def listening(port: int) -> AsyncIterator[Echo]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", port)
    try:
        yield echo
    finally:
        server.close()


@pytest.fixture
async def echo(links: tuple[Links, dict[str, int]]) -> AsyncIterator[Echo]:
    async with listening(links[1]["first"]) as running:
        yield running
        links[0].apply("one", "reset")  # nothing is left open for the next test
        links[0].apply("one", "heal")
        await until(lambda: running.open == 0)


async def until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def ask(ends: Ends, words: bytes, seconds: float = PATIENCE) -> float:
    """Seconds until the words came back. Raises `TimeoutError`, `IncompleteReadError`, `ConnectionError`."""
    began = time.monotonic()
    ends[1].write(words)
    async with asyncio.timeout(seconds):
        assert await ends[0].readexactly(len(words)) == words
    return time.monotonic() - began


@contextlib.asynccontextmanager
async def connected(links: Links, name: str = "one") -> AsyncIterator[Ends]:
    reader, writer = await asyncio.open_connection("127.0.0.1", links.ports[name])
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_what_is_said_comes_through_and_so_does_the_end(links: tuple[Links, dict[str, int]], echo: Echo) -> None:
    async with connected(links[0]) as ends:
        await ask(ends, b"x" * 3_000_000)
        assert echo.open == 1
    await until(lambda: echo.open == 0)


async def test_reset_cuts_all_and_new_connections_work(links: tuple[Links, dict[str, int]], echo: Echo) -> None:
    async with connected(links[0]) as ends:
        await ask(ends, b"hallo")
        assert links[0].apply("one", "reset") == 1
        with pytest.raises(ConnectionResetError):
            await ask(ends, b"hallo?")
        await until(lambda: echo.open == 0)
    async with connected(links[0]) as ends:
        await ask(ends, b"hallo")


async def test_refuse_cuts_all_and_refuses_until_healed(links: tuple[Links, dict[str, int]], echo: Echo) -> None:
    async with connected(links[0]) as ends:
        await ask(ends, b"hallo")
        links[0].apply("one", "refuse")
        with pytest.raises(ConnectionResetError):
            await ask(ends, b"hallo?")
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", links[0].ports["one"])
    links[0].apply("one", "heal")
    async with connected(links[0]) as ends:
        await ask(ends, b"hallo")


async def test_forgotten_connections_swallow_both_ways_for_ever(
    links: tuple[Links, dict[str, int]], echo: Echo
) -> None:
    async with connected(links[0]) as ends, connected(links[0]) as other:
        await asyncio.gather(ask(ends, b"hallo"), ask(other, b"hallo"))
        assert links[0].apply("one", "forget") == 2
        with pytest.raises(TimeoutError):
            await ask(ends, b"x" * 3_000_000, 0.3)  # more than any buffer holds: it is swallowed, not held up
        await ends[1].drain()
        other[1].close()
        async with connected(links[0]) as new:
            await ask(new, b"hallo")
        assert echo.open == 3, "nobody tells the server that its client has gone"
        assert sum(map(len, echo.chunks)) == 15


async def test_swallow_takes_new_connections_too_and_resets_all_when_healed(
    links: tuple[Links, dict[str, int]], echo: Echo
) -> None:
    async with connected(links[0]) as old:
        await ask(old, b"hallo")
        links[0].apply("one", "swallow")
        async with connected(links[0]) as new:
            for ends in (old, new):
                with pytest.raises(TimeoutError):
                    await ask(ends, b"hallo?", 0.1)
            links[0].apply("one", "heal")
            for ends in (old, new):
                with pytest.raises(ConnectionResetError):
                    await ask(ends, b"hallo?")
    async with connected(links[0]) as ends:
        await ask(ends, b"hallo")


async def test_delay_is_each_way_and_what_is_held_back_goes_first_when_healed(
    links: tuple[Links, dict[str, int]], echo: Echo
) -> None:
    async with connected(links[0]) as ends, connected(links[0], "two") as other:
        await ask(ends, b"hallo")
        links[0].apply("one", "delay", 0.3)
        assert await ask(ends, b"late") >= 0.6
        links[0].apply("one", "delay", 10 * PATIENCE)
        ends[1].write(b"first ")
        await ends[1].drain()
        await ask(other, b"meanwhile")  # the forwarding process has what was said before this
        assert echo.chunks == [b"hallo", b"late", b"meanwhile"]
        links[0].apply("one", "heal")
        ends[1].write(b"second")
        async with asyncio.timeout(PATIENCE):
            assert await ends[0].readexactly(12) == b"first second"


async def test_trickle_passes_one_byte_at_a_time_and_the_rest_when_healed(
    links: tuple[Links, dict[str, int]], echo: Echo
) -> None:
    async with connected(links[0]) as ends:
        links[0].apply("one", "trickle")
        await ask(ends, b"byte by byte")
        ends[1].write(b"y" * 500_000)
        await until(lambda: len(echo.chunks) > 20)
        assert sum(map(len, echo.chunks)) < 250_000, "so many bytes take more than eight minutes"
        links[0].apply("one", "heal")
        async with asyncio.timeout(PATIENCE):
            assert await ends[0].readexactly(500_000) == b"y" * 500_000


async def test_a_connection_goes_to_the_next_server_that_accepts(
    links: tuple[Links, dict[str, int]], echo: Echo
) -> None:
    for _ in range(2):  # in either order
        async with connected(links[0], "two") as ends:
            await ask(ends, b"hallo")
    async with listening(links[1]["second"]) as second:
        for _ in range(2):
            async with connected(links[0], "two") as ends:
                await ask(ends, b"hallo")
        assert len(second.chunks) == 1
        await until(lambda: second.open == 0)
    await until(lambda: echo.open == 0)


async def test_without_any_server_a_connection_is_reset(links: tuple[Links, dict[str, int]]) -> None:
    with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):  # at once, or when it is used
        async with connected(links[0], "two") as ends:
            await ask(ends, b"hallo?")
