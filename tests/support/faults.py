"""What a test does to a running system: ends, stops and continues its processes, and looks at what that left behind."""

import asyncio
import contextlib
import json
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aio_pika

from deploy.local import rabbitmq
from tests.support.servers import PATIENCE, START_SECONDS, System, wait_for

SERVICES = ("gateway", "presence", "routing", "transcripts")


def strike(system: System, *names: str, number: int = signal.SIGKILL) -> dict[str, int]:
    """Sends the signal to each of these processes, and returns at once with their ids."""
    wait_for(lambda: set(names) <= system.pids().keys(), f"{names} to run")
    pids = {name: pid for name, pid in system.pids().items() if name in names}
    for pid in pids.values():
        os.kill(pid, number)
    return pids


async def replaced(system: System, old: dict[str, int], wait: float = START_SECONDS) -> None:
    """Returns when the runner has started each of these processes again."""
    await asyncio.to_thread(
        wait_for, lambda: all(system.pids().get(n, pid) != pid for n, pid in old.items()), f"{list(old)} again", wait
    )


async def ready(system: System, *names: str) -> None:
    """Returns when these services, or all four, are ready and all that they depend on is there."""
    await asyncio.to_thread(system.wait_ready, *names)


def freeze(pid: int) -> None:
    """Stop a process until it gets SIGCONT. Returns when none of its threads runs any more.

    The signal reaches one thread, and on a busy machine the others go on for a moment.
    """
    os.kill(pid, signal.SIGSTOP)
    wait_for(lambda: _is_frozen(pid), f"process {pid} to stop", PATIENCE)


def _is_frozen(pid: int) -> bool:
    states = []
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(OSError):  # a thread that has ended
            states.append((thread / "stat").read_text().rpartition(")")[2].split()[0])
    return set(states) <= {"T", "Z"}


@contextlib.asynccontextmanager
async def stopped(system: System, name: str) -> AsyncIterator[None]:
    """The process stands still while the context is open: alive to the kernel, and deaf."""
    pid = system.pids()[name]
    await asyncio.to_thread(freeze, pid)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):  # the runner kills a service that answers nobody for 15 s
            os.kill(pid, signal.SIGCONT)


def probe(system: System, name: str, path: str) -> int:
    """The status with which a service answers, 0 when it does not."""
    try:
        with urllib.request.urlopen(system.url(name) + path, timeout=PATIENCE) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code
    except OSError:
        return 0


async def until_missed(system: System, names: tuple[str, ...], check: str, wait: float = PATIENCE) -> float:
    """Seconds until each of these services says that `check` fails, in an answer of 200: it stays ready."""
    began = time.monotonic()

    def missed(name: str) -> bool:
        return system.checks(name).get(check, "ok") != "ok" and probe(system, name, "/readyz") == 200

    for name in names:
        await asyncio.to_thread(wait_for, partial(missed, name), f"{name} without its {check}", wait)
    return time.monotonic() - began


async def dead_letters(system: System) -> dict[str, int]:
    """How many messages lie in each service's dead-letter queue."""
    home = system.data_dir
    port = json.loads((home / "ports.json").read_text())["broker"]
    password = (home / "broker" / "password").read_text()
    connection = await aio_pika.connect(f"amqp://{rabbitmq.USER}:{password}@127.0.0.1:{port}/")
    async with connection:
        channel = await connection.channel()
        counts = {}
        for name in ("presence", "routing", "transcripts"):
            queue = await channel.declare_queue(f"{name}.dead-letters", passive=True)
            counts[name] = queue.declaration_result.message_count or 0
        return counts


async def broker_speaks(system: System, wait: float = START_SECONDS) -> None:
    """Returns when the broker speaks AMQP."""
    port = json.loads((system.data_dir / "ports.json").read_text())["broker"]
    async with asyncio.timeout(wait):
        while await rabbitmq.amqp_answers(port) is not None:
            await asyncio.sleep(0.05)
