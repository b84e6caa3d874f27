"""`services/gateway/protocol.py` behind a real server: peers that read slowly, or not at all, or vanish."""

import asyncio
import time
from typing import Any

from services.contracts import CitizenPresence
from services.gateway.frames import Close
from tests.gateway.browsers import Raw, browser, hear, say
from tests.gateway.making import CHAT, OTHER, entry, seal
from tests.gateway.standing import Gateway, World, until


async def test_a_long_log_is_no_slow_reader(world: World, gateway: Gateway) -> None:
    token = world.others.open(CHAT)
    await world.append(*(entry(n, text="🏠" * 4_000) for n in range(2, 402)), tell=False)  # 6 MB
    async with browser(gateway) as one:
        await say(one, "hello", token=token)
        assert [(await hear(one, "message"))["seq"] for _ in range(401)] == list(range(1, 402))


async def test_a_reader_that_stands_still_is_4430_and_nobody_else_notices(world: World, gateway: Gateway) -> None:
    token = world.others.open(CHAT)
    slow = await Raw.open(gateway)
    slow.say("hello", token=token)
    async with browser(gateway) as good:
        await say(good, "hello", token=token)
        await hear(good, "message")
        await world.hear(CitizenPresence)
        text, seqs = "🏠" * 4_000, list[int]()
        for seq in range(2, 902):  # 14 MB: more than any buffer on the way
            await world.append(entry(seq, text=text))
            if seq % 50 == 1:
                seqs += [(await hear(good, "message"))["seq"] for _ in range(50)]
        assert seqs == list(range(2, 902))
    assert await slow.close_code(20) == Close.TOO_SLOW
    slow.drop()


async def test_a_peer_that_vanishes_is_noticed_within_15_s_whatever_it_has_not_read(
    world: World, gateway: Gateway
) -> None:
    silent, full = await Raw.open(gateway), await Raw.open(gateway)
    silent.say("hello", token=world.others.open(CHAT))
    full.say("hello", token=world.others.open(OTHER))
    await world.hear(CitizenPresence, 2)
    began = time.monotonic()
    seq = 1
    while not gateway.backlog():  # more than the kernel takes, and far from an outbox that is too full
        seq += 1
        await world.append(entry(seq, OTHER, text="🏠" * 4_000))
        await asyncio.sleep(0.005)
    assert seq < 1_000
    reading = asyncio.create_task(silent.end())  # it reads, and never answers a ping
    gone = {p.chat_id for p in await world.hear(CitizenPresence, 4, 15) if not p.online}
    assert gone == {CHAT, OTHER}
    assert time.monotonic() - began < 15
    await asyncio.wait_for(reading, 5)
    silent.drop()
    full.drop()


async def test_a_peer_that_reads_nothing_is_let_go_after_the_close(world: World, gateway: Gateway) -> None:
    raw = await Raw.open(gateway)
    raw.say("hello", token=world.others.open(CHAT))
    await world.hear(CitizenPresence)
    seq = 1
    while not gateway.backlog():
        seq += 1
        await world.append(entry(seq, text="🏠" * 4_000))
        await asyncio.sleep(0.005)
    protocols: list[Any] = list(gateway.server.server_state.connections)
    for protocol in protocols:
        assert protocol.close_timeout == 10.0
        protocol.close_timeout = 0.3
    await world.append(seal(seq + 1))
    await until(lambda: not gateway.server.server_state.connections, "the socket to be let go", 5)
    raw.drop()


async def test_a_browser_that_just_goes_is_gone_at_once(world: World, gateway: Gateway) -> None:
    raw = await Raw.open(gateway)
    raw.say("hello", token=world.others.open(CHAT))
    await world.hear(CitizenPresence)
    raw.drop()
    assert [p.online for p in await world.hear(CitizenPresence, 2, 3)] == [True, False]
