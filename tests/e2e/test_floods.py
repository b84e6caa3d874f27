"""Floods of connections and headers against a real gateway, while a neighbour goes on with the button and a chat."""

import asyncio
import contextlib
import resource
import statistics
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.clients import agent, citizen, http_client, pair, say
from tests.real import PATIENCE, Broker, System, running_system, unique

SLOWER = 25  # times as slow as before: a gateway that stands still is slower by thousands


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system with its limits on, where one address may have as many connections as this test needs."""
    name = unique("flooded-")
    servers = {"RABBITMQ_URL": broker.make_vhost(name), "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": f"{name}-"}
    home = tmp_path_factory.mktemp("flooded")
    with running_system(home, CONNECTIONS_PER_ADDRESS="4000", **servers) as running:
        yield running
    broker.remove_vhost(name)


class Neighbour:
    """Somebody else's page and chat: how long a look at the button and a receipt take, in seconds."""

    def __init__(self, base: str) -> None:
        self.base = base

    @contextlib.asynccontextmanager
    async def here(self) -> AsyncIterator["Neighbour"]:
        async with agent(self.base) as an, citizen(self.base) as visitor, http_client() as self.http:
            self.socket, _ = await pair(visitor, an)
            yield self

    async def turns(self, number: int) -> float:
        """The median of so many looks and receipts; every one of them is answered."""
        took = []
        for n in range(number):
            began = time.monotonic()
            async with self.http.get(f"{self.base}/api/button") as answer:
                assert answer.status == 200
            await say(self.socket, f"bericht {n}")
            took.append(time.monotonic() - began)
            await asyncio.sleep(0.02)
        return statistics.median(took)


def host_of(system: System) -> tuple[str, int]:
    host, _, port = system.base_url.removeprefix("http://").partition(":")
    return host, int(port)


async def test_headers_of_100_mb_half_heads_and_silence_stop_nobody(limited: System) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    host, port = host_of(limited)
    opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def connect(sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        opened.append(await asyncio.open_connection(host, port))
        opened[-1][1].write(sent)
        return opened[-1]

    async def flood() -> bytes:
        reader, writer = await connect(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
        with contextlib.suppress(ConnectionError):
            for _ in range(1_600):
                writer.write(b"a" * 65_536)
                await writer.drain()
        return await reader.read()

    try:
        async with Neighbour(limited.base_url).here() as neighbour:
            quiet = await neighbour.turns(20)
            heads = [await connect(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ") for _ in range(2_000)]
            silent = [await connect(b"") for _ in range(500)]
            flooding = asyncio.gather(*(flood() for _ in range(3)))
            meanwhile = await neighbour.turns(20)
            async with asyncio.timeout(PATIENCE):
                refused = await flooding
                ends = await asyncio.gather(*(reader.read() for reader, _ in heads))
                assert set(await asyncio.gather(*(reader.read() for reader, _ in silent))) == {b""}
            assert {end.split(b"\r\n")[0] for end in ends} == {b"HTTP/1.1 408 Request Timeout"}
            assert {end.split(b"\r\n")[0] for end in refused} == {b"HTTP/1.1 431 Request Header Fields Too Large"}
            print(f"\nmedian of button and receipt: {quiet * 1000:.1f} ms quiet, {meanwhile * 1000:.1f} ms meanwhile")
            assert meanwhile < quiet * SLOWER
    finally:
        for _, writer in opened:
            writer.transport.abort()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
