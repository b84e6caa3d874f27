"""The whole bench once, with the least of everything: each part gives figures, and the table shows them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.servers import ROOT
from tests.system.bench.__main__ import main
from tests.system.bench.comparison import Figure, Table, worse
from tests.system.bench.load_generator import Load, Side, share
from tests.system.bench.report import Report, last, markdown, write
from tests.system.bench.websocket_client import MASK, masked

SHOWN = (
    "| idle: processor, all |",
    "| idle: memory, all |",
    "| p99 at 40 msg/s |",
    "| most messages, closed loop |",
    "| processor for 1,000, closed loop, transcripts |",
    "| memory under load, all |",
    "| button, 304 |",
    "| memory of the gateway for 1,000 open pages |",
    "| press to green dot, p99 at 20 a second |",
    "| download of 20 messages, pdf, p95 |",
    "| reconnect until 20 messages are shown, p95 |",
    "| gateway's memory above its rest, 10 MiB in |",
    "| limit: broker, quorum queue, confirmed and acknowledged |",
    "| limit: websocket library, echoes |",
    "| limit: database, entries written 50 at a time |",
    "| start of the whole system |",
    "| exit of the whole system |",
)


def test_a_quick_run_measures_everything() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.system.bench", "--quick"], cwd=ROOT, capture_output=True, text=True, timeout=840
    )
    assert done.returncode == 0, done.stderr
    for row in SHOWN:
        assert row in done.stdout, f"{row} is missing in:\n{done.stdout}"
    assert "ours, closed loop: sent but not shown: 0\n" in done.stdout


def test_an_unknown_part_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["mesages"])
    assert end.value.code == 2
    assert "no such part: mesages" in capsys.readouterr().err


def test_a_kept_table_is_read_again_and_compared(tmp_path: Path) -> None:
    report = Report()
    for ours, theirs in ((2.0, 1.0), (2.1, 1.0), (2.2, 1.1)):
        report.add("p50", "ms", ours)
        report.add("p50", "ms", theirs, baseline=True)
    then = report.table("a", {"commit": "1"})
    assert last(tmp_path) is None
    write(then, "", tmp_path, "2026-11-23-0300-1")
    write(then, "", tmp_path, "2026-11-24-0300-2")
    assert last(tmp_path) == ("2026-11-24-0300-2", then)
    now = Table("a", {"p50": Figure("p50", "ms", [3.0, 3.0, 3.0], [1.0, 1.0, 1.0])})
    text = markdown(now, worse(now, then), "2026-11-24-0300-2")
    assert "| p50 | 3 ms | 0% | 1 ms | 3.00 |" in text
    assert "- p50: 2 -> 3 x the baseline, 50% worse" in text


@pytest.mark.parametrize("size", [0, 5, 125, 126, 65_535, 65_536])
def test_a_frame_is_masked(size: int) -> None:
    payload = bytes(i % 251 for i in range(size))
    frame = masked(payload)
    at = frame.index(MASK, 2)
    assert frame[0] == 0x81
    assert frame[1] & 128
    assert at == (2 if size < 126 else 4 if size < 65_536 else 10)
    assert bytes(b ^ MASK[i % 4] for i, b in enumerate(frame[at + 4 :])) == payload


class Mirror(Side):
    """Gets its own texts at once, but for every third one."""

    said = 0

    def say(self, text: str) -> None:
        self.said += 1
        if self.said % 3:
            self.received(self, text)


async def test_what_is_not_shown_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.system.bench.load_generator.PATIENCE", 0.1)
    mirror = Mirror()
    result = await Load([(mirror, mirror)]).steady(300, 0.1)
    assert (result.sent, result.shown, len(result.took), len(result.lag)) == (30, 20, 20, 30)


def test_a_share_of_values() -> None:
    values = [float(value) for value in range(100, 0, -1)]
    assert (share(values, 0.5), share(values, 0.99), share([], 0.5)) == (51.0, 100.0, 0.0)
