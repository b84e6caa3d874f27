"""Checks before `make run` starts anything."""

import os
import socket
from pathlib import Path

import pytest

from deploy.local import ports, preflight
from deploy.local.settings import SERVICES, Refusal, Settings, port_variable, read_settings
from tests.support.servers import PATIENCE


def settings(**environ: str) -> Settings:
    free: dict[str, str] = {}
    for name in SERVICES:
        free[port_variable(name)] = str(ports.pick({int(port) for port in free.values()}))
    read = read_settings(free | environ, Path("/"))
    assert isinstance(read, Settings)
    return read


def test_one_run_for_each_data_directory(tmp_path: Path) -> None:
    first = preflight.lock(tmp_path / "data")
    assert not isinstance(first, Refusal)
    second = preflight.lock(tmp_path / "data")
    assert isinstance(second, Refusal)
    assert f"(process {os.getpid()})" in second.text
    assert "DATA_DIR" in second.text
    first.close()
    third = preflight.lock(tmp_path / "data")
    assert not isinstance(third, Refusal)
    third.close()


def test_a_data_directory_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    refusal = preflight.lock(tmp_path / "file" / "data")
    assert isinstance(refusal, Refusal)
    assert "set DATA_DIR" in refusal.text


def test_a_port_that_is_taken_names_who_and_what_to_change() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        refusal = preflight.ports_free(settings(ROUTING_PORT=str(port)))
    assert refusal is not None
    assert f"port {port} is taken by " in refusal.text
    assert f"(process {os.getpid()})" in refusal.text
    assert "make run ROUTING_PORT=" in refusal.text


def test_free_ports_are_fine() -> None:
    assert preflight.ports_free(settings()) is None


async def test_given_servers_that_answer(broker_url: str, mongodb_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "ANSWER_SECONDS", PATIENCE)
    assert await preflight.servers_answer(settings(RABBITMQ_URL=broker_url, MONGODB_URL=mongodb_url)) is None
    assert await preflight.servers_answer(settings()) is None


async def test_given_servers_that_do_not(broker_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preflight, "ANSWER_SECONDS", 0.5)
    nobody = ports.pick()
    for environ, words in (
        ({"RABBITMQ_URL": f"amqp://127.0.0.1:{nobody}/"}, "the broker of RABBITMQ_URL cannot be reached"),
        (
            {"RABBITMQ_URL": broker_url.replace("eloket:", "eloket:wrong")},
            "the broker of RABBITMQ_URL cannot be reached",
        ),
        ({"MONGODB_URL": f"mongodb://127.0.0.1:{nobody}/"}, "the database of MONGODB_URL cannot be reached"),
    ):
        refusal = await preflight.servers_answer(settings(**environ))
        assert refusal is not None
        assert words in refusal.text
        assert "\n" not in refusal.text
        assert "wrong" not in refusal.text
