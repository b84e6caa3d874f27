import os
import subprocess
from pathlib import Path

from deploy.local.shutdown import handled_signals


def test_only_a_make_is_looked_at():
    assert handled_signals(os.getpid()) == set()
    assert handled_signals(2**22 + 1) == set()


def test_the_signals_that_make_handles(tmp_path: Path):
    (tmp_path / "Makefile").write_text("wait:\n\t@echo up; exec sleep 60\n")
    make = subprocess.Popen(["make", "-C", str(tmp_path), "-s", "wait"], stdout=subprocess.PIPE, start_new_session=True)
    assert make.stdout is not None
    make.stdout.readline()
    assert handled_signals(make.pid) == {1, 2, 15}
    make.terminate()
    make.wait(10)
    make.stdout.close()
