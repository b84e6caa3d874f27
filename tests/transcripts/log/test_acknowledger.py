"""Mirrors services/transcripts/log/delivery.py: what is acknowledged together, and when."""

from typing import cast

import aiormq
import pytest

from services.common.messaging.errors import UnknownErrors
from services.transcripts.log.delivery import Acknowledger, Delivery
from services.transcripts.log.sequencing import FAILED, POISON, Unstored
from tests.support.conditions import until


class Channel:
    """Records its calls, in their order; a stand-in, since a broker does not say how many frames it got."""

    def __init__(self) -> None:
        self.frames: list[tuple[str, int, bool]] = []
        self.lost, self.attempts = False, 0

    async def basic_ack(self, tag: int, multiple: bool = False, wait: bool = True) -> None:
        self._write("ack", tag, multiple)

    async def basic_reject(self, tag: int, requeue: bool, wait: bool) -> None:
        self._write("reject", tag, requeue)

    def _write(self, kind: str, tag: int, flag: bool) -> None:
        self.attempts += 1
        if self.lost:
            raise aiormq.exceptions.ChannelInvalidStateError
        self.frames.append((kind, tag, flag))

    def delivery(self, tag: int, result: Unstored | None = None) -> Delivery:
        return Delivery(b"", tag, self, result=result)


@pytest.fixture
def channel() -> Channel:
    return Channel()


@pytest.fixture
def acknowledger(channel: Channel) -> Acknowledger:
    made = Acknowledger(cast(aiormq.Channel, channel), UnknownErrors("test"))
    for tag in range(1, 10):
        made.delivered(tag)
    return made


async def test_what_is_done_shortly_after_each_other_is_acknowledged_in_one_frame(
    acknowledger: Acknowledger, channel: Channel
) -> None:
    for tag in (2, 1, 3):
        assert len(await acknowledger.complete([channel.delivery(tag)], at_once=False)) == 1
    assert not channel.frames, "they wait for company"
    await until(lambda: channel.frames, "the acknowledgement")
    assert channel.frames == [("ack", 3, True)]
    await acknowledger.complete([channel.delivery(4)], at_once=False)
    await until(lambda: len(channel.frames) > 1, "the next acknowledgement")
    assert channel.frames[1:] == [("ack", 4, True)], "and so on"


async def test_what_is_open_is_not_acknowledged_with_its_neighbours(
    acknowledger: Acknowledger, channel: Channel
) -> None:
    await acknowledger.complete([channel.delivery(1), channel.delivery(2), channel.delivery(5)], at_once=True)
    assert channel.frames == [("ack", 2, True), ("ack", 5, False)]
    await acknowledger.complete([channel.delivery(3), channel.delivery(4)], at_once=True)
    assert channel.frames[2:] == [("ack", 4, True)]


async def test_poison_is_rejected_at_once_and_nothing_waits_after_the_end(
    acknowledger: Acknowledger, channel: Channel
) -> None:
    await acknowledger.complete([channel.delivery(1), channel.delivery(2, POISON)], at_once=False)
    assert channel.frames == [("reject", 2, False)]
    await acknowledger.acknowledge()
    assert channel.frames[1:] == [("ack", 1, True)]
    await acknowledger.complete([channel.delivery(5)], at_once=False)
    await until(lambda: len(channel.frames) > 2, "the next acknowledgement")
    assert channel.frames[2:] == [("ack", 5, False)], "nothing is acknowledged twice"


async def test_what_has_failed_is_requeued_and_does_not_count_as_handled(
    acknowledger: Acknowledger, channel: Channel
) -> None:
    handled = await acknowledger.complete([channel.delivery(1, FAILED), channel.delivery(2)], at_once=True)
    assert channel.frames == [("reject", 1, True), ("ack", 2, True)]
    assert [delivery.tag for delivery in handled] == [2]


async def test_a_lost_channel_acknowledges_nothing_and_breaks_nothing(
    acknowledger: Acknowledger, channel: Channel
) -> None:
    await acknowledger.complete([channel.delivery(1)], at_once=False)
    channel.lost = True
    assert await acknowledger.complete([channel.delivery(2, POISON)], at_once=False) == []
    await until(lambda: channel.attempts == 2, "the attempts to reject and to acknowledge")
    assert not channel.frames
    other = Channel().delivery(3)
    assert await acknowledger.complete([other], at_once=True) == [], "of another channel"
