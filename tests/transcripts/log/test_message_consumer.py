"""Mirrors services/transcripts/log/message_consumer.py, on the real broker and database: how events are taken in."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import aio_pika
import pytest
from pymongo.errors import AutoReconnect

from services.common.events.chats import CitizenArrived
from services.common.events.codec import encode
from services.common.events.event import Event
from services.common.events.messages import MessagePosted, MessagesPosted, MessagesStored
from services.common.events.types import Entry
from services.common.messaging import retry, topology
from services.transcripts.log import message_consumer, subscription
from services.transcripts.log.delivery import DeliveredEvent
from services.transcripts.log.recorder import Recorder
from tests.support.conditions import until
from tests.support.servers import PATIENCE
from tests.transcripts.conftest import Bench, EventObserver, Start, as_kept, new_id, opened_event, posted


async def test_poison_goes_to_the_dead_letters_alone(start: Start, observer: EventObserver) -> None:
    chat = new_id()
    good = [posted(chat) for _ in range(5)]
    poison = [
        b"not json",
        b'{"type":"unheard.of"}',
        encode(CitizenArrived(chat_id=chat)),
        encode(posted("not-an-id")),
        encode(posted(chat, "x:y")),
        encode(posted(chat)).replace(b'"citizen"', b'"onlooker"', 1),
        encode(posted(chat, text="x" * 300_000)),
        encode(posted(chat)).replace(b'"Dag"', b'"\\ud800"'),
    ]
    await observer.put(opened_event(chat, None))
    for index, body in enumerate(poison):
        await observer.raw(body)
        if index < len(good):
            await observer.put(good[index])
    async with start():
        await until(lambda: len(observer.stored(chat)) == 6, "the good ones")
        assert sorted(await observer.letters(8)) == sorted(poison)
        assert [e.id for e in observer.stored(chat)[1:]] == [g.id for g in good]
        assert await observer.waiting() == 0


async def test_an_unexpected_error_hurts_one_message_alone(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_consumer, "FIRST_DELAY", 0.05)
    chat = new_id()
    cursed, tries, real = posted(chat), list[int](), Recorder.record

    async def record(self: Recorder, batch: Sequence[DeliveredEvent]) -> asyncio.Task[None]:
        if any(isinstance(h.event, MessagePosted) and h.event.id == cursed.id for h in batch):
            tries.append(len(batch))
            if len(tries) < 4:
                raise RuntimeError("it hurts")
        return await real(self, batch)

    monkeypatch.setattr(Recorder, "record", record)
    # All stand in the queue at the start, so that the last one is delivered before the cursed one can come again.
    await observer.put(opened_event(chat, None), *(posted(chat) for _ in range(6)), cursed, posted(chat))
    async with start() as bench:
        await until(lambda: len(observer.stored(chat)) == 9, "all of them")
        assert observer.stored(chat)[-1].id == cursed.id, "the others went before"
        assert not bench.task.done()


async def test_the_start_is_slow_and_then_batches_form_by_themselves(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    chats = [new_id() for _ in range(300)]
    await observer.put(*(opened_event(c, None) for c in chats))
    sizes: list[int] = []
    real = Recorder.record

    async def record(self: Recorder, batch: Sequence[DeliveredEvent]) -> asyncio.Task[None]:
        sizes.append(len(batch))
        if len(sizes) == 8:  # the slow start is over: meanwhile the broker sends all that may be in hand
            await until_ready(observer, 300 - subscription.PREFETCH)
        return await real(self, batch)

    monkeypatch.setattr(Recorder, "record", record)
    async with start():
        await until(lambda: len(observer.stored()) == 300, "all chats")
    assert sizes[:5] == [1] * 5
    assert 20 < max(sizes) <= subscription.PREFETCH


async def until_ready(observer: EventObserver, most: int) -> None:
    """Returns when no more than `most` messages wait in the queue."""
    async with asyncio.timeout(PATIENCE):
        while await observer.waiting() > most:
            await asyncio.sleep(0.02)


async def test_of_two_replicas_one_writes_and_the_other_takes_over(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that take turns in one chat would find each other's entries in the way."""
    chat, took, seqs = new_id(), list[Recorder](), 1
    real = Recorder.record

    async def record(self: Recorder, batch: Sequence[DeliveredEvent]) -> asyncio.Task[None]:
        took.extend(self for _ in batch)
        return await real(self, batch)

    async def write(times: int) -> None:
        """Post one message after the other; each is seen stored (by its own id) before the next."""
        nonlocal seqs
        for _ in range(times):
            event, seqs = posted(chat), seqs + 1
            await observer.put(event)
            await until(partial(is_published, observer, event), "the next")

    monkeypatch.setattr(Recorder, "record", record)
    async with contextlib.AsyncExitStack() as ends:
        two = [await ends.enter_async_context(start()) for _ in range(2)]
        await observer.put(opened_event(chat, None))
        async with asyncio.timeout(PATIENCE):
            while len(took) < 20 or len(set(took[-20:])) > 1:  # both begin slowly, and then one has room for all
                await write(1)
        (first,) = [bench for bench in two if bench.recorder is took[-1]]
        first.task.cancel()
        await until(first.task.done, "the end of the first")
        took.clear()
        await write(5)
        assert first.recorder not in took
        await until(
            lambda: {e.seq for e in observer.stored(chat)} == set(range(1, seqs + 1)), "all of them, some twice"
        )


