"""`transcripts/log/message_consumer.py`, without a broker: how failures of a batch and of its publication end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from types import SimpleNamespace
from typing import cast

import pytest

from services.common.events.codec import encode
from services.common.events.messages import MessagesPosted
from services.common.messaging.queue_metrics import Waiting
from services.common.messaging.retry import DependencyOutage
from services.transcripts.log import message_consumer
from services.transcripts.log.delivery import DeliveredEvent, Delivery
from services.transcripts.log.message_consumer import BatchHandler
from services.transcripts.log.recorder import Recorder
from services.transcripts.log.sequencing import FAILED, POISON, Unstored
from services.transcripts.log.subscription import Batcher, Subscription
from tests.support.conditions import until
from tests.transcripts.conftest import new_id, posted

Step = Callable[[Sequence[DeliveredEvent]], Awaitable[None]]


class Parts:
    """A handler between a recorder that does as the test says, and a list of what is complete."""

    def __init__(self) -> None:
        self.complete: list[tuple[int, Unstored | None]] = []
        self.recorded: list[int] = []
        self.requeued: list[object] = []
        self.store: Step = self.nothing
        self.publish: Step = self.nothing
        subscription = SimpleNamespace(complete=self.completed, queue_age=Waiting("test"))
        recorder = SimpleNamespace(record=self.record, requeue_singly=self.requeue_singly)
        self.handler = BatchHandler(cast(Recorder, recorder), Batcher(), cast(Subscription, subscription))

    async def nothing(self, batch: Sequence[DeliveredEvent]) -> None:
        pass

    async def completed(self, deliveries: Sequence[Delivery]) -> None:
        self.complete += [(delivery.tag, delivery.result) for delivery in deliveries]

    async def requeue_singly(self, events: Sequence[object], traceparent: object) -> None:
        self.requeued += events

    async def record(self, batch: Sequence[DeliveredEvent]) -> asyncio.Task[None]:
        self.recorded.append(len(batch))
        await self.store(batch)

        async def publish() -> None:
            await self.publish(batch)

        return asyncio.create_task(publish())

    async def ended(self, number: int) -> list[tuple[int, Unstored | None]]:
        """What is complete, by its tag, as soon as it is so many deliveries."""
        await until(lambda: len(self.complete) >= number, "the deliveries")
        return sorted(self.complete, key=lambda one: one[0])


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> Parts:
    monkeypatch.setattr(message_consumer, "FIRST_DELAY", 0.0)
    return Parts()


def deliveries(number: int) -> list[Delivery]:
    return [Delivery(encode(posted(new_id())), tag) for tag in range(1, number + 1)]


def hurts(tag: int) -> Step:
    async def fail(batch: Sequence[DeliveredEvent]) -> None:
        if any(delivered.delivery.tag == tag for delivered in batch):
            raise ValueError("it hurts")

    return fail


async def outage(batch: Sequence[DeliveredEvent]) -> None:
    raise DependencyOutage


async def test_a_batch_is_complete_when_it_is_published(parts: Parts) -> None:
    confirmed = asyncio.Event()

    async def confirm(batch: Sequence[DeliveredEvent]) -> None:
        await confirmed.wait()

    parts.publish = confirm
    await parts.handler.handle(deliveries(3))
    assert parts.handler.at_work
    assert not parts.complete
    confirmed.set()
    assert await parts.ended(3) == [(1, None), (2, None), (3, None)]
    await until(lambda: not parts.handler.at_work, "the end")
    assert parts.recorded == [3]


async def test_an_event_that_cannot_be_recorded_fails_alone(parts: Parts) -> None:
    parts.store = hurts(2)
    await parts.handler.handle(deliveries(3))
    assert await parts.ended(3) == [(1, None), (2, FAILED), (3, None)]
    assert parts.recorded == [3, 1, 1, 1]


async def test_an_event_that_cannot_be_published_fails_alone(parts: Parts) -> None:
    parts.publish = hurts(2)
    await parts.handler.handle(deliveries(3))
    assert await parts.ended(3) == [(1, None), (2, FAILED), (3, None)]


async def test_what_cannot_be_decoded_is_poison_and_stops_no_other(parts: Parts) -> None:
    await parts.handler.handle([*deliveries(1), Delivery(b"not json", 2)])
    assert await parts.ended(2) == [(1, None), (2, POISON)]


async def test_a_poison_event_of_a_batch_is_published_again_alone_and_the_batch_is_acknowledged(parts: Parts) -> None:
    events = [posted(new_id()) for _ in range(3)]

    async def find_poison(batch: Sequence[DeliveredEvent]) -> None:
        batch[1].result = POISON

    parts.store = find_poison
    await parts.handler.handle([Delivery(encode(MessagesPosted(posted=events, traces=[])), 1)])
    assert await parts.ended(1) == [(1, None)]
    assert parts.requeued == [events[1]]


async def test_redelivered_events_are_recorded_one_by_one_before_the_others(parts: Parts) -> None:
    batch = deliveries(4)
    batch[1].redelivered = batch[3].redelivered = True
    await parts.handler.handle(batch)
    assert [one for one, _ in await parts.ended(4)] == [1, 2, 3, 4]
    assert parts.recorded == [1, 1, 2]


async def test_an_outage_while_a_batch_is_stored_ends_the_handling(parts: Parts) -> None:
    parts.store = outage
    with pytest.raises(DependencyOutage):
        await parts.handler.handle(deliveries(2))
    assert not parts.handler.at_work
    assert not parts.complete, "all of it is delivered again"


async def test_an_outage_while_a_batch_is_published_is_seen_without_a_next_batch(parts: Parts) -> None:
    parts.publish = outage
    await parts.handler.handle(deliveries(2))
    with pytest.raises(DependencyOutage):
        await parts.handler.watch()
    await parts.handler.stop()
    assert not parts.complete, "all of it is delivered again"
    parts.publish = parts.nothing
    watching = asyncio.create_task(parts.handler.watch())
    await parts.handler.handle(deliveries(2))
    assert await parts.ended(2) == [(1, None), (2, None)]
    assert not watching.done(), "a new beginning"
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
