"""Worker processes for jobs that may need too much memory or time. Each is limited, and replaced after some jobs.

They are for bytes that are not trusted: a process that grows or hangs is killed, and the service continues. Usage::

    workers = Workers("services.transcripts.attachments.judging:begin", memory=128 * MIB, seconds=5.0)
    try:
        answer = await workers.run(job)      # bytes in, bytes out
    except WorkersBusy: ...                  # too many jobs wait: 429 or 503 with Retry-After
    except NotStarted: ...                   # no process could be started: 503, the job may be tried again
    except JobFailed as failed: ...          # failed.reason: "time", "memory", "ended", or an exception's type name
    await workers.close()                    # with the service; also `service.on_close(workers.close)`

`"module:factory"` names a function without arguments. It is called once in each process, outside a job's time, and
returns the function that does the jobs: `Callable[[bytes], bytes]`. An expected failure (a refused file) is an answer.
The text of an exception never leaves the process, because it may contain what participants wrote.

A worker process is a new interpreter (exec, never a bare fork). It has none of the service's environment, secrets,
sockets and threads: it has two pipes, `/dev/null`, and the right to read files. It cannot write files. It is the first
that a full memory cgroup kills, it has a lower priority, and it ends when the service ends, however that ends. No
process is started before the first job. A process without work for `idle` seconds is ended, which frees its memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
MIB = 1024 * 1024
START_SECONDS = 30.0  # for a child to be ready: on a full machine an interpreter takes seconds
_ROOT = Path(__file__).resolve().parents[3]
_DONE, _FAILED = b"d", b"f"
_LENGTH = 8  # bytes of a frame's length
_NICE = 5


class WorkersBusy(Exception):
    """The maximum number of jobs is waiting."""


class JobFailed(Exception):
    """The job has no answer. `reason`: `time`, `memory`, `ended` (the process died), or an exception's type name."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotStarted(JobFailed):
    """No worker process could be started for the job, for example on a full machine.

    This says nothing about the job.
    """


@dataclass(eq=False, slots=True)
class _Child:
    """A worker process."""

    process: Process
    jobs_left: int
    ending: asyncio.TimerHandle | None = None
    ended: bool = False


