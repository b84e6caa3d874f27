"""`services/common/runtime/service.py` and `logging.py`: a service as a process of its own, and its three addresses."""

import asyncio
import contextlib
import io
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from fastapi import Request

from services.common.config.settings import Settings
from services.common.config.toml_file import ConfigurationError
from services.common.http.tokens import Actor
from services.common.runtime import service as runtime_service
from services.common.runtime.service import Service, caller
from tests.support.http_server import served
from tests.support.programs.service_process import SECRET, Start
from tests.support.servers import PATIENCE


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_zero_after_the_drain(start: Start, tmp_path: Path, number: int) -> None:
    process = start(DRAIN_UNTIL=str(tmp_path / "drained"))
    process.wait_until_it_lives()
    process.process.send_signal(number)
    process.wait_until_it_says("in_drain")
    assert process.lives()
    (tmp_path / "drained").touch()
    assert process.status() == 0
    events = [line["event"] for line in process.lines()]
    order = [events.index(e) for e in ("service_started", "draining", "in_drain", "closed", "service_stopped")]
    assert order == sorted(order)
    assert process.line("in_drain")["draining"] is True


def test_while_it_drains_it_is_not_ready(start: Start, tmp_path: Path) -> None:
    process = start(DRAIN_UNTIL=str(tmp_path / "drained"))
    process.wait_until_it_lives()
    assert process.get("/readyz")[0] == 200
    process.process.send_signal(signal.SIGTERM)
    process.wait_until_it_says("in_drain")
    status, body = process.get("/readyz")
    assert status == 503
    assert json.loads(body)["checks"]["draining"] == "yes"
    (tmp_path / "drained").touch()
    assert process.status() == 0


def test_a_drain_that_fails_still_ends_with_zero(start: Start) -> None:
    process = start(DRAIN_FAILS="yes")
    process.wait_until_it_lives()
    assert process.end() == 0
    assert process.line("drain_failed")["level"] == "error"


@pytest.mark.parametrize("task", ["ends", "fails", "cancelled"])
def test_a_background_task_that_ends_takes_the_process_with_it(start: Start, tmp_path: Path, task: str) -> None:
    process = start(TASK=task, TASK_WHEN=str(tmp_path / "now"))
    process.wait_until_it_lives()
    (tmp_path / "now").touch()
    assert process.status() == 70
    given = {"ends": "background_task_ended", "fails": "background_task_failed"}.get(task)
    assert given is None or process.line(given)["task"] == "task"


def test_every_line_is_json_with_the_service_and_the_trace(start: Start) -> None:
    process = start()
    process.wait_until_it_lives()
    process.end()
    assert all(line["service"] == "routing" and line["level"] and line["timestamp"] for line in process.lines())
    working = process.line("working")
    assert (working["trace_id"], working["chat_id"]) == ("4bf92f3577b34da6a3ce929d0e0e4736", "chat-1")
    assert working["number"] == 7
    assert process.err.read_text() == ""


def test_an_error_is_logged_with_its_place_and_never_with_its_text(start: Start) -> None:
    process = start()
    process.wait_until_it_lives()
    status, body = process.get("/fails")
    assert (status, json.loads(body)["code"]) == (500, "unexpected")
    process.get("/loses")
    process.wait_until_it_says("unhandled_in_loop")
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
def test_a_wrong_setting_ends_it_with_78_and_one_line_that_names_it(start: Start, name: str, value: str) -> None:
    process = start(**{name: value})
    assert process.status() == 78
    (line,) = process.err.read_text().splitlines()
    assert line.startswith(f"routing: {name}: ")
    assert "private" not in line or name == "OFFICE_HOURS", "only opening hours, which are public, are quoted"
    assert process.out.read_text() == ""


@pytest.mark.parametrize(("soft", "hard", "then"), [(256, 2_000, 2_000), (500, 500, 500)])
def test_connections_never_take_the_files_that_the_process_needs_itself(soft: int, hard: int, then: int) -> None:
    """A shell's soft limit is often 1,024: connections of one address alone would fill it."""
    asked = (
        f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))\n"
        "from services.common.runtime.service import OWN_FILES, bounds_of, raise_file_limit\n"
        "from services.gateway.settings import Settings\n"
        "secret = 'a secret for tests alone'\n"
        "most = [bounds_of(Settings(token_secret=secret, connections_most=n)).most for n in (0, 50, 20_000)]\n"
        "print(resource.getrlimit(resource.RLIMIT_NOFILE), raise_file_limit() - OWN_FILES, most)\n"
    )
    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=PATIENCE)
    free = then - runtime_service.OWN_FILES
    assert said.stdout.strip() == f"({then}, {hard}) {free} {[free, 50, free]}"


