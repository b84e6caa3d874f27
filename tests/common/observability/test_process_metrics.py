"""`services/common/observability/process_metrics.py`: what a process shows of itself."""

import asyncio
import gc
import subprocess
import sys
import tomllib
from pathlib import Path

import uvloop
from prometheus_client import generate_latest

from services.common.observability import process_metrics
from tests.support.servers import PATIENCE

ROOT = Path(__file__).resolve().parents[3]


def test_tasks_and_timers_are_those_of_the_loop_and_are_gone_when_they_have_ended() -> None:
    async def hold() -> None:
        gc.collect()
        tasks, timers = process_metrics.tasks(), process_metrics.timers()
        sleeping = [asyncio.create_task(asyncio.sleep(60)) for _ in range(3)]
        later = asyncio.get_running_loop().call_later(60, print)
        await asyncio.sleep(0)
        assert (process_metrics.tasks() - tasks, process_metrics.timers() - timers) == (3, 4)
        assert b"\neloket_tasks " in generate_latest()
        assert b"\neloket_timers " in generate_latest()
        later.cancel()
        for task in sleeping:
            task.cancel()
        await asyncio.gather(*sleeping, return_exceptions=True)
        del sleeping, later, task
        async with asyncio.timeout(PATIENCE):
            while process_metrics.tasks() > tasks or process_metrics.timers() > timers + 1:  # our own limit is one
                await asyncio.sleep(0)

    uvloop.run(hold())
    assert process_metrics.tasks() == 0


def test_what_was_loaded_before_is_not_looked_at_again() -> None:
    module = "services.common.observability.process_metrics"
    code = f"import gc; from {module} import begin; begin(); print(len(gc.get_objects()))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(shown.stdout) < 100


def test_the_version_that_runs_is_shown_and_is_that_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f'\neloket_build_info{{version="{version}"}} 1.0\n' in generate_latest().decode()
