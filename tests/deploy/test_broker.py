"""The private RabbitMQ node of `make run`."""

import asyncio
import socket
import stat
import subprocess
from pathlib import Path

import aio_pika

from deploy.local import ports
from deploy.local import rabbitmq as nodes
from tests.support.servers import PATIENCE, Broker


def test_the_newest_release_is_found(tmp_path: Path) -> None:
    assert nodes.find_sbin(tmp_path, {}) is None
    for version in ("3.9.27", "3.10.8", "3.10.11"):
        sbin = tmp_path / f"rabbitmq_server-{version}" / "sbin"
        sbin.mkdir(parents=True)
        (sbin / "rabbitmq-server").touch()
    (tmp_path / "rabbitmq_server-4.0.0" / "sbin").mkdir(parents=True)
    assert nodes.find_sbin(tmp_path, {}) == tmp_path / "rabbitmq_server-3.10.11" / "sbin"


def test_its_files_are_ours_alone_and_the_password_is_kept(tmp_path: Path) -> None:
    chosen = {"broker": 1, "broker_distribution": 2, "broker_epmd": 3}
    first = nodes.prepare(tmp_path / "broker", Path("/sbin"), chosen)
    second = nodes.prepare(tmp_path / "broker", Path("/sbin"), chosen | {"broker": 4})
    assert first.password == second.password
    assert second.url == f"amqp://eloket:{first.password}@127.0.0.1:4/?heartbeat=2"
    assert stat.S_IMODE((tmp_path / "broker").stat().st_mode) == 0o700
    for name in ("password", "rabbitmq.conf"):
        assert stat.S_IMODE((tmp_path / "broker" / name).stat().st_mode) == 0o600
    assert "listeners.tcp.1 = 127.0.0.1:4" in (tmp_path / "broker" / "rabbitmq.conf").read_text()


async def test_a_running_node_answers_and_listens_on_loopback_alone(broker: Broker) -> None:
    assert await nodes.amqp_answers(broker.node.ports["broker"], PATIENCE) is None
    async with await aio_pika.connect(broker.url) as connection:
        await connection.channel()
    rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A"}
    own = {f"{port:04X}" for port in (*broker.node.ports.values(), broker.node.management_port) if port}
    assert {entry.split(":")[0] for entry in listening if entry.split(":")[1] in own} == {"0100007F"}


def test_the_control_environment_reaches_this_node(broker: Broker) -> None:
    command = [str(broker.node.sbin / "rabbitmqctl"), "list_vhosts", "--quiet"]
    done = subprocess.run(
        command, env=nodes.control_environment(broker.node), capture_output=True, text=True, timeout=2 * PATIENCE
    )
    assert "/" in done.stdout.splitlines(), done.stderr


def test_each_vhost_stands_alone(broker: Broker, vhost_url: str) -> None:
    name = vhost_url.rsplit("/", 1)[1].split("?")[0]
    assert broker.api("GET", f"/api/queues/{name}") == []


async def test_an_open_port_is_not_yet_an_answer() -> None:
    port = ports.pick()  # nobody else takes it afterwards
    with socket.create_server(("127.0.0.1", port)):
        assert "no answer" in str(await nodes.amqp_answers(port, seconds=0.2))
        assert await nodes.port_answers(port, PATIENCE) is None
    assert "no answer" in str(await nodes.amqp_answers(port, PATIENCE))
    assert "no answer" in str(await nodes.port_answers(port, PATIENCE))


async def test_another_kind_of_server_is_not_taken_for_a_broker() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)  # the header of the protocol: what is unread at the end would break the connection
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server:
        answer = await nodes.amqp_answers(server.sockets[0].getsockname()[1], PATIENCE)
    assert answer == "it does not speak AMQP yet"
