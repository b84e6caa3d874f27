"""The embedded MongoDB-protocol server, for development and tests: a process of its own, never imported."""

import os
import sys
from pathlib import Path

from deploy.local.processes import FRUGAL, Program
from deploy.local.rabbitmq import port_answers

PORT_NAME = "database"
PATIENCE = 4.0
"""Seconds. It stops within 2 s of SIGTERM or, rarely, hangs. Killing it loses no acknowledged write."""


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
    configuration = home / "server.toml"
    configuration.write_text("")  # given explicitly, so that the user's home and /etc are not searched
    command = (sys.executable, "-m", "secantus", "--config", str(configuration), "--host", "127.0.0.1")
    options = ("--port", str(port), "--storage-path", str(home / "data"), "--log-level", "WARNING")

    async def ready() -> str | None:
        return await port_answers(port)

    return Program("database", command + options, FRUGAL | os.environ, home, ready, 2, PATIENCE, log)
