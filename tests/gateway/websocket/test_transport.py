"""`services/gateway/websocket/transport.py` behind a real server: peers that read slowly, or not at all, or vanish."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.common.events.messages import CitizenPresence, MessagePosted, TypingShown
from services.common.events.types import ChatStatus
from services.common.internal_api import presence as presence_api
from services.gateway.jobs import sync_frames
from services.gateway.websocket.connection import CLOSED
from services.gateway.websocket.frames.server import Close
from tests.gateway.browsers import Raw, browser, receive, say
from tests.gateway.making import AN, CHAT, OTHER, entry, id_of, seal, value_of
from tests.gateway.standing import Gateway, World, gateway_of
from tests.support.conditions import until
from tests.support.servers import PATIENCE

LARGE = "🏠" * 4_000  # 16 KB


@pytest.fixture
async def gateway(world: World) -> AsyncIterator[Gateway]:
    """A gateway whose connections have little room in the kernel, so that it is soon full."""
    async with gateway_of(world.settings, send_buffer=64 * 1024) as one:
        yield one


async def fill(world: World, gateway: Gateway, least: int = 0, chat_id: str = CHAT) -> int:
    """Say large things until more bytes than that wait for the kernel. The last seq."""
    seq = 1
    while gateway.backlog() <= least:
        assert seq < 1_000, "nobody reads it, and it is nowhere"
        seq += 1
        await world.append(entry(seq, chat_id, text=LARGE))
        await asyncio.sleep(0.005)
    return seq


def too_slow() -> float:
    """How many citizens were closed since they read too slowly."""
    return value_of(CLOSED, "_total", party="citizen", code=str(int(Close.TOO_SLOW)))


async def test_a_long_log_is_no_slow_reader(world: World, gateway: Gateway) -> None:
    token = world.others.open(CHAT)
    await world.append(*(entry(n, text=LARGE) for n in range(2, 202)), publish=False)  # 3 MB: thrice an outbox
    async with browser(gateway) as one:
        await say(one, "hello", token=token)
        assert [(await receive(one, "message"))["seq"] for _ in range(201)] == list(range(1, 202))


async def test_a_reader_that_stands_still_is_4430_and_affects_no_other(world: World, gateway: Gateway) -> None:
    token = world.others.open(CHAT)
    slow = await Raw.open(gateway)
    slow.say("hello", token=token)
    while (await slow.text())["type"] != "message":  # from here on it follows the chat, and reads no more
        pass
    async with browser(gateway) as good:
        await say(good, "hello", token=token)
        await receive(good, "message")
        await until(lambda: len(gateway.websockets()) == 2, "both")
        for one in gateway.websockets():
            one.close_timeout = PATIENCE  # seconds in which the close may be read
        before, seq = too_slow(), 1
        while too_slow() == before:
            assert seq < 900, "14 MB are more than any buffer on the way"
            seq += 1
            await world.append(entry(seq, text=LARGE))
            assert (await receive(good, "message"))["seq"] == seq
        await world.append(entry(seq + 1))
        assert (await receive(good, "message"))["seq"] == seq + 1
    assert await slow.close_code() == Close.TOO_SLOW
    slow.drop()


async def test_a_reader_that_reads_on_gets_the_rest_though_nothing_new_is_said(
    world: World, gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync_frames, "send_sync", lambda connection: None)  # each frame makes the outbox go on
    token, seq = world.others.open(CHAT), 1
    raw = await Raw.open(gateway)
    raw.say("hello", token=token)
    async with browser(gateway) as tab:
        await say(tab, "hello", token=token)
        await receive(tab, "message")
        while gateway.backlog() <= 64 * 1024:
            seq += 1
            await world.append(entry(seq, text=LARGE))
            assert (await receive(tab, "message"))["seq"] == seq
        await world.append(entry(seq + 1))
        assert (await receive(tab, "message"))["seq"] == seq + 1  # so it stands in the other's outbox too
        async with asyncio.timeout(PATIENCE):
            while f'"seq":{seq + 1},'.encode() not in (await raw.frame())[1]:
                pass
    raw.drop()


async def test_a_peer_that_vanishes_is_noticed_whatever_it_has_not_read(world: World, gateway: Gateway) -> None:
    silent, full = await Raw.open(gateway), await Raw.open(gateway)
    silent.say("hello", token=world.others.open(CHAT))
    full.say("hello", token=world.others.open(OTHER))
    await world.receive(CitizenPresence, 2)
    await fill(world, gateway, chat_id=OTHER)  # more than the kernel takes, and far from an outbox that is too full
    reading = asyncio.create_task(silent.end())  # it reads, and never answers a ping
    for one in gateway.websockets():
        one.ping_timeout = 0.2
        one.send_keepalive_ping()
    await until(lambda: not gateway.websockets(), "both to be let go")
    gone = {p.chat_id for p in await world.receive(CitizenPresence, 4) if not p.online}
    assert gone == {CHAT, OTHER}
    await asyncio.wait_for(reading, PATIENCE)
    silent.drop()
    full.drop()


async def test_a_peer_that_reads_nothing_is_let_go_after_the_close(world: World, gateway: Gateway) -> None:
    raw = await Raw.open(gateway)
    raw.say("hello", token=world.others.open(CHAT))
    await world.receive(CitizenPresence)
    seq = await fill(world, gateway)
    for one in gateway.websockets():
        assert one.close_timeout == 10.0
        one.close_timeout = 0.2
    await world.append(seal(seq + 1))
    await until(lambda: not gateway.websockets(), "the socket to be let go")
    raw.drop()


async def test_a_browser_that_disconnects_without_a_close_is_removed_at_once(world: World, gateway: Gateway) -> None:
    raw = await Raw.open(gateway)
    raw.say("hello", token=world.others.open(CHAT))
    await world.receive(CitizenPresence)
    raw.drop()
    assert [p.online for p in await world.receive(CitizenPresence, 2)] == [True, False], "long before a ping"


async def test_frames_that_came_before_the_first_read_are_read_first_and_in_order(
    world: World, gateway: Gateway
) -> None:
    """Messages are kept by uvicorn: here until it is known whose cookie it is."""
    own = {"Origin": f"http://{gateway.address}", "Cookie": f"eloket-agent={world.others.log_in(AN)}"}
    world.others.open(CHAT, ChatStatus.ASSIGNED, AN)

    async def meanwhile() -> None:
        await until(lambda: any(not one.queue.empty() for one in gateway.websockets()), "the first frames")

    world.others.meanwhile[presence_api.SESSION_LOOKUP] = meanwhile
    raw = await Raw.open(gateway, "/ws/agent", **own)
    raw.say("hello", chats={})
    for number in range(10, 14):
        raw.say("message", chat_id=CHAT, id=id_of(number), text=f"bericht {number}")
    shown: list[dict[str, Any]] = []
    while not shown or shown[-1].get("id") != id_of(13):
        shown.append(await raw.text())
    raw.drop()
    assert shown[0]["type"] == "welcome"
    assert [f["id"] for f in shown if f["type"] == "message"][1:] == [id_of(n) for n in range(10, 14)]


async def test_who_sends_much_at_once_is_read_to_the_end(world: World, gateway: Gateway) -> None:
    raw = await Raw.open(gateway)
    raw.say("hello", token=world.others.open(CHAT))
    await world.receive(CitizenPresence)
    for _ in range(8_000):  # 240 KB; it was read already, so that no sender need be notified
        raw.say("read", seq=0)
    raw.say("message", id=id_of(10), text="tot hier")
    assert [p.id for p in await world.receive(MessagePosted)] == [id_of(10)]
    raw.drop()


async def test_a_message_in_pieces_is_one_but_not_in_any_number_of_them(world: World, gateway: Gateway) -> None:
    hello = json.dumps({"type": "hello", "token": world.others.open(CHAT)}).encode()
    raw = await Raw.open(gateway)
    raw.send(hello[:9], opcode=1, fin=False)
    for byte in hello[9:]:
        raw.send(bytes([byte]), opcode=0, fin=False)
    raw.send(b"", opcode=0)
    assert (await raw.text())["type"] == "welcome"
    raw.send(b"", opcode=1, fin=False)
    for _ in range(2_000):
        raw.send(b"", opcode=0, fin=False)
    assert await raw.close_code() == Close.TOO_BIG
    raw.drop()


async def test_pings_of_a_peer_that_reads_nothing_are_not_answered_into_memory(world: World, gateway: Gateway) -> None:
    raw = await Raw.open(gateway)
    raw.say("hello", token=world.others.open(CHAT))
    await world.receive(CitizenPresence)
    await fill(world, gateway, 64 * 1024)
    before = gateway.backlog()
    for _ in range(4_000):
        raw.send(b"x" * 125, opcode=9)
    raw.say("typing", active=True)
    await world.receive(TypingShown)
    assert 0 < gateway.backlog() <= before
    raw.drop()
