"""`background_tasks.py`: work that nobody awaits ends, and what fails in it is logged without its words."""

import asyncio

from structlog.testing import capture_logs

from services.gateway.background_tasks import Tasks
from services.gateway.websocket.connection import MOST_TASKS
from tests.gateway.making import citizen
from tests.support.servers import PATIENCE


async def test_work_that_fails_is_logged_and_forgotten() -> None:
    tasks = Tasks()

    async def fail() -> None:
        raise ValueError

    with capture_logs() as logs:
        await asyncio.gather(tasks.start(fail()), return_exceptions=True)
        await asyncio.sleep(0)
    assert [line["event"] for line in logs] == ["work_failed"]
    assert tasks.idle


async def test_settle_waits_and_then_cancels_what_is_left() -> None:
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
    tasks, go = Tasks(), asyncio.Event()
    one, other = citizen().connection, citizen().connection

    async def work() -> None:
        await go.wait()

    assert [tasks.start_for(one, work()) for _ in range(MOST_TASKS + 1)] == [True] * MOST_TASKS + [False]
    assert tasks.start_for(other, work())
    go.set()
    await tasks.settle(PATIENCE)
    await asyncio.sleep(0)
    for connection in (one, other):  # all that has ended frees its place
        assert [tasks.start_for(connection, work()) for _ in range(MOST_TASKS)] == [True] * MOST_TASKS
    await tasks.settle(PATIENCE)
