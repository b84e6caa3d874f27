"""A broker that has no more memory, or no more disk: it reads nothing from publishers until that is over."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Mapping

from deploy.local import rabbitmq
from tests.support.servers import PATIENCE, System
from tests.system.chaos.faults import Fault

LASTS = 15.0
FLOWS_AGAIN = 2.0
MEMORY = "vm_memory_monitor:set_vm_memory_high_watermark({0})"
DISK = "rabbit_disk_monitor:set_disk_free_limit({0})"


def control(environment: Mapping[str, str], *arguments: str) -> str:
    """What `rabbitmqctl` says to these arguments, about the node that the environment means."""
    sbin = rabbitmq.find_sbin()
    assert sbin is not None
    done = subprocess.run(
        [str(sbin / "rabbitmqctl"), "--quiet", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
    )
    assert done.returncode == 0, f"rabbitmqctl {arguments}: {done.stdout}{done.stderr}"
    return done.stdout


def of_the_own_broker(system: System) -> dict[str, str]:
    """The environment in which `rabbitmqctl` means the broker that this system has started itself."""
    sbin = rabbitmq.find_sbin()
    assert sbin is not None
    home = system.data_dir / "broker"
    ports = json.loads((system.data_dir / "ports.json").read_text())
    return rabbitmq.control_environment(rabbitmq.Node(home, sbin, ports, (home / "password").read_text()))


def faults(environment: Mapping[str, str]) -> list[Fault]:
    """The alarm of the memory, that of the disk, of the node that the environment means."""
    return [
        _alarm(environment, "memory", MEMORY.format("{absolute, 1}"), MEMORY.format("{absolute, 1000000000}")),
        _alarm(environment, "disk", DISK.format(10**15), DISK.format(50 * 10**6)),
    ]


def alarms(environment: Mapping[str, str], first: str = "ok") -> str:
    """The alarms of the node after it has done `first`, as Erlang writes them: `[]` when there are none."""
    return control(environment, "eval", f"{first}, rabbit_alarm:get_alarms().").strip()


def _alarm(environment: Mapping[str, str], what: str, on: str, off: str) -> Fault:
    async def until(order: str, raised: bool) -> None:
        async with asyncio.timeout(4 * PATIENCE):  # each look takes a second and more
            while (await asyncio.to_thread(alarms, environment, order) != "[]") is not raised:
                await asyncio.sleep(0.05)

    async def inject() -> None:
        await until(on, True)

    async def end() -> None:
        await until(off, False)

    return Fault(f"broker, out of {what}: publishers blocked", inject, end, LASTS, "end", FLOWS_AGAIN)