async def test_an_outage_is_waited_out_in_place(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = new_id()
    async with start() as bench:
        real, failures = bench.store.insert, 4

        async def insert(entries: Sequence[Entry], in_order: bool = False) -> set[int]:
            nonlocal failures
            failures -= 1
            if failures >= 0:
                raise AutoReconnect("away")
            return await real(entries, in_order)

        monkeypatch.setattr(bench.store, "insert", insert)
        await observer.put(opened_event(chat), posted(chat))
        await until(lambda: len(observer.stored(chat)) == 3, "all of it")
        assert await observer.waiting("transcripts.dead-letters") == 0


async def test_after_a_long_outage_the_channel_is_closed_until_a_probe_succeeds(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retry, "PROBE_INTERVAL", 0.05)
    chat, probes, away = new_id(), 0, True

    async def probe() -> None:
        nonlocal probes
        probes += 1
        if away:
            raise AutoReconnect("away")

    async def impatient(work: Callable[[], Awaitable[object]]) -> object:
        return await retry.retry_with_backoff(work, 0.2)

    async with start(probe=probe) as bench:
        real = bench.store.insert

        async def insert(entries: Sequence[Entry], in_order: bool = False) -> set[int]:
            if away:
                raise AutoReconnect("away")
            return await real(entries, in_order)

        monkeypatch.setattr(bench.store, "insert", insert)
        monkeypatch.setattr("services.transcripts.log.writer.retry_with_backoff", impatient)
        await observer.put(opened_event(chat))
        await until(lambda: probes > 3, "probes")
        assert not bench.consumer.running
        async with asyncio.timeout(PATIENCE):
            while (
                await observer.waiting() != 1
            ):  # the broker gives the message back once it has seen the connection end
                await asyncio.sleep(0.02)
        away = False
        await until(lambda: len(observer.stored(chat)) == 2, "all of it")
        await until(lambda: bench.consumer.running, "the consumer")


async def test_three_replicas_share_the_work_without_a_hole(start: Start, observer: EventObserver) -> None:
    chats = [new_id() for _ in range(5)]
    async with start() as bench, start(), start():
        await observer.put(*(opened_event(c, None) for c in chats))
        for n in range(20):
            await observer.put(*(posted(c, sender=s) for c in chats for s in ("citizen", f"agent{n % 2}")))
        await until(lambda: len({(e.chat_id, e.id) for e in observer.stored()}) == 205, "everything")
        for chat in chats:
            log = await bench.store.entries(chat)
            assert [e.seq for e in log] == list(range(1, 42))
            assert {e.id for e in observer.stored(chat)} == {e.id for e in log}


async def test_what_a_dead_process_had_in_hand_is_handled_one_at_a_time(
    observer: EventObserver, start: Start, vhost_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any of it may be what killed the process: with others in hand it would take them with it, again and again."""
    chats, sizes = [new_id() for _ in range(60)], list[int]()
    await observer.put(*(opened_event(c, None) for c in chats[:30]))
    async with await aio_pika.connect(vhost_url) as dying, dying.channel() as channel:
        queue, taken = await channel.get_queue("transcripts.messages"), list[object]()

        async def take(message: object) -> None:
            taken.append(message)

        await queue.consume(take)
        await until(lambda: len(taken) == 30, "thirty in hand")
    await observer.put(*(opened_event(c, None) for c in chats[30:]))
    async with asyncio.timeout(PATIENCE):
        while await observer.waiting() < 60:
            await asyncio.sleep(0.02)
    real = Recorder.record

    async def record(self: Recorder, batch: Sequence[DeliveredEvent]) -> asyncio.Task[None]:
        sizes.append(len(batch))
        return await real(self, batch)

    monkeypatch.setattr(Recorder, "record", record)
    async with start() as bench:
        await until(lambda: len(observer.stored()) == 60, "all chats")
        assert sizes[:35] == [1] * 35
        assert {e.chat_id for e in observer.stored()[:30]} == set(chats[:30]), "what was in hand comes first"
        assert bench.consumer.prefetch == subscription.PREFETCH


def delivery(*events: MessagePosted) -> MessagesPosted:
    return MessagesPosted(posted=list(events), traces=[f"00-{n:032x}-{1:016x}-01" for n in range(1, len(events) + 1)])


async def settled(bench: Bench, observer: EventObserver) -> None:
    """Nothing is left in the queue, nor in this consumer's hands."""
    await bench.acknowledged()
    await bench.consumer.drain()
    assert await observer.waiting() == 0


def is_published(observer: EventObserver, event: MessagePosted) -> bool:
    return event.id in published_of(observer, event.chat_id)


def published_of(observer: EventObserver, chat: str) -> set[str]:
    """The ids that were published of this chat, however often."""
    return {e.id for e in observer.stored(chat)}


async def test_a_batch_is_stored_and_published_as_if_each_message_had_come_alone(
    start: Start, observer: EventObserver
) -> None:
    chats = [new_id() for _ in range(20)]
    events = [posted(chats[n % 20]) for n in range(60)]
    async with start(together=True) as bench:
        await observer.put(*(opened_event(c, None) for c in chats))
        await until(lambda: len(observer.stored()) == 20, "the chats")
        await observer.put(delivery(*events[:25]), posted(chats[0]), delivery(*events[25:]))
        await until(lambda: len(observer.stored()) == 81, "all of them")
        for n, chat in enumerate(chats):
            entries = observer.stored(chat)
            assert [e.seq for e in entries] == list(range(1, len(entries) + 1))
            assert await bench.store.entries(chat) == as_kept(entries)
            ids = [e.id for e in entries[1:]]
            assert [i for i in ids if i in {f.id for f in events}] == [f.id for f in events[n::20]]
        together = [f for f in observer.seen if isinstance(f, MessagesStored)]
        assert 1 < max(len(f.entries) for f in together) <= topology.MOST_TOGETHER
        await settled(bench, observer)


async def test_poison_among_several_goes_to_the_dead_letters_alone(start: Start, observer: EventObserver) -> None:
    chat = new_id()
    good, poison = [posted(chat) for _ in range(4)], posted(chat, text="x" * 300_000)
    async with start(together=True) as bench:
        await observer.put(opened_event(chat, None), delivery(*good[:2], poison, *good[2:]))
        await until(lambda: len(observer.stored(chat)) == 5, "the good ones")
        assert await observer.letters(1) == [encode(poison)]
        assert [e.id for e in observer.stored(chat)[1:]] == [g.id for g in good]
        await settled(bench, observer)


async def test_what_waits_for_its_chat_keeps_its_delivery_open_and_no_other(
    start: Start, observer: EventObserver
) -> None:
    known, late = new_id(), new_id()
    async with start(together=True) as bench:
        await observer.put(opened_event(known, None))
        await until(lambda: len(observer.stored(known)) == 1, "the chat")
        await observer.put(*(posted(known) for _ in range(5)))  # beyond the slow start
        await observer.put(delivery(posted(known), posted(late)), posted(known))
        await until(lambda: len(observer.stored(known)) == 8, "what can be stored")
        await until(lambda: bench.consumer.in_hand == 1, "the others' acknowledgement")
        await observer.put(opened_event(late, None))
        await until(lambda: len(observer.stored(late)) == 2, "the late one")
        await settled(bench, observer)


async def test_one_that_hurts_is_requeued_with_its_delivery_and_its_neighbours_are_stored_once(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_consumer, "FIRST_DELAY", 0.05)
    chat, other = new_id(), new_id()
    cursed, tries = posted(chat), 0
    async with start(together=True) as bench:
        real = bench.recorder.record

        async def record(batch: Sequence[DeliveredEvent]) -> asyncio.Task[None]:
            nonlocal tries
            if any(isinstance(h.event, MessagePosted) and h.event.id == cursed.id for h in batch):
                tries += 1
                if tries < 6:
                    raise RuntimeError("it hurts")
            return await real(batch)

        monkeypatch.setattr(bench.recorder, "record", record)
        await observer.put(
            opened_event(chat, None), opened_event(other, None), delivery(posted(other), cursed, posted(other))
        )
        await until(
            lambda: len(published_of(observer, other)) == 3 and len(published_of(observer, chat)) == 2, "all of them"
        )
        await settled(bench, observer)
        assert len(await bench.store.entries(other)) == 3


async def test_one_batch_is_published_while_the_next_is_stored_and_neither_is_acknowledged_before(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    chat = new_id()
    async with start(together=True) as bench:
        await observer.put(opened_event(chat, None), *(posted(chat) for _ in range(5)))
        await until(lambda: len(observer.stored(chat)) == 6, "the slow start")
        await bench.acknowledged()
        real, confirmed = bench.publisher.publish_all, asyncio.Event()

        async def publish_all(events: Sequence[tuple[Event, object]]) -> None:
            await confirmed.wait()
            await real(events)

        monkeypatch.setattr(bench.publisher, "publish_all", publish_all)
        for expected in (7, 8, 8):  # the third waits until the first is published
            await observer.put(posted(chat))
            async with asyncio.timeout(PATIENCE):
                while len(await bench.store.entries(chat)) < expected:
                    await asyncio.sleep(0.01)
        await until(lambda: bench.consumer.in_hand == 3, "all three in hand")
        await observer.caught_up()
        assert len(observer.stored(chat)) == 6
        assert len(await bench.store.entries(chat)) == 8
        confirmed.set()
        await until(lambda: len(observer.stored(chat)) == 9, "all told")
        assert [e.seq for e in observer.stored(chat)] == list(range(1, 10))
        await settled(bench, observer)


async def test_an_event_that_cannot_be_published_fails_one_message_alone(
    start: Start, observer: EventObserver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(message_consumer, "FIRST_DELAY", 0.05)
    chats = [new_id() for _ in range(6)]
    events, tries = [posted(c) for c in chats], 0
    async with start(together=True) as bench:
        await observer.put(*(opened_event(c, None) for c in chats))
        await until(lambda: len(observer.stored()) == 6, "the chats")
        real = bench.publisher.publish_all

        async def publish_all(several: Sequence[tuple[Event, object]]) -> None:
            nonlocal tries
            if events[2].id.encode() in b"".join(encode(event) for event, _ in several):
                tries += 1
                if tries < 4:
                    raise RuntimeError("it hurts")
            await real(several)

        monkeypatch.setattr(bench.publisher, "publish_all", publish_all)
        await observer.put(*events)
        await until(lambda: {e.id for e in observer.stored()} >= {f.id for f in events}, "all of them")
        assert tries == 4
        await settled(bench, observer)
        assert [len(await bench.store.entries(c)) for c in chats] == [2] * 6
