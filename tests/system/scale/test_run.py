"""The whole scale run once, with the least of everything; and the table, by hand."""

import subprocess
import sys

import pytest

from tests.support.servers import ROOT
from tests.system.scale.__main__ import main, table
from tests.system.scale.run import Figures, Size


def test_a_quick_run_measures_two_replicas() -> None:
    command = [sys.executable, "-m", "tests.system.scale", "routing", "--replicas", "2", "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=840)
    assert done.returncode == 0, done.stderr
    rows = [line for line in done.stdout.splitlines() if line.startswith("| routing |")]
    assert [row.split("|")[2].strip() for row in rows] == ["2"]
    assert "not shown: 0" in done.stdout


def test_the_busiest_replica_and_what_a_core_carries() -> None:
    spent = {"gateway-1": 3.0, "gateway-2": 1.0, "transcripts": 2.0, "broker": 4.0}
    two = Figures("gateway", 2, 1_900, 4.0, 9.0, 60, 0, spent, shown=20_000, seconds=10)
    assert (two.thousand, two.busiest, two.all) == (0.2, 0.3, 1.0)
    one = Figures("gateway", 1, 1_900, 4.0, 9.0, 60, 3, {"gateway": 4.0}, shown=20_000, seconds=10)
    shown = table([one, two], Size())
    assert "| gateway | 2 | 1,900 | 4.0 / 9.0 | 60 | 0.200 | 0.30 | 1.00 |" in shown
    assert "one core of gateway alone: 5,000 msg/s" in shown
    assert "not shown: 3" in shown


def test_an_unknown_service_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["gatway"])
    assert "no such service: gatway" in capsys.readouterr().err
