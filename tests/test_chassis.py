"""`services/chassis.py` and `services/logs.py`: a service as a process of its own, and its three addresses."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from fastapi import Request

from deploy.onemachine import ports
from services import chassis
from services.chassis import Service, caller
from services.settings import Settings
from services.tokens import Actor
from tests.real import OUR_VARIABLES, ROOT, wait_for
from tests.serving import served

SECRET = "sixteen characters or more"
# A service in which each part can be made to fail; its name decides which port is its own.
PROGRAM = """
import asyncio, logging, os, structlog
from pydantic import BaseModel
from services.chassis import Service, run
from services.database import open_database
from services.settings import Settings
from services.tracing import begin_trace

log = structlog.get_logger()
PRIVATE = "An Peeters wrote"

def create_app(settings):
    service = Service("routing", settings)
    open_database(settings, "routing")
    async def forever():
        begin_trace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", chat_id="chat-1")
        log.info("working", number=7)
        await asyncio.Event().wait()
    async def ends():
        await asyncio.sleep(0.5)
    async def fails():
        await asyncio.sleep(0.5)
        raise ValueError(PRIVATE)
    async def cancelled():
        await asyncio.sleep(0.5)
        raise asyncio.CancelledError
    async def drain():
        log.info("in_drain", draining=service.draining)
        await asyncio.sleep(float(os.environ.get("DRAIN", "0")))
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
    async def pid(after: float = 0):
        log.info("asked")
        await asyncio.sleep(after)
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
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def lives(self) -> bool:
        with contextlib.suppress(OSError):
            return self.get("/healthz")[0] == 200
        return False

    def wait_until_it_lives(self) -> None:
        wait_for(lambda: self.lives() or self.process.poll() is not None, "the service", 30)
        assert self.process.poll() is None, self.err.read_text()

    def end(self, number: int = signal.SIGTERM) -> tuple[int, float]:
        """Its exit status after a signal, and the seconds that it took."""
        began = time.monotonic()
        self.process.send_signal(number)
        return self.process.wait(30), time.monotonic() - began

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.read_text().splitlines()]

    def line(self, event: str) -> dict[str, Any]:
        return next(line for line in self.lines() if line["event"] == event)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Any]:
    processes: list[Process] = []

    def begin(**environment: str) -> Process:
        home = tmp_path / str(len(processes))
        home.mkdir()
        processes.append(Process(home, **environment))
        return processes[-1]

    yield begin
    for process in processes:
        if process.process.poll() is None:
            process.process.kill()
        process.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_zero_after_the_drain(start: Any, number: int) -> None:
    process = start(DRAIN="0.5")
    process.wait_until_it_lives()
    status, seconds = process.end(number)
    assert status == 0
    assert 0.5 <= seconds < 5
    events = [line["event"] for line in process.lines()]
    order = [events.index(e) for e in ("service_started", "draining", "in_drain", "closed", "service_stopped")]
    assert order == sorted(order)
    assert process.line("in_drain")["draining"] is True


def test_while_it_drains_it_is_not_ready(start: Any) -> None:
    process = start(DRAIN="2")
    process.wait_until_it_lives()
    assert process.get("/readyz")[0] == 200
    process.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "in_drain" in process.out.read_text(), "the drain", 5)
    status, body = process.get("/readyz")
    assert status == 503
    assert json.loads(body)["checks"]["draining"] == "yes"
    assert process.process.wait(10) == 0


def test_a_drain_that_fails_still_ends_with_zero(start: Any) -> None:
    process = start(DRAIN_FAILS="yes")
    process.wait_until_it_lives()
    assert process.end()[0] == 0
    assert process.line("drain_failed")["level"] == "error"


@pytest.mark.parametrize("task", ["ends", "fails", "cancelled"])
def test_a_background_task_that_ends_takes_the_process_with_it(start: Any, task: str) -> None:
    process = start(TASK=task)
    assert process.process.wait(30) == 70
    told = {"ends": "background_task_ended", "fails": "background_task_failed"}.get(task)
    assert told is None or process.line(told)["task"] == "task"


def test_every_line_is_json_with_the_service_and_the_trace(start: Any) -> None:
    process = start()
    process.wait_until_it_lives()
    process.end()
    assert all(line["service"] == "routing" and line["level"] and line["timestamp"] for line in process.lines())
    working = process.line("working")
    assert (working["trace_id"], working["chat_id"]) == ("4bf92f3577b34da6a3ce929d0e0e4736", "chat-1")
    assert working["number"] == 7
    assert process.err.read_text() == ""


