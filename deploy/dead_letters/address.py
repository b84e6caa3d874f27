"""The address of the broker: RABBITMQ_URL, else the private broker of `make run`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from deploy.local import rabbitmq
from deploy.local.settings import Refusal


def broker_url(environ: Mapping[str, str], root: Path) -> str | Refusal:
    """Return the broker's AMQP address, or a refusal. A relative DATA_DIR is below the project's root."""
    if given := environ.get("RABBITMQ_URL"):
        if given.startswith(("amqp://", "amqps://")):
            return given
        return Refusal("RABBITMQ_URL must begin with amqp:// or amqps://")
    home = (root / (environ.get("DATA_DIR") or ".run")).resolve()
    try:
        port = json.loads((home / "ports.json").read_text())["broker"]
        password = (home / "broker" / "password").read_text()
    except (OSError, ValueError, KeyError, TypeError):
        return Refusal(f"there is no broker of `make run` in {home}: start it, or set RABBITMQ_URL")
    return f"amqp://{rabbitmq.USER}:{password}@127.0.0.1:{port}/?heartbeat=5"
