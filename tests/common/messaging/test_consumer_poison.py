"""What cannot be read, what hurts, and what a process had in hand when it died."""

import asyncio
import time
from itertools import pairwise

import aio_pika
import pytest

from services.common.events.codec import decode
from services.common.events.event import Event
from services.common.messaging import retry, topology
from tests.support.conditions import until
from tests.support.event_samples import golden
from tests.support.in_process.queue_bench import HURTING, QUEUE, bench, consumed, counted, events, quicken, seq


async def test_poison_is_dead_lettered_alone_and_at_once(vhost_url: str) -> None:
    seen: list[int] = []

    async def handler(event: Event) -> None:
        seen.append(seq(event))

    poison = [
        b"not json",
        b"\xff\xfe\x00",
        b"",
        b'{"type": "chat.renamed", "chat_id": "x"}',
        golden("read.shown").replace(b'"seq": 7', b'"seq": 9223372036854775808'),
        golden("read.shown").replace(b"citizen", rb"\ud800", 1),
        golden("read.shown").replace(b"citizen", b"onlooker", 1),
    ]
    good = events(len(poison))
    async with bench(vhost_url) as made:
        await made.put(*(body for pair in zip(poison, good, strict=True) for body in pair))
        async with consumed(made, handler):
            letters = await made.letters(len(poison))
            await until(lambda: len(seen) >= len(good), "the neighbours")
        assert sorted(letter.body for letter in letters) == sorted(poison)
        assert {letter.headers["x-first-death-reason"] for letter in letters} == {"rejected"}
        assert sorted(seen) == [1, 2, 3, 4, 5, 6, 7]
        assert await made.left() == []


async def test_what_fails_is_requeued_later_each_time_and_dead_lettered_at_the_limit(
    vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    quicken(monkeypatch)
    tries: dict[int, list[float]] = {}

    async def handler(event: Event) -> None:
        tries.setdefault(seq(event), []).append(time.monotonic())
        if seq(event) == 1:
            raise RuntimeError("it hurts")

    before = [counted(outcome) for outcome in ("given_back", "dead_lettered")]
    async with bench(vhost_url, HURTING) as made:
        await made.put(*events(8))
        async with consumed(made, handler, HURTING):
            (letter,) = await made.letters(1)
            await until(lambda: len(tries) == 8, "the neighbours")
        assert seq(decode(letter.body)) == 1
        assert letter.headers["x-first-death-reason"] == "delivery_limit"
        one, two = (b - a for a, b in pairwise(tries[1]))
        assert one >= 0.2
        assert two >= 0.4
        assert len(tries[1]) == 3, "the first delivery and two more"
        assert [len(tries[n]) for n in range(2, 9)] == [1] * 7
        assert await made.left() == []
    after = [counted(outcome) for outcome in ("given_back", "dead_lettered")]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 1], "the last time it is counted as set aside"


def test_the_delays_before_a_message_is_given_back_stay_in_bounds() -> None:
    delays = [min(retry.FIRST_DELAY * 2.0**n, retry.LONGEST_DELAY) for n in range(topology.DELIVERY_LIMIT)]
    assert delays[:6] == [1, 2, 4, 8, 16, 30]
    assert max(delays) == 30


async def test_what_a_dead_process_had_in_hand_is_handled_one_at_a_time(vhost_url: str) -> None:
    """Any of it may be what killed the process: with others in hand it would take them with it, again and again."""
    in_hand, most, done = 0, dict[str, int](), list[int]()

    async def handler(event: Event) -> None:
        nonlocal in_hand
        in_hand += 1
        kind = "again" if seq(event) <= 30 else "fresh"
        most[kind] = max(most.get(kind, 0), in_hand)
        await asyncio.sleep(0.01)
        in_hand -= 1
        done.append(seq(event))

    async with bench(vhost_url) as made:
        await made.put(*events(30))
        async with await aio_pika.connect(vhost_url) as dying, dying.channel() as channel:
            taken: list[object] = []

            async def take(message: object) -> None:
                taken.append(message)

            await (await channel.get_queue(QUEUE.name)).consume(take)
            await until(lambda: len(taken) == 30, "thirty in hand")
        await made.put(*events(30, 31))
        await made.waiting(60)
        async with consumed(made, handler, prefetch=10):
            await until(lambda: len(done) == 60, "all of it")
    assert done[:30] == list(range(1, 31)), "what was in hand comes first"
    assert most["again"] == 1
    assert most["fresh"] > 1, "after five that nobody had before it goes on as fast as it may"
