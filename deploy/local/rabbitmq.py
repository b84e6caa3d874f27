"""A private RabbitMQ node: its files, its environment, and whether it answers.

Debian's commands in /usr/sbin require the user `rabbitmq`; the scripts of the release itself work for any user.
"""

import asyncio
import os
import re
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.processes import Program

RELEASES = Path("/usr/lib/rabbitmq/lib")
USER = "eloket"
PORT_NAMES = ("broker", "broker_distribution", "broker_epmd")
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"


@dataclass(frozen=True)
class Node:
    """A node's directories, ports, password and plugins."""

    home: Path
    sbin: Path
    ports: Mapping[str, int]
    password: str
    plugins: Sequence[str] = ()
    management_port: int | None = None

    @property
    def url(self) -> str:
        """AMQP address of the default virtual host. With the heartbeat clients notice a broker that hangs."""
        return f"amqp://{USER}:{self.password}@127.0.0.1:{self.ports['broker']}/?heartbeat=2"


def find_sbin(releases: Path = RELEASES, environ: Mapping[str, str] = os.environ) -> Path | None:
    """Return the scripts of the newest RabbitMQ release on this machine, of any version; None when there is none.

    `RABBITMQ_SBIN` names those of another one (`broker_root.py`).
    """
    if given := environ.get("RABBITMQ_SBIN"):
        return Path(given)
    found = [path for path in releases.glob("rabbitmq_server-*/sbin") if (path / "rabbitmq-server").is_file()]
    return max(found, key=lambda path: [int(part) for part in re.findall(r"\d+", path.parent.name)], default=None)


def prepare(
    home: Path, sbin: Path, ports: Mapping[str, int], plugins: Sequence[str] = (), management_port: int | None = None
) -> Node:
    """Write the node's files under `home`, which only this user may read. Its data there is kept."""
    (home / "home").mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    node = Node(home, sbin, ports, _password(home / "password"), plugins, management_port)
    _write(home / "rabbitmq.conf", _configuration(node))
    _write(home / "advanced.config", "[{kernel, [{inet_dist_use_interface, {127,0,0,1}}]}].\n")
    _write(home / "enabled_plugins", f"[{','.join(plugins)}].\n")
    return node


def programs(node: Node, log: Path) -> list[Program]:
    """Return the port mapper, which would otherwise stay behind as a daemon, and the node itself."""
    environment = control_environment(node)
    epmd_port = node.ports["broker_epmd"]
    epmd = shutil.which("epmd") or "/usr/lib/erlang/bin/epmd"

    async def epmd_ready() -> str | None:
        return await port_answers(epmd_port)

    async def node_ready() -> str | None:
        return await amqp_answers(node.ports["broker"])

    return [
        Program(
            "epmd",
            (epmd, "-port", str(epmd_port), "-address", "127.0.0.1"),
            environment,
            node.home,
            epmd_ready,
            1,
            2,
            log,
        ),
        # With `detached` the script becomes the Erlang machine instead of waiting for it. The machine
        # then receives the signals, and stops within two seconds instead of eight.
        Program(
            "broker",
            (str(node.sbin / "rabbitmq-server"),),
            environment | {"detached": "1"},
            node.home,
            node_ready,
            2,
            9,
            log,
        ),
    ]


def control_environment(node: Node) -> dict[str, str]:
    """Return the environment in which the release's scripts, including `rabbitmqctl`, address this node only."""
    home = str(node.home)
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "HOME": f"{home}/home",  # where the cookie is
        "ERL_EPMD_PORT": str(node.ports["broker_epmd"]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_FLAGS": "-start_epmd false",  # a mapper that Erlang starts would stay behind as a daemon
        "RABBITMQ_CONF_ENV_FILE": f"{home}/none.conf",  # not the machine's own /etc/rabbitmq/rabbitmq-env.conf
        "RABBITMQ_NODENAME": "eloket@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(node.ports["broker"]),
        "RABBITMQ_DIST_PORT": str(node.ports["broker_distribution"]),
        "RABBITMQ_MNESIA_BASE": f"{home}/mnesia",
        "RABBITMQ_LOG_BASE": f"{home}/log",
        "RABBITMQ_SCHEMA_DIR": f"{home}/schema",
        "RABBITMQ_GENERATED_CONFIG_DIR": f"{home}/generated",
        "RABBITMQ_PID_FILE": f"{home}/pid",
        "RABBITMQ_FEATURE_FLAGS_FILE": f"{home}/feature_flags",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{home}/enabled_plugins",
        "RABBITMQ_CONFIG_FILE": f"{home}/rabbitmq.conf",
        "RABBITMQ_ADVANCED_CONFIG_FILE": f"{home}/advanced.config",
        # Idle schedulers sleep instead of spinning, because the services share these cores.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none",
        "RABBITMQ_CTL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
    }


async def amqp_answers(port: int, seconds: float = 2.0) -> str | None:
    """Return None when a broker starts an AMQP conversation; its port is open some time before it can."""
    try:
        async with asyncio.timeout(seconds):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(_AMQP_HEADER)
                answer = await reader.read(1)
            finally:
                writer.close()
    except (OSError, TimeoutError) as error:
        return f"no answer: {error}"
    return None if answer == _METHOD_FRAME else "it does not speak AMQP yet"


async def port_answers(port: int, seconds: float = 2.0) -> str | None:
    """Return None when something accepts connections on this port of loopback."""
    try:
        async with asyncio.timeout(seconds):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
    except (OSError, TimeoutError) as error:
        return f"no answer: {error}"
    writer.close()
    return None


def _configuration(node: Node) -> str:
    lines = [
        f"listeners.tcp.1 = 127.0.0.1:{node.ports['broker']}",
        f"default_user = {USER}",
        f"default_pass = {node.password}",
        "log.console = true",
        "log.console.level = warning",
        "log.file = false",
        "disk_free_limit.absolute = 50MB",
        "vm_memory_high_watermark.absolute = 1GB",
    ]
    if node.management_port is not None:
        lines += ["management.tcp.ip = 127.0.0.1", f"management.tcp.port = {node.management_port}"]
    return "\n".join(lines) + "\n"


def _password(file: Path) -> str:
    """Return the node's password. It is made once, because the node remembers the one of its first start."""
    if not file.exists():
        _write(file, secrets.token_hex(16))
    return file.read_text()


def _write(file: Path, text: str) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
        handle.write(text)
