"""Settings of `make run` from the environment, checked before anything starts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from deploy.token_keys.__main__ import public_entry
from services.common.http.key_ring import parse_public_keys

SERVICES = {"gateway": 8000, "presence": 8001, "routing": 8002, "transcripts": 8003}
"""The four services and their default ports."""

EX_CONFIG = 78
"""Exit status of a service that refuses its settings (sysexits.h): a restart does not help."""

MOST_REPLICAS = 9

SIGNING_KEYS = {"gateway": "GATEWAY_SIGNING_KEY", "presence": "PRESENCE_SIGNING_KEY"}
"""The variable with the private key of each service that signs tokens, as in the environment of Compose."""


@dataclass(frozen=True)
class Refusal:
    """Why the system does not start: one line that says what to do about it."""

    text: str
    status: int = 1


@dataclass(frozen=True)
class Settings:
    """Valid settings. A URL that is None means that a private server is started."""

    data_dir: Path
    ports: Mapping[str, int]
    rabbitmq_url: str | None
    mongodb_url: str | None
    environ: Mapping[str, str]
    replicas: Mapping[str, int] = field(default_factory=lambda: dict.fromkeys(SERVICES, 1))

    def names(self, service: str) -> list[str]:
        """Return the names of a service's processes: the service's name, or numbered names when there are several."""
        count = self.replicas[service]
        return [service] if count == 1 else [f"{service}-{number}" for number in range(1, count + 1)]


def port_variable(service: str) -> str:
    """Return the environment variable that sets a service's port."""
    return f"{service.upper()}_PORT"


def read_settings(environ: Mapping[str, str], root: Path) -> Settings | Refusal:
    """Return settings from environment variables, or a refusal. A relative DATA_DIR is below the project's root."""
    ports: dict[str, int] = {}
    for service, default in SERVICES.items():
        text = environ.get(port_variable(service), "").strip() or str(default)
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 65_535):
            return Refusal(f"{port_variable(service)}={text} is not a port: give a number from 1 to 65535")
        port = int(text)
        if port in ports.values():
            other = next(name for name, used in ports.items() if used == port)
            pair = f"{port_variable(service)} and {port_variable(other)}"
            return Refusal(f"{pair} are both {port}: give each service a port of its own")
        ports[service] = port
    rabbitmq_url, mongodb_url = environ.get("RABBITMQ_URL") or None, environ.get("MONGODB_URL") or None
    if rabbitmq_url and not rabbitmq_url.startswith(("amqp://", "amqps://")):
        return Refusal("RABBITMQ_URL must begin with amqp:// or amqps://; leave it out for a private broker")
    if mongodb_url and not mongodb_url.startswith(("mongodb://", "mongodb+srv://")):
        return Refusal("MONGODB_URL must begin with mongodb:// or mongodb+srv://; leave it out for an embedded server")
    replicas = _read_replicas(environ.get("REPLICAS", "").strip())
    if isinstance(replicas, Refusal):
        return replicas
    if refusal := _token_keys_refused(environ):
        return refusal
    data_dir = (root / (environ.get("DATA_DIR") or ".run")).resolve()
    return Settings(data_dir, ports, rabbitmq_url, mongodb_url, dict(environ), replicas)


def _read_replicas(text: str) -> dict[str, int] | Refusal:
    """Return the number of replicas of each service, or a refusal.

    `3`: so many of each service. `gateway=2,routing=3`: of these, and one of each other.
    """
    counts: dict[str, int] = {}
    for part in text.split(",") if "=" in text else [f"{service}={text or 1}" for service in SERVICES]:
        service, _, count = (piece.strip() for piece in part.partition("="))
        if service not in SERVICES or service in counts or count not in map(str, range(1, MOST_REPLICAS + 1)):
            return Refusal(
                f"REPLICAS={text} is not understood: give a number from 1 to {MOST_REPLICAS} for all services, "
                f"or one for some, as in gateway=2,routing=3 (of {', '.join(SERVICES)})"
            )
        counts[service] = int(count)
    return dict.fromkeys(SERVICES, 1) | counts


def _token_keys_refused(environ: Mapping[str, str]) -> Refusal | None:
    """Return why the keys of tokens that the environment has cannot be used; None when they can, or there are none.

    All services run with one environment here, so `SIGNING_KEY`, which is one service's, has a name for each of them.
    """
    if environ.get("SIGNING_KEY"):
        return Refusal(f"SIGNING_KEY is the key of one service: give {' and '.join(SIGNING_KEYS.values())}")
    wanted = (*SIGNING_KEYS.values(), "VERIFICATION_KEYS")
    if not any(environ.get(name) for name in wanted):
        return None
    if missing := [name for name in wanted if not environ.get(name)]:
        return Refusal(f"{' and '.join(missing)} must be given too: give all of {', '.join(wanted)}, or none of them")
    try:
        public = {(one.owner, one.key) for one in parse_public_keys(environ["VERIFICATION_KEYS"])}
    except ValueError as error:
        return Refusal(f"VERIFICATION_KEYS {error}")
    for service, name in SIGNING_KEYS.items():
        if not re.fullmatch("[0-9a-fA-F]{64}", environ[name]):
            return Refusal(f"{name} must have 64 hexadecimal digits (make token-keys)")
        (own,) = parse_public_keys(public_entry(service, bytes.fromhex(environ[name])))
        if (own.owner, own.key) not in public:
            return Refusal(f"VERIFICATION_KEYS lacks the public key of {name}: no service would accept its tokens")
    return None
