"""Processes that cannot outlive the runner: start them, read them, end them, and end those of an earlier run."""

import asyncio
import contextlib
import ctypes
import json
import os
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, BinaryIO

LONGEST_LINE = 256 * 1024
LARGEST_LOG = 10 * 1024 * 1024
FRUGAL = {
    "MALLOC_ARENA_MAX": "1",  # not one for each thread: the database has a thread for each connection, 12 MB
    "MALLOC_MMAP_THRESHOLD_": "1048576",  # larger blocks are returned at once, as the 19 MiB of a password hash
    "MALLOC_TRIM_THRESHOLD_": "1048576",
}
"""Memory settings of the C library for Python processes.

One arena is enough, because a thread holds the interpreter's lock while it allocates.
"""
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Program:
    """A process to keep alive.

    Attributes:
        name: Its name.
        argv: Its command.
        env: Its environment.
        cwd: Its working directory.
        ready: Returns None when it can do its work, else why not.
        stage: Programs of a higher stage are stopped first.
        patience: Seconds between SIGTERM and SIGKILL.
        log: The file of its output; None: its output goes to the terminal line by line.
        port: The HTTP port of this process only, not shared with replicas.
        silent: Returns True when it accepts a request and does not answer it.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    ready: Callable[[], Awaitable[str | None]]
    stage: int
    patience: float
    log: Path | None = None
    port: int | None = None
    silent: Callable[[], Awaitable[bool]] | None = None


def start(program: Program) -> "subprocess.Popen[bytes]":
    """Start the program in a session of its own, so that a Ctrl-C or a signal to the group reaches only the runner.

    The kernel sends it SIGTERM when the runner ends in any way, SIGKILL included. Call this from the main thread: the
    kernel watches the thread that forks.
    """
    runner = os.getpid()

    def leash() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != runner:  # the runner ended before the signal was set up
            os._exit(1)

    with contextlib.ExitStack() as stack:
        output = subprocess.PIPE if program.log is None else stack.enter_context(_open_log(program.log))
        return subprocess.Popen(
            program.argv,
            env=program.env,
            cwd=program.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=leash,
        )


async def ended(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the end of the process itself, even if its output is still open.

    Return its status, negative for a signal.
    """
    loop = asyncio.get_running_loop()
    if process.poll() is None:
        ended = asyncio.Event()
        descriptor = os.pidfd_open(process.pid)
        loop.add_reader(descriptor, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
    return process.wait()


async def read_lines(pipe: IO[bytes], take: Callable[[str], None]) -> None:
    """Pass each line to `take` until the end. A line without an end is passed in pieces."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), pipe
    )
    rest = b""
    try:
        while chunk := await reader.read(65_536):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) > LONGEST_LINE:
                lines.append(rest)
                rest = b""
            for line in lines:
                take(line.decode("utf-8", "replace").rstrip("\r"))
    finally:
        transport.close()
        if rest:
            take(rest.decode("utf-8", "replace"))


def signal_group(pid: int, number: int) -> None:
    """Send a signal to a process that the runner started, and to all processes of its session's group."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, number)


def identity(pid: int) -> str | None:
    """Return what distinguishes this process from a later one with the same id: boot and start time.

    None: it has ended.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{boot}:{fields[19]}"


def record(file: Path, running: Mapping[str, int], ports: Mapping[str, int | None]) -> None:
    """Record the running processes, for the next run and for tools that look for a process or its port by name."""
    rows = {name: {"pid": pid, "identity": identity(pid), "port": ports.get(name)} for name, pid in running.items()}
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps(rows, indent=1))
    draft.replace(file)


def end_leftovers(file: Path, patience: float = 10.0) -> list[str]:
    """End the processes of an earlier run that was killed. Return the names of those that were still running."""
    try:
        rows = json.loads(file.read_text())
    except (OSError, ValueError):
        return []
    alive = {name: row["pid"] for name, row in rows.items() if _still_there(row)}
    for pid in alive.values():
        signal_group(pid, signal.SIGTERM)
    deadline = time.monotonic() + patience
    while any(_still_there(rows[name]) for name in alive):
        if time.monotonic() > deadline:
            for pid in alive.values():
                signal_group(pid, signal.SIGKILL)
            deadline += patience
        time.sleep(0.05)
    return list(alive)


def _still_there(row: Mapping[str, object]) -> bool:
    return row["identity"] is not None and identity(int(str(row["pid"]))) == row["identity"]


def _open_log(file: Path) -> BinaryIO:
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.exists() and file.stat().st_size > LARGEST_LOG:
        file.replace(file.with_suffix(".old.log"))
    return file.open("ab")
