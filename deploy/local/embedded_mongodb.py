"""The embedded MongoDB-protocol server, for development and tests: a process of its own, never imported."""

import os
import sys
from pathlib import Path

from deploy.local.processes import FRUGAL, Program
from deploy.local.rabbitmq import port_answers

PORT_NAME = "database"
PATIENCE = 4.0
"""Seconds. It stops within 2 s of SIGTERM or, rarely, hangs. Killing it loses no acknowledged write."""
CONFIGURATION = """\
[storage]
cache_size = "4G"
"""
"""What is not the default: the most memory for its cache. It takes what it needs.

It stands still for good when a tenth of the cache is changes that it cannot write out yet, as those are that a reader
with an older view of the data still sees. With its default of 1 GiB whole runs of the tests came to that.
"""


def url(port: int) -> str:
    """Return the server's address.

    Only journalled writes survive a crash of this server, and its support for retryable writes slows every write down.
    The address sets both options, so that the services need not know which server they use.
    """
    return f"mongodb://127.0.0.1:{port}/?directConnection=true&retryWrites=false&w=majority&journal=true"


def program(home: Path, port: int, log: Path) -> Program:
    """Return the server's program, with its data under `home`."""
    home.mkdir(parents=True, exist_ok=True)
    home.chmod(0o700)
    configuration = home / "server.toml"  # given explicitly, so that the user's home and /etc are not searched
    configuration.write_text(CONFIGURATION)
    command = (sys.executable, "-m", "secantus", "--config", str(configuration), "--host", "127.0.0.1")
    options = ("--port", str(port), "--storage-path", str(home / "data"), "--log-level", "WARNING")

    async def ready() -> str | None:
        return await port_answers(port)

    return Program("database", command + options, FRUGAL | os.environ, home, ready, 2, PATIENCE, log)
