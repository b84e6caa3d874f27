"""Service processes of any version behind each service's one port: started, awaited, drained, replaced by a surge."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local import ports, processes, service_programs
from deploy.local.processes import Program
from deploy.local.settings import SERVICES, Settings
from tests.support.servers import OUR_VARIABLES, PATIENCE, PATIENT_LIMITS
from tests.system.rollout.versions import Version

READY_LIMIT = 120.0
DRAIN_LIMIT = 20.0  # seconds that a service may take to end
ORDER = ("transcripts", "presence", "routing", "gateway")  # consumers before producers


@dataclass(frozen=True)
class Replica:
    """One running process of a service."""

    name: str
    service: str
    version: Version
    process: subprocess.Popen[bytes]
    port: int
    log: Path


@dataclass(frozen=True)
class Drain:
    """How a process ended after SIGTERM."""

    name: str
    seconds: float
    status: int

    @property
    def good(self) -> bool:
        return self.status == 0 and self.seconds <= DRAIN_LIMIT


class Deployment:
    """The services on one broker and database; `replicas` are those that were not asked to end."""

    def __init__(self, home: Path, rabbitmq_url: str, mongodb_url: str, **variables: str) -> None:
        home.mkdir(parents=True, exist_ok=True)
        self._home, self._count = home, 0
        self.ports = ports.remembered(home / "ports.json", SERVICES)
        environ = {name: value for name, value in os.environ.items() if name not in OUR_VARIABLES}
        urls = {"RABBITMQ_URL": rabbitmq_url, "MONGODB_URL": mongodb_url}
        # The former version does not know events that go together (docs/operating.md, "Updating").
        # Nor does it know tokens of keys.
        environ |= {**PATIENT_LIMITS, "RATE_LIMITS": "off", "FACTS_TOGETHER": "off", "TOKEN_KEYS": "verify"}
        settings = Settings(home, self.ports, rabbitmq_url, mongodb_url, environ | variables)
        self._environment = service_programs.service_environment(settings, urls)
        self.replicas: list[Replica] = []
        self._all: list[Replica] = []

    @property
    def base_url(self) -> str:
        """The gateways' common address, without a trailing slash."""
        return f"http://127.0.0.1:{self.ports['gateway']}"

    def of(self, service: str) -> list[Replica]:
        return [replica for replica in self.replicas if replica.service == service]

    async def start(self, version: Version, *names: str) -> list[Replica]:
        """One more process of each of these services, ready."""
        started = [self._start(version, service) for service in names]
        await asyncio.gather(*(self._ready(replica) for replica in started))
        return started

    async def drain(self, replicas: Sequence[Replica]) -> list[Drain]:
        """SIGTERM to all of these at once; returns when they have ended."""
        self.replicas = [m for m in self.replicas if m not in replicas]
        for replica in replicas:
            replica.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        return list(await asyncio.gather(*(_ended(replica, began) for replica in replicas)))

    async def replace(self, version: Version, *names: str) -> list[Drain]:
        """A surge: for each process of a service a new one is started; the old one is drained when it is ready.

        One process of each service after the other, and of these services at the same time.
        """
        return [drain for drains in await asyncio.gather(*(self._surge(version, n) for n in names)) for drain in drains]

    async def _surge(self, version: Version, service: str) -> list[Drain]:
        drains = []
        for old in self.of(service):
            await self.start(version, service)
            drains.append(asyncio.create_task(self.drain([old])))
        return [drain for done in await asyncio.gather(*drains) for drain in done]

    def _start(self, version: Version, service: str) -> Replica:
        self._count += 1
        name, port = f"{service}-{self._count} ({version.name})", ports.pick([m.port for m in self._all])
        own = {"PORT_SHARED": "on", "OWN_PORT": str(port)}
        log = self._home / f"{service}-{self._count}.log"
        argv = (sys.executable, "-m", f"services.{service}")
        environment = {**self._environment, **service_programs.token_keys(self._home, service), **own}

        async def ready() -> str | None:
            return await service_programs.http_ready(port)

        program = Program(name, argv, environment, version.root, ready, stage=0, patience=DRAIN_LIMIT, log=log)
        replica = Replica(name, service, version, processes.start(program), port, log)
        self.replicas.append(replica)
        self._all.append(replica)
        return replica

    async def _ready(self, replica: Replica) -> None:
        end = time.monotonic() + READY_LIMIT
        while (why := await service_programs.http_ready(replica.port)) is not None:
            assert replica.process.poll() is None, f"{replica.name} ended: {replica.log.read_text()[-2000:]}"
            assert time.monotonic() < end, f"{replica.name} is not ready: {why}"
            await asyncio.sleep(0.05)

    def end(self) -> None:
        """Kills what is left."""
        for replica in self._all:
            if replica.process.poll() is None:
                processes.signal_group(replica.process.pid, signal.SIGKILL)
                replica.process.wait(PATIENCE)


async def _ended(replica: Replica, began: float) -> Drain:
    async with asyncio.timeout(2 * DRAIN_LIMIT):
        status = await processes.ended(replica.process)
    return Drain(replica.name, time.monotonic() - began, status)


@contextlib.contextmanager
def deployment(home: Path, rabbitmq_url: str, mongodb_url: str, **variables: str) -> Iterator[Deployment]:
    """A deployment without any process yet; what it has started is killed at the end."""
    ours = Deployment(home, rabbitmq_url, mongodb_url, **variables)
    try:
        yield ours
    finally:
        ours.end()
