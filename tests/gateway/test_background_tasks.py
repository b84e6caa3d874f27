"""`background_tasks.py`: work that nobody awaits ends, and what fails in it is logged without its words."""

import asyncio

from structlog.testing import capture_logs

from services.gateway.background_tasks import MOST_IN_HAND, Tasks
from tests.gateway.making import citizen
from tests.real import PATIENCE


async def test_work_that_fails_is_logged_and_forgotten() -> None:
    tasks = Tasks()

    async def fail() -> None:
        raise ValueError

    with capture_logs() as logs:
        await asyncio.gather(tasks.start(fail()), return_exceptions=True)
        await asyncio.sleep(0)
    assert [line["event"] for line in logs] == ["work_failed"]
    assert tasks.idle


async def test_settling_waits_and_then_cancels_what_is_left() -> None:
    tasks, done = Tasks(), list[str]()

    async def work() -> None:
        await asyncio.sleep(0)
        done.append("quick")

    async def hang() -> None:
        await asyncio.Event().wait()

    quick = tasks.start(work())
    await tasks.settle(PATIENCE)
    assert done == ["quick"]
    slow = tasks.start(hang())
    await tasks.settle(0.01)
    await asyncio.gather(quick, slow, return_exceptions=True)
    assert slow.cancelled()
    await tasks.settle(PATIENCE)


async def test_what_one_connection_has_in_hand_is_bounded() -> None:
    tasks, one, other, go = Tasks(), citizen(), citizen(), asyncio.Event()

    async def work() -> None:
        await go.wait()

    assert [tasks.start_for(one, work()) for _ in range(MOST_IN_HAND + 1)] == [True] * MOST_IN_HAND + [False]
    assert tasks.start_for(other, work())
    go.set()
    await tasks.settle(PATIENCE)
    await asyncio.sleep(0)
    assert (one.in_hand, other.in_hand) == (0, 0)
    assert tasks.start_for(one, work())
    await tasks.settle(PATIENCE)
