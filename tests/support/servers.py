"""The real things that tests run against: a private broker, the embedded database, the whole system. No mocks here.

All of them are started by the one-machine runner's own modules, live on loopback under a temporary directory, and end
with the process that started them, however that ends.
"""

import asyncio
import base64
import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any, TypeVar

from yarl import URL

from deploy.local import embedded_mongodb, ports, processes, rabbitmq, service_programs
from deploy.local.processes import Program
from deploy.local.settings import SERVICES, Settings, port_variable, read_settings

T = TypeVar("T")
ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 300.0
"""Seconds for what starts processes: a whole system needs a minute and more on a full machine. A guard, likewise."""
PATIENCE = 60.0
"""Seconds after which a test gives up on what it waits for: a guard against hanging, never a promise in seconds."""
ANNOUNCED = "Ctrl-C stops it"
"""In the last line of what the runner shows when all is ready."""
OUR_VARIABLES = (
    *(
        "RABBITMQ_URL",
        "MONGODB_URL",
        "MONGODB_PREFIX",
        "DATA_DIR",
        "OFFICE_HOURS",
        "TIMEZONE",
        "HOLIDAYS",
        "LISTEN_ADDRESS",
    ),
    *("TOKEN_SECRET", "DEMO_AGENTS", "RATE_LIMITS", "LOG_LEVEL", "DEPARTMENTS_FILE", "REPLICAS"),
    *("SIGNING_KEY", "GATEWAY_SIGNING_KEY", "PRESENCE_SIGNING_KEY", "VERIFICATION_KEYS", "OPERATOR_KEY"),
    *("PORT_SHARED", "OWN_PORT", "SOAK_ARGS", "CHAOS_ARGS", "ROLLOUT_ARGS", "BENCH_ARGS", "SCALE_ARGS"),
    *(f"{name.upper()}_{part}" for name in SERVICES for part in ("PORT", "URL")),
)

PATIENT_LIMITS = {"HELLO_LIMIT": "300"}
"""Seconds: limits of a system of the tests, unless a test is about them.

Between its press and its hello a test may start half a system anew, on a machine that does much else.
"""

SLICE = 400
"""Ports that one process of tests picks from."""
PORTS_HELD: list[IO[str]] = []
"""The lock of this process's slice of ports, as long as it lives."""
STARTED: "list[System]" = []
"""Every system that this process has started; what a test that fails has in their logs is shown with its failure."""


