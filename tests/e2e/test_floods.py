"""Floods of connections and headers against a real gateway, while a neighbour goes on with the button and a chat."""

import asyncio
import contextlib
import resource
import statistics
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from tests.support.clients import Agent, Citizen, agent, citizen, http_client, new_id, pair, say, until_green
from tests.support.servers import PATIENCE, System, running_system

TURNS = 20


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory, shared_servers: dict[str, str]) -> Iterator[System]:
    """A system with its limits on, where one address may have as many connections as this test needs."""
    home = tmp_path_factory.mktemp("flooded")
    with running_system(home, DEMO_AGENTS="6", CONNECTIONS_PER_ADDRESS="4000", **shared_servers) as running:
        yield running


class Neighbour:
    """The page and chat of another citizen: how long a look at the button and a receipt take, in seconds."""

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


async def test_headers_of_100_mb_half_heads_and_idle_connections_stop_no_user(limited: System) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    host, port = host_of(limited)
    opened: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def connect(sent: bytes) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        opened.append(await asyncio.open_connection(host, port))
        opened[-1][1].write(sent)
        return opened[-1]

    async def flood() -> bytes:
        """The first line of the answer. It is read while more is sent: what is sent in vain may end in a reset."""
        reader, writer = await connect(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ")
        answer = asyncio.create_task(reader.readline())
        with contextlib.suppress(ConnectionError):
            for _ in range(1_600):
                writer.write(b"a" * 65_536)
                await writer.drain()
        return await answer

    try:
        async with Neighbour(limited.base_url).here() as neighbour:
            quiet = await neighbour.turns(TURNS)
            heads = [await connect(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: ") for _ in range(2_000)]
            silent = [await connect(b"") for _ in range(500)]
            flooding = asyncio.gather(*(flood() for _ in range(3)))
            async with asyncio.timeout(PATIENCE):  # three seconds each: a gateway that stands still needs many
                meanwhile = await neighbour.turns(TURNS)
            async with asyncio.timeout(PATIENCE):
                refused = await flooding
                ends = await asyncio.gather(*(reader.read() for reader, _ in heads))
                assert set(await asyncio.gather(*(reader.read() for reader, _ in silent))) == {b""}
            assert {end.split(b"\r\n")[0] for end in ends} == {b"HTTP/1.1 408 Request Timeout"}
            assert set(refused) == {b"HTTP/1.1 431 Request Header Fields Too Large\r\n"}
            print(f"\nmedian of button and receipt: {quiet * 1000:.1f} ms quiet, {meanwhile * 1000:.1f} ms meanwhile")
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
        for n, participant in enumerate(crowd):
            statuses.append(await pressed(participant, n))
            if statuses[-1] == 201:
                await (await participant.join()).expect("status")
        assert statuses == [201] * 5 + [429] * 3
        first = crowd[0]
        helper = await holder(crew, first.chat_id)
        block = {"minutes": 5, "reason": "belediging", "address": False}
        await helper.socket.send(type="close", chat_id=first.chat_id, block=block)
        await helper.socket.expect("closed", chat_id=first.chat_id)
        refused = await first.start(browser=f"browser-0{'-' * 19}")
        assert (refused.status, (await refused.json(content_type=None))["code"]) == (403, "blocked")
        assert 0 < int(refused.headers["Retry-After"]) <= 300
        assert await pressed(crowd[7], 7) == 201, "a place came free"


async def pressed(participant: Citizen, number: int) -> int:
    """The answer to a press of this browser; a colour from just before may still be shown, and is pressed again."""
    status, key = 409, new_id()
    while status in (409, 503):
        await until_green(participant.base)
        status = (await participant.start(key=key, browser=f"browser-{number:-<20}")).status
    return status


async def holder(crew: list[Agent], chat_id: str) -> Agent:
    """The agent who was given this chat, as soon as they know of it."""

    def given() -> list[Agent]:
        return [
            one
            for one in crew
            if any(f["type"] == "assigned" and f["chat"]["chat_id"] == chat_id for f in one.socket.frames)
        ]

    async with asyncio.timeout(PATIENCE):
        while not (found := given()):
            await asyncio.sleep(0.02)
    (one,) = found
    return one
