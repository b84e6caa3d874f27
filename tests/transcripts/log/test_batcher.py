"""`services/transcripts/log/subscription.py`: which deliveries form a batch."""

import asyncio

from services.transcripts.log.delivery import DeliveredEvent, Delivery
from services.transcripts.log.subscription import Batcher
from tests.transcripts.conftest import new_id, posted


def waiting() -> DeliveredEvent:
    return DeliveredEvent(posted(new_id()), Delivery(b""))


async def test_all_that_has_arrived_is_the_next_batch() -> None:
    batcher, arrived = Batcher(), [Delivery(b"", tag) for tag in range(1, 4)]
    for delivery in arrived:
        batcher.add(delivery)
    assert not batcher.is_empty
    assert await batcher.next() == arrived
    assert batcher.is_empty


async def test_a_batch_is_waited_for() -> None:
    batcher = Batcher()
    batch = asyncio.create_task(batcher.next())
    await asyncio.sleep(0)
    assert not batch.done()
    batcher.add(delivery := Delivery(b"", 1))
    assert await batch == [delivery]


async def test_events_that_wait_for_their_chat_are_tried_again_without_a_new_delivery() -> None:
    batcher, one = Batcher(), waiting()
    batcher.retry_later([one])
    assert await batcher.next() == []
    assert batcher.waiting_for_chat == 1
    assert batcher.take_waiting() == [one]
    assert batcher.waiting_for_chat == 0


async def test_nothing_of_a_lost_channel_is_kept() -> None:
    batcher = Batcher()
    batcher.add(Delivery(b"", 1))
    batcher.retry_later([waiting()])
    batcher.clear()
    assert batcher.is_empty
    assert batcher.waiting_for_chat == 0
