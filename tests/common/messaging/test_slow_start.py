"""`services/common/messaging/slow_start.py`: when the next queue may be begun.

Where something is to be noticed soon, the other limit is endless; where nothing may happen yet, the limit is short.
"""

import asyncio
import time

import pytest

from services.common.messaging import slow_start
from services.common.messaging.slow_start import SlowStart
from tests.support.servers import PATIENCE

SHORT, ENDLESS = 0.01, 100 * PATIENCE


@pytest.fixture
def one(monkeypatch: pytest.MonkeyPatch) -> SlowStart:
    """A queue that is quiet soon, and is waited for without end otherwise."""
    monkeypatch.setattr(slow_start, "QUIET", SHORT)
    monkeypatch.setattr(slow_start, "LONGEST", ENDLESS)
    return SlowStart()


async def past(one: SlowStart) -> None:
    async with asyncio.timeout(PATIENCE):
        await one.past()


async def test_a_queue_in_which_nothing_waits_delays_no_other(one: SlowStart) -> None:
    waiting = asyncio.create_task(past(one))
    await asyncio.sleep(5 * SHORT)
    assert not waiting.done(), "it was not begun yet"
    one.begun()
    await waiting


async def test_something_fresh_that_was_done_is_enough(one: SlowStart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_start, "QUIET", ENDLESS)
    one.begun()
    one.took()
    one.done(redelivered=False)
    await past(one)


async def test_what_a_dead_process_had_in_hand_is_done_first(one: SlowStart) -> None:
    one.begun()
    one.took()
    waiting = asyncio.create_task(past(one))
    for _ in range(3):
        await asyncio.sleep(5 * SHORT)
        assert not waiting.done(), "one is in hand"
        one.done(redelivered=True)
        one.took()
    one.done(redelivered=False)
    await waiting


async def test_a_slow_queue_does_not_delay_the_others_for_ever(one: SlowStart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_start, "LONGEST", 0.2)
    one.begun()
    one.took()
    began = time.monotonic()
    await past(one)
    assert time.monotonic() - began > 0.19


async def test_a_link_that_is_lost_has_nothing_in_hand(one: SlowStart) -> None:
    one.begun()
    one.took()
    one.lost()
    await past(one)
