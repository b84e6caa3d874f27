"""The supervisor of `make run`."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local import processes
from deploy.local import supervisor as supervisor_module
from deploy.local.processes import Program
from deploy.local.supervisor import Supervisor, restart_delay
from tests.support.servers import PATIENCE

SLEEP = "import time; print('up', flush=True); time.sleep(3600)"


class Screen:
    """Collects what is shown."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, str]] = []

    def show(self, name: str, line: str) -> None:
        self.lines.append((name, line))

    async def until(self, name: str, words: str, count: int = 1) -> None:
        async with asyncio.timeout(PATIENCE):
            while sum(shown == name and words in line for shown, line in self.lines) < count:
                await asyncio.sleep(0.01)


async def ready() -> str | None:
    return None


def program(
    name: str,
    source: str,
    stage: int = 1,
    is_ready: Callable[[], Awaitable[str | None]] = ready,
    patience: float = 10 * PATIENCE,
) -> Program:
    return Program(name, (sys.executable, "-c", source), dict(os.environ), Path("/"), is_ready, stage, patience)


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process wrote last is read, however long the machine stands still meanwhile."""
    monkeypatch.setattr(supervisor_module, "LAST_LINES_SECONDS", PATIENCE)


@pytest.fixture
def screen() -> Screen:
    return Screen()


def pid(records: Path, name: str) -> int:
    found: int = json.loads(records.read_text())[name]["pid"]
    return found


def test_a_restart_never_waits_two_seconds() -> None:
    delays = [restart_delay(deaths) for deaths in range(50)]
    assert delays[0] == delays[1] == 0
    assert delays == sorted(delays)
    assert delays[-1] <= 1.2


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_one_that_is_ended_is_started_again_at_once(screen: Screen, tmp_path: Path, number: int) -> None:
    supervisor = Supervisor([program("a", SLEEP), program("b", SLEEP)], screen.show, tmp_path / "r.json")
    supervisor.start()
    await screen.until("a", "up")
    other = pid(tmp_path / "r.json", "b")
    os.kill(pid(tmp_path / "r.json", "a"), number)
    await screen.until("a", "up", count=2)
    await screen.until("runner", f"a was ended by signal {number}")
    assert pid(tmp_path / "r.json", "b") == other
    await supervisor.stop()
    assert json.loads((tmp_path / "r.json").read_text()) == {}


async def test_an_exit_with_status_0_is_a_reason_to_restart_too(screen: Screen, tmp_path: Path) -> None:
    supervisor = Supervisor([program("a", "print('up')")], screen.show, tmp_path / "r.json")
    supervisor.start()
    await screen.until("a", "up", count=4)
    await screen.until("runner", "a ended with status 0")
    await supervisor.stop()


async def test_what_a_dead_program_had_started_ends_with_it(screen: Screen, tmp_path: Path) -> None:
    source = "import subprocess, sys, time\n"
    source += "c = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)'])\n"
    source += "print(c.pid, flush=True); time.sleep(3600)"
    supervisor = Supervisor([program("a", source)], screen.show, tmp_path / "r.json")
    supervisor.start()
    await screen.until("a", "")
    child = int(screen.lines[0][1])
    os.kill(pid(tmp_path / "r.json", "a"), signal.SIGKILL)
    await screen.until("a", "", count=2)
    async with asyncio.timeout(PATIENCE):
        while processes.identity(child) is not None:
            await asyncio.sleep(0.01)
    await supervisor.stop()


async def test_stages_stop_in_order(screen: Screen, tmp_path: Path) -> None:
    source = (
        "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.2), print('bye', flush=True),"
    )
    source += " sys.exit(0))); print('up', flush=True); time.sleep(3600)"
    table = [
        program("broker", source, stage=1),
        program("gateway", source, stage=3),
        program("database", source, stage=2),
    ]
    supervisor = Supervisor(table, screen.show, tmp_path / "r.json")
    supervisor.start()
    for name in ("broker", "gateway", "database"):
        await screen.until(name, "up")
    await supervisor.stop()
    assert [name for name, line in screen.lines if line == "bye"] == ["gateway", "database", "broker"]


async def test_one_that_will_not_stop_is_killed(screen: Screen, tmp_path: Path) -> None:
    source = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(3600)"
    )
    supervisor = Supervisor([program("a", source, patience=0.3)], screen.show, tmp_path / "r.json")
    supervisor.start()
    await screen.until("a", "up")
    began = time.monotonic()
    await supervisor.stop()
    assert time.monotonic() - began > 0.29
    await screen.until("runner", "a did not stop")


async def test_kill_does_not_wait(screen: Screen, tmp_path: Path) -> None:
    source = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(3600)"
    )
    supervisor = Supervisor([program("a", source)], screen.show, tmp_path / "r.json")
    supervisor.start()
    await screen.until("a", "up")
    stopping = asyncio.create_task(supervisor.stop())
    await asyncio.sleep(0)
    supervisor.kill()
    await asyncio.wait_for(stopping, PATIENCE)


async def test_refused_settings_are_not_tried_again(screen: Screen, tmp_path: Path) -> None:
    source = 'import sys; print(\'{"event": "settings_invalid", "problem": "OFFICE_HOURS"}\'); sys.exit(78)'
    supervisor = Supervisor([program("a", source), program("b", SLEEP)], screen.show, tmp_path / "r.json")
    supervisor.start()
    refusal = await asyncio.wait_for(supervisor.refused, PATIENCE)
    assert refusal.text == "a does not accept its settings: settings_invalid problem=OFFICE_HOURS"
    assert refusal.status == 78
    await supervisor.stop()
    assert sum(name == "a" for name, _ in screen.lines) == 1


async def test_status_78_of_one_that_was_ready_before_is_a_death_like_any_other(screen: Screen, tmp_path: Path) -> None:
    source = f"import os, time; print('up', flush=True)\nwhile not os.path.exists({str(tmp_path / 'now')!r}): "
    source += "time.sleep(0.01)\nexit(78)"
    supervisor = Supervisor([program("a", source)], screen.show, tmp_path / "r")
    supervisor.start()
    await supervisor.until_ready()
    (tmp_path / "now").touch()
    await screen.until("a", "up", count=2)
    assert not supervisor.refused.done()
    await supervisor.stop()


async def test_a_command_that_does_not_exist_ends_the_run(screen: Screen, tmp_path: Path) -> None:
    table = [Program("a", ("/no/such/command",), {}, Path("/"), ready, 1, 1)]
    supervisor = Supervisor(table, screen.show, tmp_path / "r.json")
    supervisor.start()
    refusal = await asyncio.wait_for(supervisor.refused, PATIENCE)
    assert refusal.text.startswith("a could not be started: ")
    await supervisor.stop()


async def test_ready_when_all_are_and_what_is_waited_for_is_printed(screen: Screen, tmp_path: Path) -> None:
    answers = iter(["503 no broker"] * 5)

    async def slowly() -> str | None:
        return next(answers, None)

    table = [program("a", SLEEP), program("b", SLEEP, is_ready=slowly)]
    supervisor = Supervisor(table, screen.show, tmp_path / "r.json")
    supervisor.start()
    await asyncio.wait_for(supervisor.until_ready(show_after=0.1), PATIENCE)
    assert ("b", "not ready yet: 503 no broker") in screen.lines
    assert next(answers, None) is None
    await supervisor.stop()


async def test_a_process_that_does_not_answer_is_killed_and_started_again(
    screen: Screen, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor_module, "LOOK_EVERY", 0.01)
    answers = iter([*[True] * 4, False, *[True] * 5])

    async def silent() -> bool:
        return next(answers, False)

    supervisor = Supervisor([replace(program("a", SLEEP), silent=silent)], screen.show, tmp_path / "r.json")
    supervisor.start()
    await screen.until("runner", "a was ended by signal 9")
    await screen.until("a", "up")
    assert list(answers) == [], "five silences in a row, no fewer"
    await supervisor.stop()
    assert screen.lines.count(("runner", "a lives but has not answered for some time: it is killed")) == 1
