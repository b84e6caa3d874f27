"""Mirrors services/common/runtime/worker_process.py: real children, which try what they must not."""

import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from services.common.runtime.worker_process import MIB, JobFailed, NotStarted, Workers, WorkersBusy
from tests.support.conditions import until
from tests.support.servers import PATIENCE, ROOT, wait_for

JOBS = "tests.support.programs.worker_jobs:begin"


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers(JOBS, memory=200 * MIB, seconds=60, size=2, jobs=5, waiting=4)
    yield made
    await made.close()


async def pid_of(workers: Workers) -> int:
    return int(await workers.run(b"answer = str(os.getpid()).encode()"))


async def gone(workers: Workers, pid: int) -> None:
    """Returns when this child has ended, and `workers` knows: the system knows it before."""
    await until(lambda: not psutil.pid_exists(pid) and pid not in workers.pids(), "the end of a child")


def touching(path: Path, then: bytes) -> bytes:
    """A job that makes this file, which shows that it has begun, and goes on with `then`."""
    return f"open({str(path)!r}, 'w').close()\n".encode() + then


async def test_jobs_are_answered_by_a_child_that_stays(workers: Workers) -> None:
    assert not workers.pids()
    assert await workers.run(b"answer = b'x' * 5_000_000") == b"x" * 5_000_000
    assert [await pid_of(workers) for _ in range(3)] == workers.pids() * 3
    assert await workers.run(b"answer = b''") == b""
    assert os.getpid() not in workers.pids()


async def test_a_child_is_replaced_after_some_jobs(workers: Workers) -> None:
    first = await pid_of(workers)
    assert {await pid_of(workers) for _ in range(4)} == {first}
    await gone(workers, first)
    assert await pid_of(workers) != first


@pytest.mark.parametrize(
    "job",
    [
        b"answer = b'x' * 300_000_000",  # Python's own allocation
        b"import mmap; m = mmap.mmap(-1, 300_000_000, mmap.MAP_PRIVATE)",  # a library's
        b"l = []\nwhile True: l.append(bytes(1_000_000))",
    ],
)
async def test_too_much_memory_ends_the_job_and_not_the_next(workers: Workers, job: bytes) -> None:
    before = await pid_of(workers)
    with pytest.raises(JobFailed) as failed:
        await workers.run(job)
    assert failed.value.reason in ("memory", "OSError")
    await gone(workers, before)
    assert await pid_of(workers) != before


async def test_too_much_time_ends_the_job_and_not_the_next() -> None:
    workers = Workers(JOBS, memory=200 * MIB, seconds=0.3)
    for job in (b"time.sleep(3600)", b"while True: pass"):
        running = asyncio.create_task(workers.run(job))
        await until(lambda: bool(workers.pids()) or running.done(), "a child for the job")  # noqa: B023 - awaited here
        children = workers.pids()
        with pytest.raises(JobFailed, match="time"):
            await running
        for child in children:
            await gone(workers, child)
    await workers.close()


async def test_a_child_that_dies_is_said_so(workers: Workers) -> None:
    with pytest.raises(JobFailed, match="ended"):
        await workers.run(b"os.kill(os.getpid(), 9)")
    idle = await pid_of(workers)
    os.kill(idle, signal.SIGKILL)
    await gone(workers, idle)
    assert await pid_of(workers) != idle


async def test_a_child_that_dies_while_it_gets_its_job_leaves_no_unhandled_error() -> None:
    errors: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    workers = Workers(JOBS, memory=200 * MIB, seconds=60, size=1)
    for _ in range(2):
        pid = await pid_of(workers)
        os.kill(pid, signal.SIGSTOP)
        job = asyncio.create_task(workers.run(b"answer = b'x' #" + b"x" * 10_000_000))
        await until(lambda: workers.under_way == 1, "the job to be written to its child, whose pipe is full")
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(JobFailed, match="ended"):
            await job
        await gone(workers, pid)
    await workers.close()
    del job
    gc.collect()
    await asyncio.sleep(0)
    assert not errors


async def test_an_exception_is_passed_on_as_its_type_alone(workers: Workers) -> None:
    with pytest.raises(JobFailed) as failed:
        await workers.run(b"raise ValueError('An Peeters wrote')")
    assert str(failed.value) == "ValueError"
    never = Workers("tests.support.programs.worker_jobs:broken", memory=200 * MIB, seconds=60)
    with pytest.raises(NotStarted, match="LookupError"):
        await never.run(b"")
    await never.close()
    assert not never.pids()


