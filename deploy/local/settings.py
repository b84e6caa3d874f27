"""Settings of `make run` from the environment, checked before anything starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

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
