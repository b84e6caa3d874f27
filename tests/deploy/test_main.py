"""The runner as a whole, with a real broker and database and stand-ins for the services."""

import contextlib
import signal
import socket
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
import pytest

from deploy.local import shutdown
from deploy.local.settings import SERVICES
from tests.support.servers import ROOT, START_SECONDS, System, running_system, start_system, wait_for

COMMAND = f"{sys.executable} {ROOT}/tests/deploy/dummy_service.py {{name}}"
NAMES = {"gateway", "presence", "routing", "transcripts", "broker", "epmd", "database"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One data directory for the tests of this module: a broker's first start takes longest."""
    return tmp_path_factory.mktemp("local")


@pytest.fixture(scope="module")
def dummies(home: Path) -> Iterator[System]:
    with running_system(home, COMMAND) as system:
        yield system


def none_is_alive(pids: dict[str, int]) -> bool:
    return not alive(pids)


def alive(pids: dict[str, int]) -> list[str]:
    return [name for name, pid in pids.items() if is_alive(pid)]


def is_alive(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    return False


def shows(system: System, *lines: str) -> None:
    """Returns when the runner has shown all of these; a thread of it writes them."""
    wait_for(lambda: all(line in system.log() for line in lines), f"{lines}")


def refused(home: Path, **variables: str) -> tuple[int, str]:
    """Start, expecting it not to; exit status and the last line shown."""
    system = start_system(home, COMMAND, **variables)
    status = system.process.wait(START_SECONDS)
    return status, system.log().splitlines()[-1]


def test_it_prints_where_everything_is(dummies: System) -> None:
    at = f"http://localhost:{dummies.ports['gateway']}"
    addresses = [f"{at}{path}" for path in ("/", "/agent", "/infofiche/algemeen")]
    shows(dummies, *addresses, "an / demo  or  bert / demo", "dummy_started hours=always demo=on")
    log = dummies.log()
    assert "\x1b[" not in log
    assert "on 127.0.0.1:" not in log
    assert set(dummies.pids()) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_process_is_started_again(dummies: System, name: str) -> None:
    dummies.kill(name)
    dummies.wait_ready()


def test_a_second_run_on_the_same_data_is_refused(dummies: System, tmp_path: Path) -> None:
    status, line = refused(tmp_path, DATA_DIR=str(dummies.data_dir))
    assert status == 1
    assert line.startswith("refused: another `make run`")
    assert str(dummies.process.pid) in line


def test_a_taken_port_is_refused(dummies: System, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, line = refused(tmp_path, GATEWAY_PORT=str(port))
    assert status == 1
    assert f"port {port} is taken by" in line
    assert "GATEWAY_PORT" in line


def test_refused_settings_stop_everything(tmp_path: Path) -> None:
    system = start_system(tmp_path, COMMAND, OFFICE_HOURS="nonsense")
    assert system.process.wait(START_SECONDS) == 78
    assert "starts epmd" in system.log()
    assert "refused: presence does not accept its settings: settings_invalid" in system.log()
    assert system.pids() == {}


def test_servers_that_are_given_are_not_started(tmp_path: Path, broker_url: str, mongodb_url: str) -> None:
    with running_system(tmp_path, COMMAND, RABBITMQ_URL=broker_url, MONGODB_URL=mongodb_url) as system:
        assert set(system.pids()) == NAMES - {"broker", "epmd", "database"}
        assert not (tmp_path / "data" / "broker").exists()


def test_replicas_have_names_ports_and_lives_of_their_own(tmp_path: Path, broker_url: str, mongodb_url: str) -> None:
    servers = {"RABBITMQ_URL": broker_url, "MONGODB_URL": mongodb_url}
    with running_system(tmp_path, COMMAND, REPLICAS="gateway=3,presence=2", **servers) as system:
        gateways, presences = [f"gateway-{n}" for n in (1, 2, 3)], ["presence-1", "presence-2"]
        assert set(system.pids()) == {*gateways, *presences, "routing", "transcripts"}
        before = {name: system.url(name) for name in (*gateways, *presences)}
        assert len({*before.values(), *(system.url(service) for service in SERVICES)}) == 9
        shows(system, *(f"{name} on {url.rsplit(':', 1)[1]}" for name, url in before.items()))
        shows(system, f"http://localhost:{system.ports['gateway']}/agent")
        system.kill("gateway-2")
        shows(system, "gateway-2 was ended by signal 9: starting it again")
        system.wait_ready()
        pids = system.pids()
        system.process.kill()
        system.process.wait(START_SECONDS)
    with running_system(tmp_path, COMMAND, REPLICAS="gateway=3,presence=2", **servers) as system:
        assert not set(pids.items()) & set(system.pids().items())
        assert {name: system.url(name) for name in before} == before
        assert system.stop() == 0
        assert system.log().count("dummy_drained") == 7


def test_a_given_broker_that_is_not_there_is_refused(tmp_path: Path) -> None:
    status, line = refused(tmp_path, RABBITMQ_URL="amqp://127.0.0.1:1/")
    assert status == 1
    assert line.startswith("refused: the broker of RABBITMQ_URL cannot be reached")


def test_however_it_ends_nothing_is_left_and_the_next_run_is_fine(tmp_path: Path) -> None:
    for number in (signal.SIGKILL, signal.SIGTERM):
        with running_system(tmp_path, COMMAND, DUMMY_DRAIN="0.3") as system:
            pids = system.pids()
            assert set(pids) == NAMES
            system.process.send_signal(number)
            status = system.process.wait(START_SECONDS)
            assert status == (-9 if number == signal.SIGKILL else 0)
            wait_for(partial(none_is_alive, pids), f"the end after signal {number}")
            if number != signal.SIGKILL:
                assert system.log().count("dummy_drained") == 4


def test_a_second_interrupt_does_not_wait_for_a_slow_drain(tmp_path: Path) -> None:
    with running_system(tmp_path, COMMAND, DUMMY_HANG="gateway") as system:
        pids = system.pids()
        system.process.send_signal(signal.SIGINT)
        shows(system, "stops the services")
        assert "gateway" in alive(pids)
        time.sleep(1.1 * shutdown.IMPATIENT_AFTER)
        assert system.stop(signal.SIGINT) == 0
        assert "did not stop within" not in system.log(), "nobody waited for its patience to end"
        assert not alive(pids)
