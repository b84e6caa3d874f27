"""The four services as processes: their commands, their environment, and whether they are ready."""

import asyncio
import json
import os
import secrets
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from deploy.local.processes import FRUGAL, Program
from deploy.local.settings import SERVICES, SIGNING_KEYS, Settings, port_variable
from deploy.token_keys.__main__ import public_entry
from deploy.verification import PUBLIC_KEYS
from services.common.evidence import chain, ed25519
from services.common.http.key_ring import OWNERS

DRAIN_SECONDS = 20.0
DEFAULT_COMMAND = f"{shlex.quote(sys.executable)} -m services.{{name}}"
MOTOR_MAX_WORKERS = 32
KEY_FOLDER = "token_keys"  # the folder of the private keys with which services sign tokens


def programs(
    settings: Settings,
    root: Path,
    urls: Mapping[str, str],
    command: str = DEFAULT_COMMAND,
    own_ports: Mapping[str, int] | None = None,
) -> list[Program]:
    """Return one program for each replica of each service.

    Args:
        settings: Settings of this run.
        root: The project's root.
        urls: Addresses of the broker and the database, as environment variables.
        command: A shell-like line; `{name}` in it is the service.
        own_ports: For each of `names_of_replicas`, the port at which only that process answers.
    """
    environment = service_environment(settings, urls)
    table = []
    for service in SERVICES:
        argv = shlex.split(command.format(name=service))
        keys = _given_token_keys(settings, service) or token_keys(settings.data_dir, service)
        for name in settings.names(service):
            own = (own_ports or {}).get(name)
            sharing = {"PORT_SHARED": "on", "OWN_PORT": str(own)} if own else {"PORT_SHARED": "off"}
            table.append(_program(name, argv, environment | keys | sharing, root, own or settings.ports[service]))
    return table


def names_of_replicas(settings: Settings) -> list[str]:
    """Return the processes that share their service's port with others, and therefore need one of their own too."""
    return [name for service in SERVICES if settings.replicas[service] > 1 for name in settings.names(service)]


def service_environment(settings: Settings, urls: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of the services.

    It is the caller's, with defaults of a single machine for what it does not set. No service gets the private key of
    another one, or of the operator.
    """
    defaults = {
        "OFFICE_HOURS": "always",
        "FACTS_TOGETHER": "on",  # all are of one release here
        "MOTOR_MAX_WORKERS": str(MOTOR_MAX_WORKERS),
        "PYTHONUTF8": "1",
        **FRUGAL,
        **{f"{name.upper()}_URL": f"http://127.0.0.1:{settings.ports[name]}" for name in SERVICES if name != "gateway"},
    }
    of_others = {*SIGNING_KEYS.values(), "OPERATOR_KEY"}
    given = {name: value for name, value in settings.environ.items() if value and name not in of_others}
    fixed = {
        **{port_variable(name): str(port) for name, port in settings.ports.items()},
        **urls,
        "TOKEN_SECRET": settings.environ.get("TOKEN_SECRET") or _kept_secret(settings.data_dir / "token_secret"),
        "TRANSCRIPT_KEY": settings.environ.get("TRANSCRIPT_KEY") or _kept_signing_key(settings.data_dir),
        "DEMO_ACCOUNTS": "on",
        "PYTHONUNBUFFERED": "1",
    }
    return {**defaults, **given, **fixed}


def token_keys(data_dir: Path, service: str) -> dict[str, str]:
    """Return the variables of a service with the keys of this data directory: its own one, and all public ones.

    The keys are made at the first run. That of the operator is for the commands of `deploy/`.
    """
    folder = data_dir / KEY_FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    private = {owner: _kept_secret(folder / owner) for owner in OWNERS}
    public = [public_entry(owner, bytes.fromhex(key)) for owner, key in private.items()]
    own = {"SIGNING_KEY": private[service]} if service in private else {"SIGNING_KEY": ""}
    return own | {"VERIFICATION_KEYS": ",".join(public)}


def _given_token_keys(settings: Settings, service: str) -> dict[str, str]:
    """Return the variables of a service with the keys of the environment; none where it has no keys."""
    if not (public := settings.environ.get("VERIFICATION_KEYS")):
        return {}
    return {"SIGNING_KEY": settings.environ.get(SIGNING_KEYS.get(service, ""), ""), "VERIFICATION_KEYS": public}


async def http_ready(port: int, seconds: float = 3.0) -> str | None:
    """Return None when `/readyz` on this port answers 200 and all dependencies are well, else what it answers."""
    try:
        async with asyncio.timeout(seconds):
            answer = await _get(port, "/readyz")
    except (OSError, TimeoutError):
        return "no answer yet"
    head, _, body = answer.partition(b"\r\n\r\n")
    status = b"".join(head.split(b" ", 2)[1:2]).decode("ascii", "replace")
    failed = _failed_checks(body)
    return None if status == "200" and not failed else f"{status} {failed}".strip()


async def http_silent(port: int, seconds: float = 2.0) -> bool:
    """Return whether a request to `/healthz` on this port gets no answer. A port that refuses is not silent."""
    try:
        async with asyncio.timeout(seconds):
            await _get(port, "/healthz")
    except TimeoutError:
        return True
    except OSError:
        return False
    return False


async def _get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        return await reader.read(-1)
    finally:
        writer.close()


def _failed_checks(body: bytes) -> str:
    """Return the readiness checks that are not ok, or the answer itself when it is not understood."""
    try:
        checks = json.loads(body)["checks"]
        return " ".join(f"{name}={state}" for name, state in checks.items() if state != "ok")
    except (ValueError, KeyError, TypeError, AttributeError):
        return body.decode("utf-8", "replace")[:300]


def _program(name: str, argv: Sequence[str], environment: Mapping[str, str], root: Path, port: int) -> Program:
    async def ready() -> str | None:
        return await http_ready(port)

    async def silent() -> bool:
        return await http_silent(port)

    return Program(name, tuple(argv), environment, root, ready, 3, DRAIN_SECONDS, port=port, silent=silent)


def _kept_secret(file: Path) -> str:
    """Return the secret of this data directory.

    It is made at the first run, so that tokens and cookies outlive a restart.
    """
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as handle:
            handle.write(secrets.token_hex(32))
    return file.read_text()


def _kept_signing_key(data_dir: Path) -> str:
    """Return the key of this data directory that signs transcripts. Its public key is written for `make verify`."""
    key = _kept_secret(data_dir / "transcript_key")
    public = chain.jwk(ed25519.public_key_of(bytes.fromhex(key)))
    (data_dir / PUBLIC_KEYS).write_text(json.dumps({"keys": [public]}))
    return key
