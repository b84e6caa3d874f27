"""Checks before `make run` starts anything."""

import os
import socket
from pathlib import Path

import pytest

from deploy.local import ports, preflight
from deploy.local.settings import SERVICES, Refusal, Settings, port_variable, read_settings
from tests.support.servers import PATIENCE
from tests.support.token_keys import PRIVATE, PUBLIC

KEYS = {
    "GATEWAY_SIGNING_KEY": PRIVATE["gateway"].hex(),
    "PRESENCE_SIGNING_KEY": PRIVATE["presence"].hex(),
    "VERIFICATION_KEYS": PUBLIC,
}


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


def test_token_keys_of_the_environment_that_belong_together_are_used_and_none_need_be_there() -> None:
    assert preflight.token_keys_fit(settings()) is None
    assert preflight.token_keys_fit(settings(**KEYS)) is None


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (
            {"SIGNING_KEY": "ab" * 32, **KEYS},
            "SIGNING_KEY is the key of one service: give GATEWAY_SIGNING_KEY and PRESENCE_SIGNING_KEY",
        ),
        *(
            ({other: value for other, value in KEYS.items() if other != name} | {name: ""}, f"{name} must be given too")
            for name in KEYS
        ),
        (
            {"VERIFICATION_KEYS": PUBLIC},
            "GATEWAY_SIGNING_KEY and PRESENCE_SIGNING_KEY must be given too: give all of GATEWAY_SIGNING_KEY, ",
        ),
        (KEYS | {"VERIFICATION_KEYS": "gateway:short"}, "VERIFICATION_KEYS is not a list such as gateway:KEY"),
        (KEYS | {"PRESENCE_SIGNING_KEY": "ab"}, "PRESENCE_SIGNING_KEY must have 64 hexadecimal digits"),
        (
            KEYS | {"GATEWAY_SIGNING_KEY": KEYS["PRESENCE_SIGNING_KEY"]},
            "VERIFICATION_KEYS lacks the public key of GATEWAY_SIGNING_KEY",
        ),
    ],
)
def test_token_keys_that_cannot_be_used_are_refused_by_name(environ: dict[str, str], words: str) -> None:
    refusal = preflight.token_keys_fit(settings(**environ))
    assert refusal is not None
    assert words in refusal.text
    assert "\n" not in refusal.text
    assert not [key for key in PRIVATE.values() if key.hex() in refusal.text]
    assert refusal.status != 0