class Workers:
    """At most `size` worker processes at a time, each for one job at a time. All methods belong to one event loop."""

    def __init__(
        self,
        factory: str,
        *,
        memory: int,
        seconds: float,
        size: int = 2,
        jobs: int = 50,
        waiting: int = 20,
        idle: float = 300.0,
        answer_bytes: int = 64 * MIB,
    ) -> None:
        """Create a pool without processes.

        Args:
            factory: `"module:factory"`, see the module.
            memory: Bytes of private writable memory of one process (RLIMIT_DATA, see setrlimit(2)); fonts and
                libraries that are mapped do not count.
            seconds: For one job.
            size: Processes at a time.
            jobs: Jobs of one process, which is then replaced.
            waiting: Jobs that may wait beyond those in progress.
            idle: Seconds without work after which a process is ended.
            answer_bytes: Bytes of an answer at most.
        """
        self._factory, self._memory, self._seconds = factory, memory, seconds
        self._jobs, self._idle_seconds, self._answer_bytes = jobs, idle, answer_bytes
        self._size, self._places = size, size + waiting
        self._heavy_places = max(1, size - 1) + waiting // 2
        self._slots, self._heavy_slots = asyncio.Semaphore(size), asyncio.Semaphore(max(1, size - 1))
        self._idle: deque[_Child] = deque()
        self._children: set[_Child] = set()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        self.under_way = self.heavy_under_way = 0

    async def run(self, job: bytes, heavy: bool = False) -> bytes:
        """Return the answer to `job`. Jobs start in the order in which they arrive.

        Args:
            job: The job.
            heavy: It may take long. Such jobs never use all processes at a time (with one process they must), nor
                more than half of the waiting slots. A process is replaced after one, which frees its memory.

        Raises:
            WorkersBusy: Too many jobs wait.
            JobFailed: The job has no answer.
            NotStarted: No process could be started; it may succeed later.
        """
        if self.under_way >= self._places or (heavy and self.heavy_under_way >= self._heavy_places):
            raise WorkersBusy
        self.under_way += 1
        self.heavy_under_way += heavy
        try:
            async with self._heavy_slots if heavy else contextlib.nullcontext(), self._slots, self._child() as child:
                if heavy:
                    child.jobs_left = 0
                return await self._ask(child, job)
        finally:
            self.under_way -= 1
            self.heavy_under_way -= heavy

    async def close(self) -> None:
        """Kill all processes and wait until they have ended. Waiting jobs fail with the reason `ended`."""
        self._closed = True
        for child in list(self._children):
            self._end(child)
        while self._tasks:  # a process that is being started ends itself
            await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(_ended(child) for child in self._children))
        self._children.clear()

    def pids(self) -> list[int]:
        """Return the process ids, for tests and for measurements of memory."""
        return [c.process.pid for c in self._children if c.process.returncode is None]

    @contextlib.asynccontextmanager
    async def _child(self) -> AsyncIterator[_Child]:
        """Provide a process that is ready. After its last job, an exception or a cancellation it is killed."""
        child = self._ready() or await self._start()
        child.jobs_left -= 1
        try:
            yield child
        except BaseException:
            self._end(child)
            raise
        if child.jobs_left > 0:
            self._keep(child)
        else:
            self._end(child)
            if self._alive() < self._size:
                self._later(self._start_spare())

    def _ready(self) -> _Child | None:
        """Return an idle process, the most recently used one first, so that the others may end."""
        while self._idle:
            child = self._idle.pop()
            if child.ending:
                child.ending.cancel()
            if child.process.returncode is None:
                return child
            self._end(child)
        return None

    async def _ask(self, child: _Child, job: bytes) -> bytes:
        process = child.process
        assert process.stdin is not None
        try:
            async with asyncio.timeout(self._seconds):
                process.stdin.write(len(job).to_bytes(_LENGTH, "big"))
                process.stdin.write(job)
                await process.stdin.drain()
                return await self._answer(child)
        except TimeoutError:
            raise JobFailed("time") from None
        except (ConnectionError, asyncio.IncompleteReadError):
            raise JobFailed("ended") from None

    async def _answer(self, child: _Child) -> bytes:
        reader = child.process.stdout
        assert reader is not None
        kind = await reader.readexactly(1)
        length = int.from_bytes(await reader.readexactly(_LENGTH), "big")
        if length > self._answer_bytes:
            raise JobFailed("memory")
        answer = await reader.readexactly(length)
        if kind == _FAILED:
            name = answer.decode()
            raise JobFailed("memory" if name == "MemoryError" else name)
        return answer

    async def _start(self) -> _Child:
        """Start a process and return it when it is ready.

        The start is completed even when the caller is cancelled: asyncio may wait for ever for a process whose start is
        cancelled before its pipes are connected.
        """
        if self._closed:
            raise NotStarted("ended")
        making = self._later(self._spawn())
        try:
            child = await asyncio.shield(making)
        except asyncio.CancelledError:
            making.add_done_callback(self._end_unwanted)
            raise
        except OSError as error:  # no memory, no processes or no descriptors left
            raise NotStarted(type(error).__name__) from error
        try:
            async with asyncio.timeout(START_SECONDS):
                await self._answer(child)
        except TimeoutError:
            self._end(child)
            raise NotStarted("time") from None
        except (ConnectionError, asyncio.IncompleteReadError):
            self._end(child)
            raise NotStarted("ended") from None
        except JobFailed as failed:
            self._end(child)
            raise NotStarted(failed.reason) from failed
        except BaseException:
            self._end(child)
            raise
        return child

    async def _spawn(self) -> _Child:
        arguments = [
            "-B",
            "-m",
            "services.common.runtime.worker_process",
            self._factory,
            str(self._memory),
            str(self._cpu_seconds()),
        ]
        # Arenas and threads that a library creates for each core would count as memory on a large machine.
        environment = {"PYTHONPATH": str(_ROOT), "LC_ALL": "C.UTF-8", "MALLOC_ARENA_MAX": "2", "RAYON_NUM_THREADS": "2"}
        process = await asyncio.create_subprocess_exec(
            sys.executable, *arguments, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment, cwd="/"
        )
        child = _Child(process, self._jobs)
        self._children.add(child)
        if self._closed:
            self._end(child)
        return child

    def _end_unwanted(self, made: asyncio.Task[_Child]) -> None:
        if not made.cancelled() and made.exception() is None:
            self._end(made.result())

    async def _start_spare(self) -> None:
        """Start the successor of a process that was ended. No caller waits for it."""
        with contextlib.suppress(JobFailed):
            self._keep(await self._start())

    def _cpu_seconds(self) -> int:
        return int(START_SECONDS + self._seconds * self._jobs * 2) + 1

    def _alive(self) -> int:
        return sum(not child.ended for child in self._children)

    def _keep(self, child: _Child) -> None:
        if self._closed or self._alive() > self._size:  # a spare that is not needed any more
            self._end(child)
            return
        self._idle.append(child)
        child.ending = asyncio.get_running_loop().call_later(self._idle_seconds, self._end, child)

    def _end(self, child: _Child) -> None:
        child.ended = True
        if child in self._idle:
            self._idle.remove(child)
        if child.ending:
            child.ending.cancel()
        if child.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.process.kill()
        if not self._closed:
            self._later(self._reap(child))

    async def _reap(self, child: _Child) -> None:
        await _ended(child)
        self._children.discard(child)

    def _later(self, work: Coroutine[None, None, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


async def _ended(child: _Child) -> None:
    """Wait for the end of the process, and take the error of its pipe.

    Otherwise asyncio would report that error as unhandled.
    """
    await child.process.wait()
    assert child.process.stdin is not None
    child.process.stdin.close()
    with contextlib.suppress(ConnectionError):
        await child.process.stdin.wait_closed()


# ── the worker process ───────────────────────────────────────────────────────────────────────────────────────────────


def _main(factory: str, memory: int, cpu_seconds: int) -> None:
    """Do jobs from standard input until it ends. Runs in the worker process."""
    import importlib
    import queue
    import signal
    import threading

    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the whole process group; the drain needs its workers
        signal.signal(number, signal.SIG_IGN)
    jobs_from, answers_to = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    _limit(memory, cpu_seconds)
    jobs: queue.SimpleQueue[bytes] = queue.SimpleQueue()

    def read() -> None:
        # In a thread of its own, so that the end of the service is noticed in the middle of a job too.
        while len(head := jobs_from.read(_LENGTH)) == _LENGTH:
            length = int.from_bytes(head, "big")
            try:
                job = jobs_from.read(length)
            except MemoryError:
                os._exit(1)
            if len(job) < length:
                break
            jobs.put(job)
        os._exit(0)

    def answer(kind: bytes, content: bytes) -> None:
        answers_to.write(kind + len(content).to_bytes(_LENGTH, "big"))
        answers_to.write(content)
        answers_to.flush()

    threading.Thread(target=read, daemon=True).start()
    module, _, name = factory.partition(":")
    try:
        work: Callable[[bytes], bytes] = getattr(importlib.import_module(module), name)()
    except BaseException as error:
        answer(_FAILED, type(error).__name__.encode())
        os._exit(1)
    answer(_DONE, b"")
    while True:
        try:
            done = work(jobs.get())
        except BaseException as error:
            answer(_FAILED, type(error).__name__.encode())
        else:
            answer(_DONE, done)
            del done


def _limit(memory: int, cpu_seconds: int) -> None:
    import resource

    os.nice(_NICE)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")
    for limit, most in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
