"""More comes in than goes out: senders get refusals, memory stays bounded, and everything flows when it is over."""

import asyncio
import time

import psutil
import pytest

from tests.support.clients import Socket, agent, citizen, new_id, pair
from tests.support.conditions import until
from tests.support.faults import SERVICES, dead_letters, probe
from tests.support.servers import System
from tests.system.chaos import alarms

pytestmark = pytest.mark.e2e
LINE = 32
MORE = 20 * 2**20  # bytes that a service may have grown by in the meantime


def memory(system: System) -> dict[str, int]:
    """Resident bytes of each service's process."""
    return {name: psutil.Process(system.pids()[name]).memory_info().rss for name in SERVICES}


async def shown(theirs: Socket, ours: Socket, id_: str, text: str) -> None:
    """Return when the agent sees this message. One that was refused is sent again, as pages do.

    The gateway keeps an accepted message for 30 s without a confirm. On a full machine the alarm may last longer.
    """
    refusals = 0

    def seen() -> bool:
        return any(f["type"] == "message" and f["id"] == id_ for f in ours.frames)

    def refused() -> bool:
        return len([f for f in theirs.frames if f["type"] == "error" and f["id"] == id_]) > refusals

    while True:
        await until(lambda: seen() or refused(), f"message {id_}")
        if seen():
            return
        refusals += 1
        await theirs.send(type="message", id=id_, text=text)


async def test_while_the_broker_blocks_publishers_senders_get_refusals_and_afterwards_all_flows(frail: System) -> None:
    base, alarm = frail.base_url, alarms.faults(alarms.of_the_own_broker(frail))[0]
    async with agent(base) as an, citizen(base) as visitor:
        theirs, ours = await pair(visitor, an)
        texts = [f"bericht {i} {'x' * 3_900}" for i in range(LINE + 60)]
        ids = [new_id() for _ in texts]
        await alarm.inject()
        before = memory(frail)
        try:
            for id_, text in zip(ids, texts, strict=True):
                await theirs.send(type="message", id=id_, text=text)
            for id_ in ids[LINE:]:
                refused = await theirs.expect("error")
                assert (refused["code"], refused["id"]) == ("unavailable", id_)
            assert {name: probe(frail, name, "/healthz") for name in SERVICES} == dict.fromkeys(SERVICES, 200)
            await asyncio.sleep(5.5)  # time is the subject: the first attempt to publish has no confirm after 5 s
            grown = {name: now - before[name] for name, now in memory(frail).items()}
        finally:
            await alarm.end()
        over = time.monotonic()
        for id_, text in zip(ids[:LINE], texts[:LINE], strict=True):
            await shown(theirs, ours, id_, text)
        print(f"\ngrown {grown}, all {LINE} shown {time.monotonic() - over:.1f} s after it was over")
        for id_, text in zip(ids[LINE:], texts[LINE:], strict=True):
            await theirs.send(type="message", id=id_, text=text)
            await ours.expect("message", id=id_)
        assert [m["text"] for m in ours.messages(visitor.chat_id) if m["from"] == "citizen"] == texts
        assert max(grown.values()) < MORE, grown
    assert await dead_letters(frail) == dict.fromkeys(SERVICES[1:], 0)