@dataclass(frozen=True)
class Broker:
    """A running private RabbitMQ node with its management API."""

    node: rabbitmq.Node
    management: str

    @property
    def url(self) -> str:
        """AMQP address of the default virtual host."""
        return self.node.url

    def make_vhost(self, name: str) -> str:
        """A new, empty virtual host; its AMQP address, with the short heartbeat of `make run`."""
        self.api("PUT", f"/api/vhosts/{name}")
        self.api("PUT", f"/api/permissions/{name}/{rabbitmq.USER}", {"configure": ".*", "write": ".*", "read": ".*"})
        return self.node.url.replace("/?", f"/{name}?")

    def remove_vhost(self, name: str) -> None:
        """Remove a virtual host with all that is in it."""
        self.api("DELETE", f"/api/vhosts/{name}")

    def api(self, method: str, path: str, body: object = None) -> Any:
        """Call RabbitMQ's management API, e.g. to look at queues; the JSON of its answer, or None."""
        token = base64.b64encode(f"{rabbitmq.USER}:{self.node.password}".encode()).decode()
        headers = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(self.management + path, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    @contextlib.contextmanager
    def account(self, vhost_url: str) -> "Iterator[Account]":
        """A user with all rights on this virtual host, while the context is open."""
        address, name = URL(vhost_url), unique("user-")
        self.api("PUT", f"/api/users/{name}", {"password": name, "tags": ""})
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        self.api("PUT", f"/api/permissions/{address.path.strip('/')}/{name}", rights)
        try:
            yield Account(self, name, str(address.with_user(name).with_password(name)))
        finally:
            self.api("DELETE", f"/api/users/{name}")


@dataclass(frozen=True)
class Account:
    """A user of the broker, whose connections are those of one test."""

    broker: Broker
    name: str
    url: str

    def close_connections(self) -> None:
        """Have the broker close every connection of this user, as an operator would."""
        self.broker.api("DELETE", f"/api/connections/username/{self.name}")


def patient(amqp_url: str) -> str:
    """This address with a long heartbeat: a client that gets no processor time for some seconds stays connected.

    For tests that do not look at how soon a silent connection is noticed.
    """
    return str(URL(amqp_url).with_query(heartbeat=int(PATIENCE)))


def brisk(amqp_url: str) -> str:
    """This address with the short heartbeat of `make run`: a silent connection is noticed within seconds."""
    return str(URL(amqp_url).with_query(heartbeat=2))


@contextlib.contextmanager
def running_broker(home: Path) -> Iterator[Broker]:
    """A private broker while the context is open; it is killed at the end, since nobody needs its data again."""
    sbin = rabbitmq.find_sbin()
    assert sbin is not None, "rabbitmq-server is not installed: `make test` sees to it"
    home.mkdir(parents=True, exist_ok=True)
    chosen = ports.remembered(home / "ports.json", (*rabbitmq.PORT_NAMES, "management"))
    node = rabbitmq.prepare(home / "broker", sbin, chosen, ("rabbitmq_management",), chosen["management"])
    management = f"http://127.0.0.1:{chosen['management']}"
    with running(rabbitmq.programs(node, home / "broker.log")):
        yield Broker(node, management)


@contextlib.contextmanager
def running_database(home: Path) -> Iterator[str]:
    """The embedded MongoDB-protocol server while the context is open; gives its URL."""
    home.mkdir(parents=True, exist_ok=True)
    port = ports.pick()
    with running([embedded_mongodb.program(home / "database", port, home / "database.log")]):
        yield embedded_mongodb.url(port)


@contextlib.contextmanager
def running(programs: list[Program]) -> Iterator[None]:
    """Start programs of the runner and wait until each is ready; kill them at the end."""
    started = []
    try:
        for program in programs:
            started.append(processes.start(program))
            wait_for(partial(_is_ready, program), f"{program.name}, see {program.log}")
        yield
    finally:
        for process in reversed(started):
            processes.signal_group(process.pid, signal.SIGKILL)
            process.wait(PATIENCE)


@dataclass(frozen=True)
class System:
    """The whole system as `make run` starts it, on ports and with data of its own."""

    process: "subprocess.Popen[bytes]"
    ports: dict[str, int]
    data_dir: Path
    log_path: Path

    @property
    def base_url(self) -> str:
        """The gateway's address, without a trailing slash."""
        return f"http://127.0.0.1:{self.ports['gateway']}"

    def url(self, name: str) -> str:
        """A service's own address, for its health and metrics; `gateway-2`: that of one replica."""
        return f"http://127.0.0.1:{(self.ports | self.own_ports())[name]}"

    def log(self) -> str:
        """What the runner has shown so far."""
        return self.log_path.read_text(errors="replace")

    def pids(self) -> dict[str, int]:
        """The process of each service, `broker` and `database` too; one that is being started again is missing.

        Where a service has several replicas they are `gateway-1`, `gateway-2`, ...
        """
        rows = json.loads((self.data_dir / "processes.json").read_text())
        return {name: row["pid"] for name, row in rows.items()}

    def own_ports(self) -> dict[str, int]:
        """Where each replica answers by itself; empty when every service has one process."""
        known = json.loads((self.data_dir / "ports.json").read_text())
        return {name: port for name, port in known.items() if name.split("-")[0] in SERVICES}

    def replicas(self, service: str) -> list[str]:
        """The names of this service's processes."""
        return [name for name in self.own_ports() if name.startswith(f"{service}-")] or [service]

    def kill(self, name: str, number: int = signal.SIGKILL) -> int:
        """End one process; returns when the runner has started it again, with its new id. It may not be ready yet."""
        old = self.pids()[name]
        os.kill(old, number)
        new: list[int] = []  # it may end once more, and be missing again, before the broker's name is free

        def started_again() -> bool:
            new[:] = [pid for known, pid in self.pids().items() if known == name and pid != old]
            return bool(new)

        wait_for(started_again, f"{name} to be started again")
        return new[0]

    def is_ready(self, name: str) -> bool:
        """Whether a service, or one replica of it, is ready and all that it depends on is there."""
        checks = self.checks(name)
        return bool(checks) and set(checks.values()) == {"ok"}

    def checks(self, name: str) -> dict[str, str]:
        """What `/readyz` of a service, or of one replica of it, says of each check; empty when it does not answer."""
        return checks_at(self.url(name))

    def wait_ready(self, *names: str, seconds: float = START_SECONDS) -> None:
        """Wait until these services or replicas, or every process of all four, are ready."""
        for name in names or [name for service in SERVICES for name in self.replicas(service)]:
            wait_for(partial(self.is_ready, name), f"{name} to be ready", seconds)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Stop everything as Ctrl-C does; the runner's exit status."""
        self.process.send_signal(number)
        return self.process.wait(START_SECONDS)


def start_system(home: Path, command: str | None = None, **variables: str) -> System:
    """Start the system on free ports with these environment variables; does not wait until it is ready.

    `PATIENT_LIMITS` stand in for what the variables do not name.
    """
    home.mkdir(parents=True, exist_ok=True)
    chosen = ports.remembered(home / "service_ports.json", SERVICES)
    environ = {name: value for name, value in os.environ.items() if name not in OUR_VARIABLES}
    environ |= {port_variable(name): str(port) for name, port in chosen.items()}
    environ |= {"DATA_DIR": str(home / "data"), **PATIENT_LIMITS, **variables}
    choose_ports(environ)
    log_path = home / "system.log"
    arguments = ["--command", command] if command else []
    with log_path.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "deploy.local", *arguments],
            cwd=ROOT,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    system = System(process, chosen, home / "data", log_path)
    STARTED.append(system)
    return system


