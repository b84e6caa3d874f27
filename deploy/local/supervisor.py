"""Supervisor that keeps programs running, and stops them in order."""

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from deploy.local import processes
from deploy.local.log_format import exit_status, gist
from deploy.local.processes import Program
from deploy.local.settings import EX_CONFIG, Refusal

RESTART_DELAYS = (0.0, 0.0, 0.1, 0.3, 0.7, 1.2)
LIVED_LONG = 10.0
POLL_SECONDS = 0.1
LAST_LINES_SECONDS = 1.0  # in which the last output of an ended process is read; other processes may hold it open
LOOK_EVERY, HANGS_AFTER = 1.0, 5  # seconds between checks; killed when silent so often in a row (2 s each): 15 s
Show = Callable[[str, str], None]


def restart_delay(quick_deaths: int) -> float:
    """Return the seconds before a restart: 0 at first, longer after each quick end in a row, at most 1.2."""
    return RESTART_DELAYS[min(quick_deaths, len(RESTART_DELAYS) - 1)]


class Supervisor:
    """The programs of one run.

    `show` takes a name and a line for the terminal; `records` is the file of process ids.
    """

    def __init__(self, programs: Sequence[Program], show: Show, records: Path) -> None:
        self.programs = programs
        self.refused: asyncio.Future[Refusal] = asyncio.get_running_loop().create_future()
        self._show = show
        self._records = records
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._was_ready: set[str] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    def start(self) -> None:
        """Start every program, and restart each one that ends, until `stop`."""
        for program in self.programs:
            keeper = asyncio.create_task(self._keep(program), name=f"keep {program.name}")
            keeper.add_done_callback(self._keeper_ended)
            self._keepers.append(keeper)

    async def until_ready(self, show_after: float = 15.0) -> None:
        """Wait until every program is ready. Show at intervals of `show_after` seconds what is not ready yet."""
        waiting = {program.name: "not started yet" for program in self.programs}
        shown = time.monotonic()
        while waiting:
            for program in [program for program in self.programs if program.name in waiting]:
                reason = await program.ready() if program.name in self._running else "not running"
                if reason is None:
                    del waiting[program.name]
                    self._was_ready.add(program.name)
                else:
                    waiting[program.name] = reason
            if waiting and time.monotonic() - shown > show_after:
                shown = time.monotonic()
                for name, reason in waiting.items():
                    self._show(name, f"not ready yet: {reason}")
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self) -> None:
        """End all programs: the services first, each with time to drain, then their dependencies."""
        self._stopping.set()
        for stage in sorted({program.stage for program in self.programs}, reverse=True):
            members = [program for program in self.programs if program.stage == stage]
            await asyncio.gather(*(self._end(program) for program in members))
        await asyncio.gather(*self._keepers, return_exceptions=True)

    def kill(self) -> None:
        """End everything at once, for an operator who does not wait; `stop` then returns."""
        for process in self._running.values():
            processes.signal_group(process.pid, signal.SIGKILL)

    async def _keep(self, program: Program) -> None:
        quick_deaths = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            status, last_line = await self._run(program)
            if self._stopping.is_set():
                return
            if status == EX_CONFIG and program.name not in self._was_ready:
                self._refuse(Refusal(f"{program.name} does not accept its settings: {gist(last_line)}", EX_CONFIG))
                return
            quick_deaths = 0 if time.monotonic() - began > LIVED_LONG else quick_deaths + 1
            where = f" (its log: {program.log})" if program.log else ""
            self._show("runner", f"{program.name} {exit_status(status)}: starting it again{where}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), restart_delay(quick_deaths))

    async def _run(self, program: Program) -> tuple[int, str]:
        """Run a program once. Return its exit status and the last line of its output."""
        process = processes.start(program)
        self._running[program.name] = process
        self._record()
        last = ""

        def take(line: str) -> None:
            nonlocal last
            last = line or last
            self._show(program.name, line)

        reading = asyncio.create_task(processes.read_lines(process.stdout, take)) if process.stdout else None
        watching = asyncio.create_task(self._kill_when_it_hangs(program, process.pid))
        status = await processes.ended(process)
        watching.cancel()
        processes.signal_group(process.pid, signal.SIGKILL)  # its own child processes end too
        del self._running[program.name]
        self._record()
        if reading:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(reading, LAST_LINES_SECONDS)
        return status, last

    async def _kill_when_it_hangs(self, program: Program, pid: int) -> None:
        """Kill a process that accepts connections and does not answer; it is then started again."""
        silences = 0
        while program.silent and silences < HANGS_AFTER:
            await asyncio.sleep(LOOK_EVERY)
            silences = silences + 1 if await program.silent() else 0
        if program.silent:
            self._show("runner", f"{program.name} lives but has not answered for some time: it is killed")
            processes.signal_group(pid, signal.SIGKILL)

    async def _end(self, program: Program) -> None:
        process = self._running.get(program.name)
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(processes.ended(process), program.patience)
        except TimeoutError:
            self._show("runner", f"{program.name} did not stop within {program.patience:.0f} s and was killed")
            processes.signal_group(process.pid, signal.SIGKILL)
            await processes.ended(process)

    def _keeper_ended(self, keeper: "asyncio.Task[None]") -> None:
        """End the run when a program cannot be started (no such file, no memory), which nothing else would report."""
        if not keeper.cancelled() and (error := keeper.exception()):
            self._refuse(Refusal(f"{keeper.get_name().removeprefix('keep ')} could not be started: {error}"))

    def _refuse(self, refusal: Refusal) -> None:
        if not self.refused.done():
            self.refused.set_result(refusal)

    def _record(self) -> None:
        running = {name: process.pid for name, process in self._running.items()}
        processes.record(self._records, running, {program.name: program.port for program in self.programs})
