"""Fixtures for every test: a real broker, a real database, the whole system. Started when first asked for."""

import signal
from collections import defaultdict
from collections.abc import Generator, Iterator
from pathlib import Path

import pymongo
import pytest
from hypothesis import HealthCheck, settings
from xdist.workermanage import WorkerController
from yarl import URL

from tests.support.dependencies.authority import Authority
from tests.support.programs.service_process import Process, Start
from tests.support.servers import (
    ROOT,
    STARTED,
    Broker,
    System,
    claim_ports,
    patient,
    running_database,
    running_system,
    unique,
)
from tests.support.shared.broker import SharedBroker, broker_of_the_run
from tests.support.shared.systems import KINDS, SharedSystems
from tests.system.rollout.versions import NoHistory, Version, former

# How long an example takes depends on what else the machine does: no reason to fail.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")
# What is run in the background, or by nohup, ignores these, and so would all that the tests start and stop.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGHUP, signal.SIG_DFL)


LAST_LINES = 120
SHARED = SharedSystems()
SHARED_BROKER = pytest.StashKey[SharedBroker]()
OUTSIDE = {"broker", "mongodb_url", "system", "browser", "former_version", "node", "nodejs", "database", "clamd"}
"""Fixtures that start a broker, a database or a browser, run a program of Debian, or need the project's history."""
WHOLE = (
    "e2e/",
    "deploy/",
    "system/chaos/",
    "system/rollout/",
    "system/bench/",
    "system/scale/",
    "fuzz/test_openapi.py",
)
"""Folders whose tests run programs of Debian, or whole systems."""
LONG = ("transcripts/rendering/test_pdf.py", "deploy/test_monitoring.py", "deploy/test_manifests.py")
"""Files that take a minute and more: they begin early, so that no process is idle at the end."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what needs more than Python, and put those that share a system one after the other.

    None of the shared systems stands idle beside other tests then.
    """
    for item in items:
        path = item.path.relative_to(ROOT / "tests").as_posix()
        if path.startswith(WHOLE) or OUTSIDE & set(getattr(item, "fixturenames", ())):
            item.add_marker("integration")
    kinds = _kinds_by_module(items)

    def place(item: pytest.Item) -> tuple[int, bool]:
        shared = kinds[item.path]
        kind = next((n for n, kind in enumerate(KINDS) if kind in shared), len(KINDS))
        return kind, item.path.relative_to(ROOT / "tests").as_posix() not in LONG

    items.sort(key=place)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Stop what the module of this test does not share."""
    claim_ports()  # here: the process that only gives out the tests needs none
    SHARED.enter(item.path, lambda: _kinds_by_module(item.session.items)[item.path])


def pytest_sessionfinish() -> None:
    """Stop what is still shared."""
    SHARED.keep(())


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: WorkerController) -> None:
    """Give each worker the address of the broker of this run."""
    stash = node.config.stash
    if SHARED_BROKER not in stash:
        stash[SHARED_BROKER] = SharedBroker()
    node.workerinput["broker"] = stash[SHARED_BROKER].address


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the broker of this run: all workers have ended."""
    if (shared := config.stash.get(SHARED_BROKER, None)) is not None:
        shared.stop()


def _kinds_by_module(items: list[pytest.Item]) -> dict[Path, set[str]]:
    found: dict[Path, set[str]] = defaultdict(set)
    for item in items:
        found[item.path].update(set(KINDS) & set(getattr(item, "fixturenames", ())))
    return found


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show, with a failure, the last lines that each system has logged since the test began."""
    report = yield
    if report.failed:
        for system in STARTED:
            if system.log_path.exists() and system.log_path.stat().st_mtime >= call.start:
                lines = system.log().splitlines()[-LAST_LINES:]
                report.sections.append((f"Log of the system in {system.data_dir.parent.name}", "\n".join(lines)))
    return report


@pytest.fixture(scope="session")
def broker(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The private RabbitMQ node of this test run, with its management API. Other tests use it at the same time."""
    workerinput: dict[str, str] = getattr(pytestconfig, "workerinput", {})
    with broker_of_the_run(workerinput.get("broker"), tmp_path_factory.mktemp("broker")) as running:
        yield running


@pytest.fixture(scope="session")
def broker_url(broker: Broker) -> str:
    """AMQP address of the default virtual host, which all tests share: prefer `vhost_url`."""
    return broker.url


@pytest.fixture
def vhost_url(broker: Broker) -> Iterator[str]:
    """AMQP address of an empty virtual host for this test alone."""
    name = unique("test-")
    yield patient(broker.make_vhost(name))
    broker.remove_vhost(name)


@pytest.fixture(scope="module")
def module_vhost_url(broker: Broker) -> Iterator[str]:
    """AMQP address of a virtual host that the tests of one module share."""
    name = unique("module-")
    yield patient(broker.make_vhost(name))
    broker.remove_vhost(name)


@pytest.fixture(scope="session")
def mongodb_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of the embedded MongoDB-protocol server of this test session."""
    with running_database(tmp_path_factory.mktemp("database")) as url:
        yield url


@pytest.fixture(scope="session")
def mongodb_client(mongodb_url: str) -> Iterator["pymongo.MongoClient[dict[str, object]]"]:
    """A client of that server, to look at what a service has stored."""
    with pymongo.MongoClient[dict[str, object]](mongodb_url) as client:
        yield client


@pytest.fixture
def mongodb_prefix() -> str:
    """MONGODB_PREFIX for this test alone.

    The databases whose names begin with it stay as long as the server: it removes row by row, and sometimes waits 5 ms
    for each, in which it serves nobody else.
    """
    return unique("t_") + "_"


@pytest.fixture(scope="module")
def shared_servers(module_vhost_url: str, mongodb_url: str) -> dict[str, str]:
    """Variables of a system that uses the broker and the database of this run, with names of this module's own.

    For tests that neither stop these nor look at their files: a broker of its own costs a system half of its start.
    """
    prefix = f"{URL(module_vhost_url).path.strip('/')}-"
    return {"RABBITMQ_URL": module_vhost_url, "MONGODB_URL": mongodb_url, "MONGODB_PREFIX": prefix}


@pytest.fixture(scope="session")
def former_version(tmp_path_factory: pytest.TempPathFactory) -> Version:
    """The code of the version before this one; where it cannot be had, what needs it is not run."""
    try:
        return former(tmp_path_factory.mktemp("former"))
    except NoHistory as reason:
        pytest.skip(f"the former version cannot be had: {reason}")


@pytest.fixture(scope="session")
def shared_systems() -> SharedSystems:
    """The systems that modules share."""
    return SHARED


@pytest.fixture(scope="module")
def system(shared_systems: SharedSystems, tmp_path_factory: pytest.TempPathFactory) -> System:
    """The whole system as `make run` starts it: always open, no abuse limits, `an`, `bert` and eight more agents."""
    return shared_systems.get(
        "system", lambda: running_system(tmp_path_factory.mktemp("system"), RATE_LIMITS="off", DEMO_AGENTS="8")
    )


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts services of `tests/support/programs/service_process.py` with these variables, and ends them."""
    processes: list[Process] = []

    def begin(**environment: str) -> Process:
        home = tmp_path / str(len(processes))
        home.mkdir()
        processes.append(Process(home, **environment))
        return processes[-1]

    yield begin
    for process in processes:
        if process.process.poll() is None:
            process.process.kill()
        process.process.wait()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A CA of certificates."""
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Another CA with the same name."""
    return Authority(tmp_path_factory.mktemp("tls") / "stranger")