async def test_a_machine_that_starts_no_process_says_nothing_of_the_job(
    workers: Workers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("/nowhere/python", "/bin/false"):
        with monkeypatch.context() as patched:
            patched.setattr(sys, "executable", name)
            with pytest.raises(NotStarted):
                await workers.run(b"answer = b'x'")
    assert await workers.run(b"answer = b'x'") == b"x"
    await workers.close()
    with pytest.raises(NotStarted):
        await workers.run(b"answer = b'x'")


async def test_a_child_has_nothing_of_the_service(
    workers: Workers, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TOKEN_SECRET", "a secret that no child needs")
    with socket.create_server(("127.0.0.1", 0)), (tmp_path / "open").open("w"):
        seen = json.loads(
            await workers.run(
                b"fds = [os.readlink(f'/proc/self/fd/{n}') for n in os.listdir('/proc/self/fd')"
                b" if os.path.lexists(f'/proc/self/fd/{n}')]\n"
                b"answer = json.dumps([dict(os.environ), fds, os.nice(0)]).encode()"
            )
        )
    environment, descriptors, nice = seen
    assert not [d for d in descriptors if not d.startswith(("pipe:", "/dev/null", "/proc/"))]
    assert "TOKEN_SECRET" not in environment
    assert nice > 0
    with pytest.raises(JobFailed, match="OSError"):  # it cannot write files
        await workers.run(f"with open({str(tmp_path / 'written')!r}, 'w') as f: f.write('x')".encode())


async def test_so_many_wait_and_no_more(workers: Workers) -> None:
    held = [asyncio.create_task(workers.run(b"")) for _ in range(6)]
    await asyncio.sleep(0)
    with pytest.raises(WorkersBusy):
        await workers.run(b"")
    assert await asyncio.gather(*held) == [b""] * 6
    await until(lambda: len(workers.pids()) <= 2, "the end of a child that is used up")
    assert await workers.run(b"answer = b'again'") == b"again"


async def test_heavy_jobs_leave_a_child_and_waiting_room_to_the_others(workers: Workers, tmp_path: Path) -> None:
    go_on = tmp_path / "go on"
    wait = f"while not os.path.exists({str(go_on)!r}): time.sleep(0.02)".encode()
    heavy = [asyncio.create_task(workers.run(wait, heavy=True)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(WorkersBusy):
        await workers.run(wait, heavy=True)
    assert await workers.run(b"answer = b'light'") == b"light"
    assert not any(h.done() for h in heavy)
    go_on.touch()
    await asyncio.gather(*heavy)
    assert workers.under_way == workers.heavy_under_way == 0


async def test_a_heavy_job_is_the_last_of_its_child(workers: Workers) -> None:
    before = await pid_of(workers)
    assert int(await workers.run(b"answer = str(os.getpid()).encode()", heavy=True)) == before
    await gone(workers, before)
    assert await pid_of(workers) != before


async def test_there_are_never_more_children_than_may_be_after_any_jobs(workers: Workers) -> None:
    for _ in range(4):
        await asyncio.gather(workers.run(b"", heavy=True), workers.run(b""), workers.run(b"", heavy=True))
    await until(lambda: len(workers.pids()) <= 2, "the end of those that are used up")


async def test_who_goes_away_takes_the_job_along(workers: Workers) -> None:
    before = await pid_of(workers)
    job = asyncio.create_task(workers.run(b"time.sleep(3600)"))
    await until(lambda: workers.under_way == 1, "the job to be under way")
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    await gone(workers, before)
    assert workers.under_way == 0


async def test_an_idle_child_ends() -> None:
    workers = Workers(JOBS, memory=200 * MIB, seconds=60, idle=0.05)
    await gone(workers, await pid_of(workers))
    assert await workers.run(b"answer = b'anew'") == b"anew"
    await workers.close()


async def test_closing_ends_children_in_the_middle_of_a_job(tmp_path: Path) -> None:
    workers = Workers(JOBS, memory=200 * MIB, seconds=600)
    job = asyncio.create_task(workers.run(touching(tmp_path / "begun", b"time.sleep(3600)")))
    await until((tmp_path / "begun").exists, "the job to begin")
    pids = workers.pids()
    await workers.close()
    with pytest.raises(JobFailed):
        await job
    assert not any(psutil.pid_exists(pid) for pid in pids)


SERVICE = """
import asyncio, sys, uvloop
from services.common.runtime.worker_process import Workers, MIB
async def main():
    workers = Workers("tests.support.programs.worker_jobs:begin", memory=200 * MIB, seconds=600)
    await workers.run(b"")
    print(workers.pids()[0], flush=True)
    await workers.run({job!r})
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize(
    ("number", "job"), [(signal.SIGKILL, b"while True: pass"), (signal.SIGTERM, b"time.sleep(3600)")]
)
def test_no_child_outlives_its_service(number: signal.Signals, job: bytes, tmp_path: Path) -> None:
    program = SERVICE.format(job=touching(tmp_path / "begun", job))
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE) as service:
        assert service.stdout is not None
        child = int(service.stdout.readline())
        wait_for((tmp_path / "begun").exists, "the job to begin")
        assert psutil.pid_exists(child)
        service.send_signal(number)
        wait_for(lambda: not psutil.pid_exists(child), "the child to end")


async def test_nothing_is_begun_after_the_end_and_no_caller_waits_for_ever() -> None:
    """Jobs that wait for a child, and one whose child is just being made, fail when the service closes."""
    workers = Workers(JOBS, memory=128 * MIB, seconds=30.0, size=1)
    jobs = [asyncio.create_task(workers.run(b"time.sleep(3600)")) for _ in range(4)]
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        await workers.close()
        outcomes = await asyncio.gather(*jobs, return_exceptions=True)
    assert [one.reason for one in outcomes if isinstance(one, JobFailed)] == ["ended"] * 4
    assert workers.pids() == []


async def test_a_child_whose_making_was_cancelled_is_not_left_behind() -> None:
    workers = Workers(JOBS, memory=128 * MIB, seconds=30.0, size=1)
    for turns in range(6):  # cancelled at each point of the making
        job = asyncio.create_task(workers.run(b"1"))
        for _ in range(turns):
            await asyncio.sleep(0)
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
    async with asyncio.timeout(PATIENCE):
        await workers.close()
    assert workers.pids() == []