def test_an_error_is_logged_with_its_place_and_never_with_its_words(start: Any) -> None:
    process = start()
    process.wait_until_it_lives()
    status, body = process.get("/fails")
    assert (status, json.loads(body)["code"]) == (500, "unexpected")
    process.get("/loses")
    wait_for(lambda: "unhandled_in_loop" in process.out.read_text(), "the lost task", 10)
    process.end()
    assert "Peeters" not in process.out.read_text() + process.err.read_text()
    failed = next(line for line in process.lines() if "in route" in line.get("exception", ""))
    assert failed["exception"].startswith("builtins.RuntimeError\n")
    assert "in lost" in process.line("unhandled_in_loop")["exception"]
    assert process.line("a library failed")["exception"].startswith("builtins.RuntimeError")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("TOKEN_SECRET", "short-private"),
        ("ROUTING_PORT", "private"),
        ("RABBITMQ_URL", "http://user:private@host/"),
        ("MONGODB_URL", "mongodb://user:private@host:port/"),
        ("OFFICE_HOURS", "private"),
        ("LOG_LEVEL", "private"),
    ],
)
def test_a_wrong_setting_ends_it_with_78_and_one_line_that_names_it(start: Any, name: str, value: str) -> None:
    process = start(**{name: value})
    assert process.process.wait(30) == 78
    (line,) = process.err.read_text().splitlines()
    assert line.startswith(f"routing: {name}: ")
    assert "private" not in line or name == "OFFICE_HOURS", "only opening hours, which are public, are quoted"
    assert process.out.read_text() == ""


def test_without_a_secret_it_does_not_start(start: Any) -> None:
    process = start(TOKEN_SECRET="")
    assert process.process.wait(30) == 78
    assert process.err.read_text().startswith("routing: TOKEN_SECRET: ")


def test_a_port_that_is_taken_ends_it_with_an_error(start: Any) -> None:
    one = start()
    one.wait_until_it_lives()
    two = start(ROUTING_PORT=str(one.port))
    assert two.process.wait(30) not in (0, 78)


def shared() -> dict[str, str]:
    """What the replicas of one service are told, save for each one's own port."""
    return {"PORT_SHARED": "on", "ROUTING_PORT": str(ports.pick())}


def own() -> dict[str, str]:
    return {"OWN_PORT": str(ports.pick())}


def who_answers(together: dict[str, str], times: int = 1) -> set[int]:
    """The processes that answer on the shared port, each time over a new connection."""
    url = f"http://127.0.0.1:{together['ROUTING_PORT']}/pid"
    return {int(urllib.request.urlopen(url, timeout=10).read()) for _ in range(times)}


def test_replicas_answer_on_one_port_and_each_on_its_own(start: Any) -> None:
    together = shared()
    pair = [start(**together, **own()) for _ in range(2)]
    for one in pair:
        wait_for(lambda one=one: one.lives() and one.get("/readyz")[0] == 200, "a replica", 30)
        assert one.get("/pid") == (200, str(one.process.pid))
    pids = {one.process.pid for one in pair}
    seen: set[int] = set()
    wait_for(lambda: seen.update(who_answers(together)) or seen == pids, "both to answer", 10)
    pair[0].process.kill()
    pair[0].process.wait(10)
    assert who_answers(together, 20) == {pair[1].process.pid}


def test_a_replica_takes_connections_from_when_it_is_ready(start: Any, tmp_path: Path) -> None:
    together, ready = shared(), tmp_path / "ready"
    one = start(**together, **own(), READY_WHEN=str(ready))
    one.wait_until_it_lives()
    assert json.loads(one.get("/readyz")[1])["checks"] == {"task_forever": "ok", "file": "not_yet", "port": "not_yet"}
    with pytest.raises(OSError, match="refused"):
        who_answers(together)
    two = start(**together, **own())
    wait_for(lambda: two.lives() and two.get("/readyz")[0] == 200, "another, that is ready", 30)
    assert who_answers(together, 20) == {two.process.pid}
    ready.touch()
    wait_for(lambda: one.get("/readyz")[0] == 200, "the replica to be ready", 10)
    two.process.kill()
    two.process.wait(10)
    ready.unlink()  # later it may be unready like any service: it can say so
    assert one.get("/readyz")[0] == 503
    assert who_answers(together) == {one.process.pid}


def test_a_replica_that_drains_finishes_and_leaves_what_is_new_to_the_others(start: Any) -> None:
    together = shared()
    leaving = start(**together, **own(), DRAIN="1.5")
    wait_for(lambda: leaving.lives() and leaving.get("/readyz")[0] == 200, "the first", 30)
    kept = HTTPConnection("127.0.0.1", int(together["ROUTING_PORT"]), timeout=10)
    kept.connect()
    staying = start(**together, **own())
    wait_for(lambda: staying.lives() and staying.get("/readyz")[0] == 200, "the second", 30)
    kept.request("GET", "/pid?after=1")
    wait_for(lambda: "asked" in leaving.out.read_text(), "the question", 10)
    leaving.process.send_signal(signal.SIGTERM)
    wait_for(lambda: "in_drain" in leaving.out.read_text(), "the drain", 5)
    assert who_answers(together, 30) == {staying.process.pid}
    assert leaving.get("/readyz")[0] == 503
    assert int(kept.getresponse().read()) == leaving.process.pid
    kept.close()
    assert leaving.process.wait(10) == 0


