"""Floods of connections and headers against a real gateway, while a neighbour goes on with the button and a chat."""

import asyncio
import contextlib
import resource
import statistics
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.e2e.clients import Agent, agent, citizen, http_client, pair, say, until_green
from tests.real import PATIENCE, Broker, System, running_system, unique

SLOWER = 25  # times as slow as before: a gateway that stands still is slower by thousands


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system with its limits on, where one address may have as many connections as this test needs."""
    name = unique("flooded-")
    servers = {"RABBITMQ_URL": broker.make_vhost(name), "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": f"{name}-"}
    home = tmp_path_factory.mktemp("flooded")
    with running_system(home, DEMO_AGENTS="6", CONNECTIONS_PER_ADDRESS="4000", **servers) as running:
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


async def test_one_address_does_not_hold_every_agent_and_an_abuser_is_kept_out(limited: System) -> None:
    base, names = limited.base_url, ("an", "bert", "agent1", "agent2", "agent3", "agent4", "agent5", "agent6")
    async with contextlib.AsyncExitStack() as stack:
        crew = [await stack.enter_async_context(agent(base, name)) for name in names]
        crowd = [await stack.enter_async_context(citizen(base)) for _ in range(len(names))]
        statuses = []
        for n, someone in enumerate(crowd):
            status = 409  # a colour from just before may still be shown
            while status == 409:
                await until_green(base)
                status = (await someone.start(browser=f"browser-{n:-<20}")).status
            statuses.append(status)
            if statuses[-1] == 201:
                await (await someone.join()).expect("status")
        assert statuses == [201] * 5 + [429] * 3
        first = crowd[0]
        found = [one for one in crew if await holds(one, first.chat_id)]
        (helper,) = found
        block = {"minutes": 5, "reason": "belediging", "address": False}
        await helper.socket.send(type="close", chat_id=first.chat_id, block=block)
        await helper.socket.expect("closed", chat_id=first.chat_id)
        refused = await first.start(browser=f"browser-0{'-' * 19}")
        assert (refused.status, (await refused.json(content_type=None))["code"]) == (403, "blocked")
        assert 0 < int(refused.headers["Retry-After"]) <= 300
        assert (await crowd[7].start(browser=f"browser-7{'-' * 19}")).status == 201, "a place came free"
        for someone in (*crowd[1:5], crowd[7]):
            await someone.end()


async def holds(someone: Agent, chat_id: str) -> bool:
    """Whether this agent was given this chat."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(2):
            await someone.socket.expect("assigned", chat=lambda c: c["chat_id"] == chat_id)
            return True
    return False