def test_without_a_secret_it_does_not_start(start: Start) -> None:
    process = start(TOKEN_SECRET="")
    assert process.status() == 78
    assert process.err.read_text().startswith("routing: TOKEN_SECRET: ")


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
    monkeypatch.setattr(runtime_service, "CHECK_LIMIT", 0.1)

    async def hangs() -> bool:
        await asyncio.Event().wait()
        return True

    async def fails() -> bool:
        raise ConnectionError("refused")

    service.check("hangs", hangs)
    service.check("fails", fails)
    assert await service.readiness() == {"hangs": "TimeoutError", "fails": "ConnectionError"}


async def test_a_lost_dependency_is_reported_and_counted_and_keeps_the_replica_ready(service: Service) -> None:
    there, absent = asyncio.Event(), asyncio.Event()
    service.depend("database", there.is_set, absent.is_set)
    async with served(service.app) as client:

        async def ask() -> tuple[int, str, str]:
            answer = await client.get("/readyz")
            body = await answer.json()
            return answer.status, body["status"], body["checks"]["database"]

        async def counted() -> str:
            text = await (await client.get("/metrics")).text()
            return next(line for line in text.splitlines() if line.startswith('eloket_dependency_up{dependency="data'))

        assert await ask() == (503, "not_ready", "not_yet"), "a new replica has never worked"
        absent.set()
        assert await ask() == (200, "degraded", "not_yet"), "what is away for all keeps none out"
        absent.clear()
        there.set()
        assert await ask() == (200, "ok", "ok")
        assert await counted() == 'eloket_dependency_up{dependency="database"} 1.0'
        there.clear()
        assert await ask() == (200, "degraded", "not_yet")
        assert await counted() == 'eloket_dependency_up{dependency="database"} 0.0'
        service.draining = True
        assert (await ask())[:2] == (503, "not_ready")


async def test_nothing_is_answered_or_done_before_what_it_begins_with(service: Service) -> None:
    gate, done = asyncio.Event(), list[str]()

    async def work(name: str) -> None:
        done.append(name)
        await asyncio.Event().wait()

    @service.app.post("/work")
    async def answer() -> str:
        return "done"

    service.background("late", lambda: work("late"))
    service.background("early", lambda: work("early"), early=True)
    service.begin_with("departments", gate.wait)  # type: ignore[arg-type]
    async with served(service.app) as client:
        refused = await client.post("/work")
        assert (refused.status, (await refused.json())["code"]) == (503, "unavailable")
        assert (await client.get("/healthz")).status == 200
        ready = await client.get("/readyz")
        assert (ready.status, (await ready.json())["checks"]["departments"]) == (503, "not_yet")
        assert done == ["early"]
        gate.set()
        async with asyncio.timeout(PATIENCE):
            while "late" not in done:
                await asyncio.sleep(0.01)
        assert (await client.get("/readyz")).status == 200
        assert (await client.post("/work")).status == 200


@pytest.mark.parametrize("error", [ConfigurationError("it is wrong"), ValueError()])
async def test_what_it_begins_with_ends_it_when_it_fails(service: Service, error: Exception) -> None:
    async def first() -> None:
        raise error

    service.begin_with("departments", first)
    async with served(service.app):
        await asyncio.wait_for(service.failed.wait(), PATIENCE)
    assert service.status == (78 if isinstance(error, ConfigurationError) else 70)


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
        await asyncio.wait_for(service.failed.wait(), PATIENCE)
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
    monkeypatch.setattr(runtime_service, "DRAIN_LIMIT", 0.2)

    async def hangs() -> None:
        await asyncio.Event().wait()

    service.on_drain(hangs)
    async with asyncio.timeout(PATIENCE):
        await service.drain()
    assert (await service.readiness())["draining"] == "yes"


async def test_only_a_service_token_opens_what_is_for_services(service: Service) -> None:
    @service.app.post("/internal/whoami")
    async def whoami(request: Request) -> dict[str, str]:
        actor = caller(request).acting()
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


async def test_a_body_is_bounded_before_its_sender_is_authenticated(service: Service) -> None:
    @service.app.post("/internal/echo")
    async def echo(request: Request, sent: dict[str, str]) -> dict[str, str]:
        caller(request)
        return sent

    came = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal came
        yield b'{"a": "'
        while came < 64 * runtime_service.MOST_BODY:
            came += 65_536
            yield b"a" * 65_536

    token = {"Authorization": f"Bearer {service.keys.service_token('gateway')}", "Content-Type": "application/json"}
    async with served(service.app) as client:
        answer = await client.post("/internal/echo", headers=token, json={"a": "b" * 900_000})
        assert answer.status == 200
        with contextlib.suppress(aiohttp.ClientConnectionError):
            assert (await client.post("/internal/echo", data=endless(), headers=token)).status == 413
        answer = await client.post(
            "/internal/echo", data=io.BytesIO(b"a" * 2 * runtime_service.MOST_BODY), headers=token
        )
        assert answer.status == 413
