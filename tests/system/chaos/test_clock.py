"""Clocks show what they are set to, each its own, and monotonic time goes on as it does."""

from __future__ import annotations

import json
import shlex
import subprocess
from pathlib import Path

from deploy.local import ports
from tests.support.servers import PATIENCE, System, wait_for
from tests.system.chaos import clock


async def test_each_replica_s_clock_jumps_by_itself_and_back(tmp_path: Path) -> None:
    """Two small servers stand for two replicas of a service."""
    chosen = ports.remembered(tmp_path / "ports.json", ("routing-1", "routing-2"))
    (tmp_path / "healthz").touch()
    line = clock.command(tmp_path / "faces", "http.server --bind 127.0.0.1 --directory . $OWN_PORT").format(name="")
    servers = [
        subprocess.Popen(shlex.split(line), cwd=tmp_path, env={"OWN_PORT": str(port)}, stderr=subprocess.DEVNULL)
        for port in chosen.values()
    ]
    system = System(servers[0], {}, tmp_path, tmp_path / "log")
    clocks = clock.Clocks(system, tmp_path / "faces")
    try:
        for name in chosen:
            wait_for(lambda name=name: answers(clocks, name), name)  # type: ignore[misc]
            assert abs(clocks.ahead(name)) < 5, "a clock that was told nothing is right"
        await clocks.set(["routing-1"], clock.DAY)
        await clocks.set(["routing-2"], -clock.HOUR)
        assert abs(clocks.ahead("routing-1") - clock.DAY) < 5
        assert abs(clocks.ahead("routing-2") + clock.HOUR) < 5
        await clocks.set(chosen, 0)
    finally:
        for server in servers:
            server.kill()
            server.wait(10)
            for left in Path("/dev/shm").glob(f"*faketime_*_{server.pid}"):  # noqa: S108 - libfaketime's own files
                left.unlink()


def answers(clocks: clock.Clocks, name: str) -> bool:
    try:
        clocks.ahead(name)
    except OSError:
        return False
    return True


def test_monotonic_time_and_waiting_are_left_alone(tmp_path: Path) -> None:
    """Clients, timers and timeouts of a service go by it."""
    faces = tmp_path / "faces"
    (tmp_path / "probe.py").write_text(
        "import asyncio, json, time\n"
        "began = time.monotonic(), time.time()\n"
        "asyncio.run(asyncio.sleep(0.2))\n"
        "open('faces/7', 'w').write('+3600')\n"
        f"while time.time() < began[1] + 1800 and time.monotonic() < began[0] + {PATIENCE}:\n"
        f"    asyncio.run(asyncio.wait_for(asyncio.sleep(0.05), {PATIENCE}))\n"
        "print(json.dumps([time.monotonic() - began[0], time.time() - began[1]]))\n"
    )
    line = clock.command(faces, "probe").format(name="")
    done = subprocess.run(shlex.split(line), cwd=tmp_path, env={"OWN_PORT": "7"}, capture_output=True)
    went, showed = json.loads(done.stdout)
    assert 0.2 <= went < 1800
    assert 3590 < showed - went < 3600 + PATIENCE
