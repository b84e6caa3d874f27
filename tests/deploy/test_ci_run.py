"""`.ci/run`: which failures are tried once more. Its `make` is a stand-in that prints what `make test` prints."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.servers import ROOT

BEGINS = "============================= test session starts =============================="
PASSED = "======================= 4147 passed in 88.24s (0:01:28) ========================"
FAILED = "================= 1 failed, 2599 passed in 1880.58s (0:31:20) =================="
TWO_FAILED = "================= 2 failed, 2599 passed in 1880.58s (0:31:20) =================="
ONE_ERROR = "============ 1 failed, 2599 passed, 1 error in 1880.58s (0:31:20) ============="
NAME = "FAILED tests/e2e/test_chaos.py::test_a_b[one two] - AssertionError: no"
SUITES = [BEGINS, PASSED, BEGINS, NAME, FAILED]


def run(tmp_path: Path, lines: list[str], again: int) -> tuple[int, list[str], str]:
    """Run it where `make test` prints these lines and fails; tried again it ends with this status.

    Return the exit status, the arguments of what was tried again, and the output.
    """
    checkout, tools = tmp_path / "checkout", tmp_path / "tools"
    (checkout / ".ci").mkdir(parents=True)
    shutil.copy(ROOT / ".ci" / "run", checkout / ".ci" / "run")
    tools.mkdir()
    (tmp_path / "printed").write_text("\n".join(lines) + "\n")
    (tools / "make").write_text(
        f"""#!/bin/sh
case "$*" in
  lint) exit 0 ;;
  test) cat {tmp_path}/printed; exit 2 ;;
esac
echo "$*" >> {tmp_path}/again
cat "${{2##*@}}" >> {tmp_path}/again
exit {again}
"""
    )
    (tools / "make").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    done = subprocess.run([checkout / ".ci" / "run"], env=environment, capture_output=True, text=True)
    tried = (tmp_path / "again").read_text().splitlines() if (tmp_path / "again").exists() else []
    return done.returncode, tried, done.stdout


@pytest.mark.parametrize("again", [0, 1])
def test_a_few_failed_tests_are_tried_by_themselves_and_named(tmp_path: Path, again: int) -> None:
    status, (command, name), shown = run(tmp_path, SUITES, again)
    assert command.startswith("test PYTEST_ARGS=-n 0 @")
    assert name == "tests/e2e/test_chaos.py::test_a_b[one two]"
    assert status == again
    assert ("passed only by itself: tests/e2e/test_chaos.py" in shown) == (again == 0)


def test_a_test_whose_fixture_failed_is_tried_too(tmp_path: Path) -> None:
    error = "ERROR tests/e2e/test_limits.py::test_c - AssertionError: waited 300 s in vain for the system"
    status, (_, *names), _ = run(tmp_path, [BEGINS, NAME, error, ONE_ERROR], again=0)
    assert (status, names) == (0, ["tests/e2e/test_chaos.py::test_a_b[one two]", "tests/e2e/test_limits.py::test_c"])


@pytest.mark.parametrize(
    "lines",
    [
        [*SUITES, BEGINS],
        [BEGINS, "INTERNALERROR> Traceback", *SUITES[1:]],
        [BEGINS, NAME, TWO_FAILED],
        [BEGINS, NAME, ONE_ERROR],
        [*SUITES, "not ok 3 - the panel opens"],
        [BEGINS, *[NAME.replace("a_b", f"a{n}") for n in range(4)], FAILED.replace("1 failed", "4 failed")],
        [BEGINS, PASSED],
    ],
    ids=[
        "a suite killed",
        "pytest failed",
        "a name is missing",
        "no name of an error",
        "JavaScript",
        "too many",
        "no test",
    ],
)
def test_anything_else_that_failed_is_not_tried_again(tmp_path: Path, lines: list[str]) -> None:
    status, tried, _ = run(tmp_path, lines, again=0)
    assert (status, tried) == (2, [])