def choose_ports(environ: Mapping[str, str]) -> None:
    """Choose the ports that a runner with this environment has beside those of the services, from our own slice.

    A data directory that was used before keeps its own.
    """
    settings = read_settings(environ, ROOT)
    if isinstance(settings, Settings) and not (file := settings.data_dir / "ports.json").exists():
        names = (*rabbitmq.PORT_NAMES, embedded_mongodb.PORT_NAME, *service_programs.names_of_replicas(settings))
        with contextlib.suppress(OSError):  # a directory that cannot be used is refused by the runner
            file.parent.mkdir(parents=True, exist_ok=True)
            ports.remembered(file, names, taken=set(settings.ports.values()))


def claim_ports() -> None:
    """From now on this process picks ports that no other process of tests picks; where none are left, any.

    Between the moment when a port is picked and the moment when a process listens there, and while a service is being
    started again, another process that looks for a free port would find it.
    """
    if PORTS_HELD:
        return
    folder = Path(tempfile.gettempdir()) / f"eloket-test-ports-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    lowest, highest = ports.limits()
    for start in range(lowest, highest - SLICE + 1, SLICE):
        handle = (folder / str(start)).open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.close()
            continue
        PORTS_HELD.append(handle)
        ports.LOWEST, ports.HIGHEST = start, start + SLICE
        return


@contextlib.contextmanager
def running_system(home: Path, command: str | None = None, **variables: str) -> Iterator[System]:
    """The system while the context is open; ready when the context begins."""
    system = start_system(home, command, **variables)
    try:
        wait_for(lambda: ANNOUNCED in system.log() or system.process.poll() is not None, "the system")
        assert system.process.poll() is None, f"the system did not start:\n{system.log()}"
        yield system
    finally:
        if system.process.poll() is None:
            system.stop()


def checks_at(url: str) -> dict[str, str]:
    """What `/readyz` of the process at this address says of each check; empty when it does not answer."""
    with contextlib.suppress(OSError):
        try:
            with urllib.request.urlopen(f"{url}/readyz", timeout=5) as answer:
                body = json.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                body = json.loads(error.read())
        checks: dict[str, str] = body["checks"]
        return checks
    return {}


def wait_for(condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Return as soon as the condition holds; fail when it does not within so many seconds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        time.sleep(0.02)


def in_thread(work: Callable[[], Awaitable[T]]) -> T:
    """Await `work()` in a loop of its own, without touching the loop that pytest keeps in this thread."""
    results: list[T] = []

    async def run() -> None:
        results.append(await work())

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    thread.join()
    return results[0]


def _is_ready(program: Program) -> bool:
    return in_thread(program.ready) is None


def unique(prefix: str) -> str:
    """A name that no other test has."""
    return f"{prefix}{uuid.uuid4().hex[:10]}"
