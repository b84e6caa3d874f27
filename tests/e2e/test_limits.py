"""The abuse limits on a running system: they hold for a chat and a sender, whatever the number of connections."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterator

import aiohttp
import pytest

from tests.e2e.clients import Agent, Citizen, Closed, Socket, agent, citizen, new_id, pair, say
from tests.real import Broker, System, running_system, unique

BURST, RATE = 100, 10  # messages, as docs/limits.md has them
LOOPS, SECONDS = 30, 8.0
FACTOR = 10  # a neighbour's receipt may take so many times as long as undisturbed, on a machine that carries all of it


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, broker: Broker, mongodb_url: str) -> Iterator[System]:
    """A system with its abuse limits on."""
    name = unique("guarded-")
    servers = {"RABBITMQ_URL": broker.make_vhost(name), "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": f"{name}-"}
    with running_system(tmp_path_factory.mktemp("guarded"), RATE_LIMITS="on", DEMO_AGENTS="2", **servers) as running:
        yield running
    broker.remove_vhost(name)


async def _flood(visitor: Citizen, count: int) -> None:
    """Connects, says so much as fast as it goes, and is gone when all of it is answered in some way."""
    socket = await visitor.connect()
    left = {new_id() for _ in range(count)}
    with contextlib.suppress(TimeoutError, Closed, ConnectionError):
        await socket.send(type="hello", token=visitor.token, after=0)
        for id_ in tuple(left):
            await socket.send(type="message", id=id_, text="x")
        while left:
            left.discard((await socket.expect_any("message", "error", wait=10)).get("id", ""))
    await socket.close()
    visitor.sockets.remove(socket)
    await asyncio.sleep(0.1)  # the limit of hellos is another matter


async def test_reconnecting_does_not_let_anybody_say_more(guarded: System) -> None:
    async with agent(guarded.base_url) as an, citizen(guarded.base_url) as visitor:
        theirs, _ = await pair(visitor, an)
        began = time.monotonic()
        while time.monotonic() - began < SECONDS:
            await asyncio.gather(_flood(visitor, 20), _flood(visitor, 20))
        took = time.monotonic() - began
        await asyncio.sleep(1)
        said = [m for m in theirs.messages() if m["from"] == "citizen"]
        print(f"\n{len(said)} messages stored in {took:.1f} s")
        await theirs.send(type="close")  # a new connection might be one too many
        await theirs.closed()
        assert 32 <= len(said) <= BURST + RATE * (took + 1)


async def _receipts(socket: Socket, seconds: float) -> list[float]:
    took, end = [], time.monotonic() + seconds
    while time.monotonic() < end:
        began = time.monotonic()
        await say(socket, "nog iets")
        took.append(time.monotonic() - began)
        await asyncio.sleep(0.15)
    return took


async def _hello_loop(visitor: Citizen, codes: list[int | None], until: float) -> None:
    while time.monotonic() < until:
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
            socket = await visitor.connect()
            await socket.send(type="hello", token=visitor.token, after=0)
            await asyncio.wait([socket._reader], timeout=0.5)
            await socket.close()
            codes.append(socket.ws.close_code)
            visitor.sockets.remove(socket)


async def _long_log(visitor: Citizen, helper: Agent, theirs: Socket) -> int:
    """As much as both may say at once, in the largest messages."""
    text = "\N{HOUSE BUILDING}" * 4_000
    for socket, chat_id in ((theirs, None), (helper.socket, visitor.chat_id)):
        with contextlib.suppress(TimeoutError):
            for _ in range(20):
                await say(socket, text, chat_id)
    return len(theirs.messages())


async def test_hellos_on_one_long_chat_do_not_slow_its_neighbours(guarded: System) -> None:
    base = guarded.base_url
    async with agent(base) as an, agent(base, "bert") as bert, citizen(base) as attacker, citizen(base) as neighbour:
        theirs, _ = await pair(attacker, an)
        entries = await _long_log(attacker, an, theirs)
        ours, _ = await pair(neighbour, bert)
        before = await _receipts(ours, SECONDS / 2)
        codes: list[int | None] = []
        end = time.monotonic() + SECONDS
        loops = [asyncio.create_task(_hello_loop(attacker, codes, end)) for _ in range(LOOPS)]
        during = await _receipts(ours, SECONDS)
        await asyncio.gather(*loops)
        undisturbed, disturbed = statistics.median(before), statistics.median(during)
        limited = codes.count(4429)
        # The attacker's own connection may have made room for the hellos: their agent ends the chat.
        await an.socket.send(type="close", chat_id=attacker.chat_id)
        await an.socket.expect("closed", chat_id=attacker.chat_id)
        attacker.token = ""
        print(f"\n{entries} entries, {len(codes)} hellos, {limited} of them 4429")
        print(f"receipts p50 {undisturbed * 1e3:.0f} -> {disturbed * 1e3:.0f} ms, max {max(during) * 1e3:.0f} ms")
        assert limited > len(codes) / 2
        assert disturbed <= FACTOR * undisturbed
