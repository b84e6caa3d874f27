"""Free and remembered TCP ports."""

import os
import socket
from pathlib import Path

from deploy.local import ports


def listening(port: int = 0, address: str = "127.0.0.1") -> socket.socket:
    server = socket.create_server((address, port))
    return server


def test_a_port_with_a_listener_is_not_free_whatever_its_address() -> None:
    for address in ("127.0.0.1", "0.0.0.0"):
        port = ports.pick()  # nobody else takes it afterwards
        with listening(port, address):
            assert not ports.is_free(port)
        assert ports.is_free(port)


def test_picked_ports_lie_below_those_of_outgoing_connections() -> None:
    lowest_outgoing = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    port = ports.pick()
    assert ports.LOWEST <= port < max(lowest_outgoing, ports.LOWEST + 1_000)


def test_a_port_is_not_picked_again_at_once() -> None:
    assert len({ports.pick() for _ in range(50)}) == 50


def test_the_same_ports_the_second_time(tmp_path: Path) -> None:
    first = ports.remembered(tmp_path / "ports.json", ["a", "b"])
    assert len(set(first.values())) == 2
    assert ports.remembered(tmp_path / "ports.json", ["a", "b"]) == first


def test_another_port_when_the_remembered_one_is_taken_or_reserved(tmp_path: Path) -> None:
    first = ports.remembered(tmp_path / "ports.json", ["a", "b"])
    with listening(first["a"]):
        second = ports.remembered(tmp_path / "ports.json", ["a", "b"], taken={first["b"]})
    assert second["a"] != first["a"]
    assert second["b"] != first["b"]


def test_a_broken_memory_is_forgotten(tmp_path: Path) -> None:
    for text in ("", "[]", '{"a": "no"}', '{"a": 70000}'):
        (tmp_path / "ports.json").write_text(text)
        assert ports.is_free(ports.remembered(tmp_path / "ports.json", ["a"])["a"])


def test_the_holder_of_a_port_is_named() -> None:
    with listening() as server:
        assert f"(process {os.getpid()})" in (ports.holder(server.getsockname()[1]) or "")
    assert ports.holder(1) is None
