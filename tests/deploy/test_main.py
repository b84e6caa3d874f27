"""The runner as a whole, with a real broker and database and stand-ins for the services."""

import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.real import ROOT, SERVICES, System, running_system, start_system, wait_for

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


def alive(pids: dict[str, int]) -> list[str]:
    return [
        name
        for name, pid in pids.items()
        if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    ]


def refused(home: Path, **variables: str) -> tuple[int, str]:
    """Start, expecting it not to; exit status and the last line shown."""
    system = start_system(home, COMMAND, **variables)
    status = system.process.wait(60)
    return status, system.log().splitlines()[-1]


def test_it_tells_where_everything_is(dummies: System):
    log = dummies.log()
    for path in ("/", "/agent", "/infofiche/algemeen"):
        assert f"http://localhost:{dummies.ports['gateway']}{path}" in log
    assert "an / demo  or  bert / demo" in log
    assert "dummy_started hours=always demo=on" in log
    assert "\x1b[" not in log
    assert "on 127.0.0.1:" not in log
    assert set(dummies.pids()) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_each_process_is_started_again(dummies: System, name: str):
    dummies.kill(name)
    dummies.wait_ready()


def test_a_second_run_on_the_same_data_is_refused(dummies: System, home: Path):
    status, line = refused(home)
    assert status == 1
    assert line.startswith("refused: another `make run`")
    assert str(dummies.process.pid) in line


def test_a_taken_port_is_refused(dummies: System, tmp_path: Path):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        status, line = refused(tmp_path, GATEWAY_PORT=str(port))
    assert status == 1
    assert f"port {port} is taken by" in line
    assert "GATEWAY_PORT" in line


def test_refused_settings_stop_everything(tmp_path: Path):
    system = start_system(tmp_path, COMMAND, OFFICE_HOURS="nonsense")
    wait_for(lambda: "starts epmd" in system.log(), "the start")
    assert system.process.wait(60) == 78
    assert "refused: presence does not accept its settings: settings_invalid" in system.log()
    assert system.pids() == {}


def test_servers_that_are_given_are_not_started(tmp_path: Path, broker_url: str, mongodb_url: str):
    with running_system(tmp_path, COMMAND, RABBITMQ_URL=broker_url, MONGODB_URL=mongodb_url) as system:
        assert set(system.pids()) == NAMES - {"broker", "epmd", "database"}
        assert not (tmp_path / "data" / "broker").exists()


def test_replicas_have_names_ports_and_lives_of_their_own(tmp_path: Path, broker_url: str, mongodb_url: str):
    servers = {"RABBITMQ_URL": broker_url, "MONGODB_URL": mongodb_url}
    with running_system(tmp_path, COMMAND, REPLICAS="gateway=3,presence=2", **servers) as system:
        gateways, presences = [f"gateway-{n}" for n in (1, 2, 3)], ["presence-1", "presence-2"]
        assert set(system.pids()) == {*gateways, *presences, "routing", "transcripts"}
        before = {name: system.url(name) for name in (*gateways, *presences)}
        assert len({*before.values(), *(system.url(service) for service in SERVICES)}) == 9
        for name, url in before.items():
            assert f"{name} on {url.rsplit(':', 1)[1]}" in system.log()
        assert f"http://localhost:{system.ports['gateway']}/agent" in system.log()
        system.kill("gateway-2")
        assert "gateway-2 was ended by signal 9: starting it again" in system.log()
        system.wait_ready()
        pids = system.pids()
        system.process.kill()
        system.process.wait(30)
    with running_system(tmp_path, COMMAND, REPLICAS="gateway=3,presence=2", **servers) as system:
        assert not set(pids.items()) & set(system.pids().items())
        assert {name: system.url(name) for name in before} == before
        assert system.stop() == 0
        assert system.log().count("dummy_drained") == 7


def test_a_given_broker_that_is_not_there_is_refused(tmp_path: Path):
    status, line = refused(tmp_path, RABBITMQ_URL="amqp://127.0.0.1:1/")
    assert status == 1
    assert line.startswith("refused: the broker of RABBITMQ_URL cannot be reached")


def test_however_it_ends_nothing_is_left_and_the_next_run_is_fine(tmp_path: Path):
    for number in (signal.SIGKILL, signal.SIGTERM):
        with running_system(tmp_path, COMMAND, DUMMY_DRAIN="0.3") as system:
            pids = system.pids()
            assert set(pids) == NAMES
            system.process.send_signal(number)
            status = system.process.wait(30)
            assert status == (-9 if number == signal.SIGKILL else 0)
            wait_for(lambda pids=pids: not alive(pids), f"the end after signal {number}")
            if number != signal.SIGKILL:
                assert system.log().count("dummy_drained") == 4


def test_a_second_interrupt_does_not_wait_for_a_slow_drain(tmp_path: Path):
    with running_system(tmp_path, COMMAND, DUMMY_HANG="gateway") as system:
        pids = system.pids()
        os.kill(system.process.pid, signal.SIGINT)
        os.kill(system.process.pid, signal.SIGINT)  # make and the terminal may both pass it on: counts once
        wait_for(lambda: "stops the services" in system.log(), "the stop")
        time.sleep(1.2)
        assert "gateway" in alive(pids)
        assert system.stop(signal.SIGINT) == 0
        assert not alive(pids)
