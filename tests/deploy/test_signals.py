"""Signals and other requests to stop `make run`."""

import asyncio
import os
import signal
import subprocess
from pathlib import Path

import pytest

from deploy.local import shutdown
from deploy.local.shutdown import StopRequest, handled_signals
from tests.support.servers import PATIENCE


def test_only_a_make_is_looked_at() -> None:
    assert handled_signals(os.getpid()) == set()
    assert handled_signals(2**22 + 1) == set()


def test_the_signals_that_make_handles(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("wait:\n\t@echo up; exec sleep 60\n")
    make = subprocess.Popen(["make", "-C", str(tmp_path), "-s", "wait"], stdout=subprocess.PIPE, start_new_session=True)
    assert make.stdout is not None
    make.stdout.readline()
    assert handled_signals(make.pid) == {1, 2, 15}
    make.terminate()
    make.wait(PATIENCE)
    make.stdout.close()


async def test_an_interrupt_that_comes_twice_at_once_counts_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both make and the terminal may pass it on. One that comes a second later is of an operator who does not wait."""
    request = StopRequest()
    monkeypatch.setattr(shutdown, "IMPATIENT_AFTER", 10 * PATIENCE)
    async with asyncio.timeout(PATIENCE):
        for _ in range(2):
            signal.raise_signal(signal.SIGINT)
            await request.stop.wait()
            await asyncio.sleep(0.05)  # the loop gets the second one
        assert not request.hurry.is_set()
        monkeypatch.setattr(shutdown, "IMPATIENT_AFTER", 0.0)
        signal.raise_signal(signal.SIGINT)
        await request.hurry.wait()