def test_a_port_that_another_has_for_itself_cannot_be_shared(start: Any) -> None:
    one = start()
    one.wait_until_it_lives()
    two = start(PORT_SHARED="on", ROUTING_PORT=str(one.port), **own())
    assert two.process.wait(30) not in (0, 78)
    assert two.err.read_text() == f"routing: port {one.port} cannot be shared: Address already in use\n"


@pytest.fixture
def service() -> Service:
    return Service("routing", Settings(token_secret=SECRET))


async def test_healthz_readyz_and_metrics(service: Service) -> None:
    good = asyncio.Event()
    service.check("yes", lambda: True)
    service.check("later", good.is_set)

    async def ask() -> bool:
        return good.is_set()

    service.check("asked", ask)
    async with served(service.app) as client:
        assert (await client.get("/healthz")).status == 200
        answer = await client.get("/readyz")
        assert answer.status == 503
        assert (await answer.json())["checks"] == {"yes": "ok", "later": "not_yet", "asked": "not_yet"}
        good.set()
        answer = await client.get("/readyz")
        assert (answer.status, (await answer.json())["status"]) == (200, "ok")
        metrics = await client.get("/metrics")
        assert metrics.content_type == "text/plain"
        assert "eloket_facts_published_total" in await metrics.text() or "python_info" in await metrics.text()


async def test_a_check_that_fails_or_hangs_is_not_ready(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chassis, "CHECK_LIMIT", 0.1)

    async def hangs() -> bool:
        await asyncio.Event().wait()
        return True

    async def fails() -> bool:
        raise ConnectionError("refused")

    service.check("hangs", hangs)
    service.check("fails", fails)
    assert await service.readiness() == {"hangs": "TimeoutError", "fails": "ConnectionError"}


@pytest.mark.parametrize("end", ["returns", "raises", "is cancelled"])
async def test_a_background_task_that_ends_ends_readiness(service: Service, end: str) -> None:
    gate = asyncio.Event()

    async def task() -> None:
        await gate.wait()
        if end == "raises":
            raise ValueError
        if end == "is cancelled":
            raise asyncio.CancelledError

    service.background("work", task)
    async with served(service.app) as client:
        assert (await (await client.get("/readyz")).json())["checks"] == {"task_work": "ok"}
        gate.set()
        await asyncio.wait_for(service.failed.wait(), 5)
        answer = await client.get("/readyz")
        assert answer.status == 503
        assert (await answer.json())["checks"] == {"task_work": "ended"}


async def test_an_orderly_end_is_no_failure_and_closes_in_reverse_order(service: Service) -> None:
    closed: list[str] = []

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            closed.append("task")

    async def last() -> None:
        closed.append("first registered")

    service.background("forever", forever)
    service.on_close(last)
    service.on_close(lambda: closed.append("second registered"))
    async with served(service.app) as client:
        assert (await client.get("/readyz")).status == 200
    assert closed == ["task", "second registered", "first registered"]
    assert not service.failed.is_set()


async def test_drains_are_bounded_as_a_whole(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chassis, "DRAIN_LIMIT", 0.2)

    async def hangs() -> None:
        await asyncio.Event().wait()

    service.on_drain(hangs)
    began = time.monotonic()
    await service.drain()
    assert time.monotonic() - began < 2
    assert (await service.readiness())["draining"] == "yes"


async def test_only_a_service_token_opens_what_is_for_services(service: Service) -> None:
    @service.app.post("/internal/whoami")
    async def whoami(request: Request) -> dict[str, str]:
        actor = caller(request)
        return {"id": actor.id if actor else ""}

    token = service.keys.service_token("gateway", Actor(party="agent", id="an"))
    refused = ["", "Bearer", "Bearer x", f"Basic {token}", f"Bearer {service.keys.chat_token('x')}"]
    async with served(service.app) as client:
        for header in refused:
            answer = await client.post("/internal/whoami", headers={"Authorization": header})
            assert answer.status == 401
            assert (await answer.json(content_type=None))["code"] == "unauthenticated"
        answer = await client.post("/internal/whoami", headers={"Authorization": f"bearer {token}"})
        assert await answer.json() == {"id": "an"}
