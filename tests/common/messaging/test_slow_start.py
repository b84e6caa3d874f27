"""`services/common/messaging/slow_start.py`: when the next queue may be begun."""

import asyncio
import time

from services.common.messaging.slow_start import LONGEST, QUIET, SlowStart


async def test_a_queue_in_which_nothing_waits_holds_nobody_up() -> None:
    one = SlowStart()
    waiting = asyncio.create_task(one.past())
    await asyncio.sleep(2 * QUIET)
    assert not waiting.done(), "it was not begun yet"
    one.begun()
    async with asyncio.timeout(QUIET * 5):
        await waiting


async def test_something_fresh_that_was_done_is_enough() -> None:
    one = SlowStart()
    one.begun()
    one.took()
    one.done(redelivered=False)
    async with asyncio.timeout(QUIET / 2):
        await one.past()


async def test_what_a_dead_process_had_in_hand_is_done_first() -> None:
    one = SlowStart()
    one.begun()
    one.took()
    waiting = asyncio.create_task(one.past())
    for _ in range(3):
        await asyncio.sleep(2 * QUIET)
        assert not waiting.done(), "one is in hand"
        one.done(redelivered=True)
        one.took()
    one.done(redelivered=False)
    async with asyncio.timeout(QUIET):
        await waiting


async def test_what_takes_long_does_not_hold_the_others_up_for_ever() -> None:
    one = SlowStart()
    one.begun()
    one.took()
    began = time.monotonic()
    await one.past()
    assert time.monotonic() - began > LONGEST - 0.1


async def test_a_link_that_is_lost_has_nothing_in_hand() -> None:
    one = SlowStart()
    one.begun()
    one.took()
    one.lost()
    async with asyncio.timeout(QUIET * 5):
        await one.past()
