"""A service in a process of its own, in which each part can be made to fail."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from deploy.local import ports
from tests.support.servers import OUR_VARIABLES, PATIENCE, ROOT, START_SECONDS, wait_for

SECRET = "sixteen characters or more"
# A service in which each part can be made to fail; its name decides which port is its own. What the test decides by a
# file (READY_WHEN, TASK_WHEN, DRAIN_UNTIL, /pid?until=) waits for that file as long as the test needs.
PROGRAM = """
import asyncio, logging, os, structlog
from services.common.runtime import server as runtime_server, service as runtime_service
from services.common.runtime.service import Service, run
from services.common.mongo.client import open_database
from services.common.config.settings import Settings
from services.common.observability.tracing import begin_trace

log = structlog.get_logger()
PRIVATE = "An Peeters wrote"
runtime_service.DRAIN_LIMIT = runtime_server.JOIN_LIMIT = 600.0

async def there(path):
    while not os.path.exists(path):
        await asyncio.sleep(0.01)

def create_app(settings):
    service = Service("routing", settings)
    open_database(settings, "routing")
    async def forever():
        begin_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", chat_id="chat-1")
        log.info("working", number=7)
        await asyncio.Event().wait()
    async def ends():
        await there(os.environ["TASK_WHEN"])
    async def fails():
        await there(os.environ["TASK_WHEN"])
        raise ValueError(PRIVATE)
    async def cancelled():
        await there(os.environ["TASK_WHEN"])
        raise asyncio.CancelledError
    async def drain():
        log.info("in_drain", draining=service.draining)
        if awaited := os.environ.get("DRAIN_UNTIL"):
            await there(awaited)
        if os.environ.get("DRAIN_FAILS"):
            raise RuntimeError("drain")
    service.background("forever", forever)
    if task := os.environ.get("TASK"):
        service.background("task", {"ends": ends, "fails": fails, "cancelled": cancelled}[task])
    service.on_drain(drain)
    service.on_close(lambda: log.info("closed"))
    if wanted := os.environ.get("READY_WHEN"):
        service.check("file", lambda: os.path.exists(wanted))
    @service.app.get("/pid")
    async def pid(until: str = ""):
        log.info("asked")
        if until:
            await there(until)
        return os.getpid()
    @service.app.get("/fails")
    async def route():
        raise RuntimeError(PRIVATE)
    @service.app.get("/loses")
    async def loses():
        async def lost():
            raise RuntimeError(PRIVATE)
        asyncio.create_task(lost())
        logging.getLogger("library").error("a library failed", exc_info=RuntimeError(PRIVATE))
    return service.app

if __name__ == "__main__":
    run("routing", Settings, create_app)
"""


class Process:
    """A service process, its port and what it has written so far."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.port = int(environment.get("OWN_PORT", ports.pick()))
        self.out, self.err = home / "out", home / "err"
        program = home / "service.py"
        program.write_text(PROGRAM)
        kept = {name: value for name, value in os.environ.items() if name not in OUR_VARIABLES}
        given = {"TOKEN_SECRET": SECRET, "ROUTING_PORT": str(self.port), "PYTHONPATH": str(ROOT), **environment}
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen([sys.executable, program], env=kept | given, stdout=out, stderr=err)

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def lives(self) -> bool:
        with contextlib.suppress(OSError):
            return self.get("/healthz")[0] == 200
        return False

    def wait_until_it_lives(self) -> None:
        wait_for(lambda: self.lives() or self.process.poll() is not None, "the service")
        assert self.process.poll() is None, self.err.read_text()

    def wait_until_it_is_ready(self) -> None:
        self.wait_until_it_lives()
        wait_for(lambda: self.get("/readyz")[0] == 200, "the service to be ready")

    def wait_until_it_says(self, words: str) -> None:
        wait_for(lambda: words in self.out.read_text(), f"{words} in its log")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit status after a signal."""
        self.process.send_signal(number)
        return self.status()

    def status(self) -> int:
        """Its exit status, as soon as it has ended."""
        return self.process.wait(START_SECONDS)

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def line(self, event: str) -> dict[str, Any]:
        return next(line for line in self.lines() if line["event"] == event)


Start = Callable[..., Process]
"""Starts a service with these variables; the fixture `start` ends it."""
