"""`make run` itself, from a small copy of the project whose services are stand-ins."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deploy.local import ports
from deploy.local.settings import SERVICES, port_variable
from tests.support.servers import ANNOUNCED, OUR_VARIABLES, ROOT, START_SECONDS, choose_ports, wait_for


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout with the real Makefile and runner, and this project's virtual environment."""
    tree = tmp_path / "checkout"
    tree.mkdir()
    shutil.copy(ROOT / "Makefile", tree)
    for folder in ("deploy", "requirements"):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(ROOT / "services" / "common", tree / "services" / "common")
    (tree / ".venv").symlink_to(Path(sys.prefix), target_is_directory=True)
    for name in SERVICES:
        (tree / "services" / name).mkdir(parents=True)
        source = (ROOT / "tests" / "deploy" / "dummy_service.py").read_text()
        (tree / "services" / name / "__main__.py").write_text(source.replace("sys.argv[1]", repr(name)))
    return tree


def environment(tmp_path: Path, **variables: str) -> dict[str, str]:
    chosen: dict[str, str] = {}
    for name in SERVICES:
        chosen[port_variable(name)] = str(ports.pick({int(port) for port in chosen.values()}))
    kept = {name: value for name, value in os.environ.items() if name not in OUR_VARIABLES and "MAKE" not in name}
    environ = kept | chosen | {"DATA_DIR": str(tmp_path / "data")} | variables
    choose_ports(environ)
    return environ


def family(pid: int) -> list[psutil.Process]:
    return psutil.Process(pid).children(recursive=True)


@pytest.mark.parametrize(
    "tell",
    [
        lambda pid: os.killpg(pid, signal.SIGTERM),
        lambda pid: os.kill(pid, signal.SIGTERM),
        lambda pid: os.killpg(pid, signal.SIGINT),
        lambda pid: os.kill(pid, signal.SIGINT),
        lambda pid: os.killpg(pid, signal.SIGHUP),
        lambda pid: os.kill(pid, signal.SIGKILL),
        lambda pid: os.killpg(pid, signal.SIGKILL),
    ],
    ids=["TERM to the group", "TERM to make", "INT to the group", "INT to make", "HUP", "KILL make", "KILL the group"],
)
def test_nothing_is_left_behind(tree: Path, tmp_path: Path, tell: Callable[[int], None], broker_url: str) -> None:
    """The broker is given: it takes longest, and its own end is tested with the runner's."""
    log = tmp_path / "log"
    with log.open("wb") as output:
        make = subprocess.Popen(
            ["make", "run"],
            cwd=tree,
            env=environment(tmp_path, RABBITMQ_URL=broker_url),
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    wait_for(lambda: ANNOUNCED in log.read_text() or make.poll() is not None, "the system")
    started = family(make.pid)
    try:
        assert len(started) >= 6, log.read_text()  # the runner, four services, the database
        tell(make.pid)
        make.wait(START_SECONDS)
        assert not psutil.wait_procs(started, timeout=START_SECONDS)[1]
    finally:
        for process in started:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        make.kill()
        make.wait()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "PYTHON=no-such-python"], "there is no no-such-python; install Python 3.11"),
        (["run", "GATEWAY_PORT=x"], "GATEWAY_PORT=x is not a port"),
        (["run", "REPLICAS=none"], "REPLICAS=none is not understood"),
    ],
)
def test_refusals_are_one_line(tree: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    done = subprocess.run(["make", *arguments], cwd=tree, env=environment(tmp_path), capture_output=True, text=True)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if not line.startswith("make:")]
    assert len(lines) == 1
    assert lines[0].startswith("refused: ")
    assert words in lines[0]


def test_help_lists_every_target() -> None:
    shown = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    long_runs = ("soak", "chaos", "rollout", "bench", "scale")
    for target in (
        "run",
        "test",
        *long_runs,
        "manifests",
        "dead-letters",
        "backup",
        "restore",
        "lint",
        "docs",
        "check",
        "clean",
        "help",
    ):
        assert f"make {target}" in shown
