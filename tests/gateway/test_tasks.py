"""`services/gateway/tasks.py`: work that nobody awaits ends, and what fails in it is logged without its words."""

import asyncio

from structlog.testing import capture_logs

from services.gateway.tasks import Tasks


async def test_work_that_fails_is_logged_and_forgotten() -> None:
    tasks = Tasks()

    async def fail() -> None:
        raise ValueError

    with capture_logs() as logs:
        await asyncio.gather(tasks.start(fail()), return_exceptions=True)
        await asyncio.sleep(0)
    assert [line["event"] for line in logs] == ["work_failed"]
    assert not tasks._tasks


async def test_settling_waits_and_then_cancels_what_is_left() -> None:
    tasks, done = Tasks(), list[str]()

    async def work(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        done.append(name)

    quick, slow = tasks.start(work("quick", 0.02)), tasks.start(work("slow", 60))
    await tasks.settle(0.2)
    await asyncio.gather(quick, slow, return_exceptions=True)
    assert done == ["quick"]
    assert slow.cancelled()
    await tasks.settle(0.2)
