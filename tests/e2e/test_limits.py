"""The abuse limits on a running system: they hold for a chat and a sender, whatever the number of connections."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator

import aiohttp
import pytest

from tests.support.clients import Agent, Citizen, Closed, Socket, agent, citizen, new_id, pair, say
from tests.support.servers import PATIENCE, System, running_system

BURST, RATE = 100, 10  # messages, as docs/limits.md has them
HELLOS, HELLO_RATE = 20, 1  # hellos of one participant, likewise
FLOODS = 10  # two connections each: as many hellos as are answered at once
LOOPS, RECEIPTS = 30, 30


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, shared_servers: dict[str, str]) -> Iterator[System]:
    """A system with its abuse limits on."""
    home = tmp_path_factory.mktemp("guarded")
    with running_system(home, RATE_LIMITS="on", DEMO_AGENTS="2", **shared_servers) as running:
        yield running


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


async def test_reconnecting_allows_no_more_messages(guarded: System) -> None:
    async with agent(guarded.base_url) as an, citizen(guarded.base_url) as visitor:
        began = time.monotonic()
        _, ours = await pair(visitor, an)
        for _ in range(FLOODS):
            await asyncio.gather(_flood(visitor, 20), _flood(visitor, 20))
        # The citizen's own connection may have made room for the others: the agent ends the chat, and has all of it.
        await ours.send(type="close", chat_id=visitor.chat_id)
        await ours.expect("closed", chat_id=visitor.chat_id)
        visitor.token = ""
        took = time.monotonic() - began
        said = [m for m in ours.messages(visitor.chat_id) if m["from"] == "citizen"]
        print(f"\n{len(said)} messages stored in {took:.1f} s")
        assert 32 <= len(said) <= BURST + RATE * took


async def _receipts(socket: Socket, number: int) -> list[float]:
    """Seconds until each of so many messages, one after the other, had its receipt."""
    took = []
    for _ in range(number):
        began = time.monotonic()
        await say(socket, "nog iets")
        took.append(time.monotonic() - began)
    return took


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.01)


async def _hello_loop(visitor: Citizen, answers: list[int | None], over: asyncio.Event) -> None:
    """Says hello again and again. What is answered is 0, or the code with which the connection was closed instead.

    Who was answered stays for half a second.
    """
    while not over.is_set():
        with contextlib.suppress(aiohttp.ClientError, TimeoutError, ConnectionError):
            socket = await visitor.connect()
            await socket.send(type="hello", token=visitor.token, after=0)
            answers.append(await _answer(socket))
            await socket.close()
            visitor.sockets.remove(socket)


async def _answer(socket: Socket) -> int | None:
    try:
        await socket.expect("welcome")
    except Closed as closed:
        return closed.code
    await socket.closed(wait=0.5)
    return 0


async def _long_log(visitor: Citizen, helper: Agent, theirs: Socket) -> int:
    """As much as both may say at once, in the largest messages."""
    text = "\N{HOUSE BUILDING}" * 4_000
    for socket, chat_id in ((theirs, None), (helper.socket, visitor.chat_id)):
        for _ in range(20):
            await say(socket, text, chat_id)
    return len(theirs.messages())


async def test_hellos_on_one_long_chat_do_not_keep_its_neighbours_from_their_receipts(guarded: System) -> None:
    """How much they slow them is printed: it says more of the machine than of the limit."""
    base = guarded.base_url
    async with contextlib.AsyncExitStack() as stack:
        an, attacker = await stack.enter_async_context(agent(base)), await stack.enter_async_context(citizen(base))
        began = time.monotonic()
        theirs, _ = await pair(attacker, an)
        # The second agent comes when the first one has their chat: else it is chance who gets which.
        bert, neighbour = (
            await stack.enter_async_context(agent(base, "bert")),
            await stack.enter_async_context(citizen(base)),
        )
        ours, _ = await pair(neighbour, bert)
        entries = await _long_log(attacker, an, theirs)
        before = await _receipts(ours, RECEIPTS)
        answers: list[int | None] = []
        over = asyncio.Event()
        loops = [asyncio.create_task(_hello_loop(attacker, answers, over)) for _ in range(LOOPS)]
        during: list[float] = []
        for number in range(RECEIPTS):
            await _until(lambda number=number: len(answers) >= 5 * number)  # type: ignore[misc]
            during += await _receipts(ours, 1)
        over.set()
        await asyncio.gather(*loops)
        took = time.monotonic() - began
        undisturbed, disturbed = statistics.median(before), statistics.median(during)
        welcomed, limited = answers.count(0), answers.count(4429)
        # The attacker's own connection may have made room for the hellos: their agent ends the chat.
        await an.socket.send(type="close", chat_id=attacker.chat_id)
        await an.socket.expect("closed", chat_id=attacker.chat_id)
        attacker.token = ""
        print(f"\n{entries} entries, {len(answers)} hellos, {welcomed} answered, {limited} of them 4429")
        print(f"receipts p50 {undisturbed * 1e3:.0f} -> {disturbed * 1e3:.0f} ms, max {max(during) * 1e3:.0f} ms")
        assert welcomed <= HELLOS + HELLO_RATE * took
        assert limited > 0
