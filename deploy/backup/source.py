"""The address of the databases: MONGODB_URL, else the data of `make run`, which must not be running."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from deploy.local import embedded_mongodb, ports, preflight, processes
from deploy.local.processes import Program
from deploy.local.settings import Refusal

START_SECONDS = 30.0


class Refused(Exception):
    """Nothing was done; the exception says why."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.text)


@contextlib.contextmanager
def address(environ: Mapping[str, str], root: Path) -> Iterator[str]:
    """Provide the address of the database server. The embedded one runs for as long as the context is open.

    The embedded server cannot read as of one moment while others write, so it is started for this command only.

    Raises:
        Refused: The address is invalid, or `make run` is running.
    """
    if given := environ.get("MONGODB_URL"):
        if not given.startswith(("mongodb://", "mongodb+srv://")):
            raise Refused(Refusal("MONGODB_URL must begin with mongodb:// or mongodb+srv://"))
        yield given
        return
    home = (root / (environ.get("DATA_DIR") or ".run")).resolve()
    locked = preflight.lock(home)
    if isinstance(locked, Refusal):
        raise Refused(locked)
    with locked:
        processes.end_leftovers(home / "processes.json")
        port = ports.pick()
        program = embedded_mongodb.program(home / "database", port, home / "log" / "database.log")
        with _running(program):
            yield embedded_mongodb.url(port)


@contextlib.contextmanager
def _running(program: Program) -> Iterator[None]:
    process = processes.start(program)
    try:
        asyncio.run(_until_ready(program, process))
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(program.patience)
        processes.signal_group(process.pid, signal.SIGKILL)
        process.wait()


async def _until_ready(program: Program, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while (why := await program.ready()) is not None:
        if process.poll() is not None or time.monotonic() > deadline:
            raise Refused(Refusal(f"the embedded database does not start ({why}): see {program.log}"))
        await asyncio.sleep(0.05)
