"""Processes that `make run` starts, reads and ends."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from deploy.local import processes
from deploy.local.processes import Program
from tests.support.servers import PATIENCE, ROOT, wait_for


async def ready() -> str | None:
    return None


def program(source: str, log: Path | None = None) -> Program:
    return Program("it", (sys.executable, "-c", source), dict(os.environ), ROOT, ready, 1, 5, log)


@pytest.fixture
def sleeper() -> Iterator["subprocess.Popen[bytes]"]:
    process = processes.start(program("import time; print('up', flush=True); time.sleep(3600)"))
    assert process.stdout is not None
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_process_lives_in_a_group_of_its_own(sleeper: "subprocess.Popen[bytes]") -> None:
    assert os.getpgid(sleeper.pid) == sleeper.pid != os.getpgrp()


async def test_its_end_is_seen_though_a_child_holds_its_output_open() -> None:
    source = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3600)']); sys.exit(3)"
    )
    process = processes.start(program(source))
    assert process.stdout is not None
    assert await asyncio.wait_for(processes.ended(process), PATIENCE) == 3
    processes.signal_group(process.pid, signal.SIGKILL)
    process.stdout.close()


async def test_two_may_wait_for_the_same_end() -> None:
    process = processes.start(program("import os, signal; os.kill(os.getpid(), signal.SIGKILL)"))
    assert process.stdout is not None
    assert [*await asyncio.gather(processes.ended(process), processes.ended(process))] == [-9, -9]
    process.stdout.close()


async def test_lines_whole_long_and_unfinished() -> None:
    size = processes.LONGEST_LINE * 2 + 10
    source = f"import sys; sys.stdout.buffer.write(b'one\\r\\nt\\xffo\\n\\n' + b'x' * {size} + b'\\nlast')"
    process = processes.start(program(source))
    assert process.stdout is not None
    lines: list[str] = []
    await processes.read_lines(process.stdout, lines.append)
    process.wait()
    assert lines[:3] == ["one", "t\ufffdo", ""]
    assert lines[-1] == "last"
    assert "".join(lines[3:-1]) == "x" * size


def test_output_goes_to_the_log_and_a_big_log_is_rotated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "LARGEST_LOG", 10)
    log = tmp_path / "log" / "it.log"
    for _ in range(3):
        processes.start(program("print('twelve bytes')", log)).wait()
    assert log.read_text() == log.with_suffix(".old.log").read_text() == "twelve bytes\n"


def test_a_child_ends_with_us_even_when_we_are_killed(tmp_path: Path) -> None:
    source = "import os, sys, time; from tests.deploy.test_processes import *\n"
    source += "child = processes.start(program('import time; time.sleep(3600)', Path(sys.argv[1])))\n"
    source += "print(child.pid, flush=True); time.sleep(3600)"
    parent = subprocess.Popen(
        [sys.executable, "-c", source, str(tmp_path / "log")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    child = psutil.Process(int(parent.stdout.readline()))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_for(lambda: has_ended(child), "the child to end")


def has_ended(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    return True


def test_an_identity_is_of_one_life(sleeper: "subprocess.Popen[bytes]") -> None:
    assert processes.identity(sleeper.pid) == processes.identity(sleeper.pid) != processes.identity(os.getpid())
    sleeper.kill()
    sleeper.wait()
    assert processes.identity(sleeper.pid) is None


def test_what_an_earlier_run_left_is_ended(tmp_path: Path, sleeper: "subprocess.Popen[bytes]") -> None:
    file = tmp_path / "processes.json"
    processes.record(file, {"gateway": sleeper.pid}, {"gateway": 8000})
    assert json.loads(file.read_text())["gateway"]["pid"] == sleeper.pid
    assert processes.end_leftovers(file, patience=10 * PATIENCE) == ["gateway"]
    assert sleeper.wait(PATIENCE) == -signal.SIGTERM
    assert processes.end_leftovers(file) == []


def test_one_that_ignores_sigterm_is_killed(tmp_path: Path) -> None:
    source = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    source += "print('deaf', flush=True); time.sleep(3600)"
    process = processes.start(program(source))
    assert process.stdout is not None
    process.stdout.readline()
    processes.record(tmp_path / "processes.json", {"it": process.pid}, {})
    assert processes.end_leftovers(tmp_path / "processes.json", patience=0.2) == ["it"]
    assert process.wait(PATIENCE) == -signal.SIGKILL
    process.stdout.close()


def test_a_foreign_process_with_a_remembered_id_is_left_alone(
    tmp_path: Path, sleeper: "subprocess.Popen[bytes]"
) -> None:
    file = tmp_path / "processes.json"
    for identity in ("another boot:1", None):
        file.write_text(json.dumps({"gateway": {"pid": sleeper.pid, "identity": identity}}))
        assert processes.end_leftovers(file) == []
    file.write_text("broken")
    assert processes.end_leftovers(file) == []
    assert sleeper.poll() is None
