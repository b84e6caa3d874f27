"""Checks before anything starts. Each function returns a refusal, or None when all is well."""

import asyncio
import fcntl
import os
import re
from pathlib import Path
from typing import IO

from deploy.local import ports
from deploy.local.settings import SIGNING_KEYS, Refusal, Settings, port_variable
from deploy.token_keys.__main__ import public_entry
from services.common.http.key_ring import parse_public_keys

ANSWER_SECONDS = 10.0  # on a full machine the first answer of a server takes seconds


def lock(data_dir: Path) -> IO[str] | Refusal:
    """Lock the data directory as long as the returned file is open.

    The kernel releases the lock when the process ends.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        handle = (data_dir / "lock").open("a+")
    except OSError as error:
        return Refusal(
            f"DATA_DIR {data_dir} cannot be used ({error.strerror}): set DATA_DIR to a directory of your own"
        )
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.seek(0)
        owner = handle.read().strip() or "unknown"
        handle.close()
        return Refusal(f"another `make run` (process {owner}) uses {data_dir}: stop it, or set another DATA_DIR")
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    return handle


def token_keys_fit(settings: Settings) -> Refusal | None:
    """Check the keys of tokens that the environment has; it may have none.

    All services run with one environment here, so `SIGNING_KEY`, which is one service's, has a name for each of them.
    """
    environ = settings.environ
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


def ports_free(settings: Settings) -> Refusal | None:
    """Check that the services' ports are free."""
    for service, port in settings.ports.items():
        if not ports.is_free(port):
            by = ports.holder(port)
            taken = f"port {port} is taken by {by}" if by else f"port {port} is taken"
            return Refusal(
                f"{taken}: stop it, or run with another port: make run {port_variable(service)}={port + 100}"
            )
    return None


async def servers_answer(settings: Settings) -> Refusal | None:
    """Check that the given broker and database can be reached and accept the credentials."""
    checks = []
    if settings.rabbitmq_url:
        checks.append(_broker_answers(settings.rabbitmq_url))
    if settings.mongodb_url:
        checks.append(_database_answers(settings.mongodb_url))
    refusals = await asyncio.gather(*checks)
    return next((refusal for refusal in refusals if refusal), None)


async def _broker_answers(url: str) -> Refusal | None:
    import aio_pika  # imported only for a given broker, because it takes half a second

    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await (await aio_pika.connect(url)).close()
    except Exception as error:
        return Refusal(
            f"the broker of RABBITMQ_URL cannot be reached ({_reason(error)}): "
            "start it or mend the address, or leave RABBITMQ_URL out for a private broker"
        )
    return None


async def _database_answers(url: str) -> Refusal | None:
    from pymongo import AsyncMongoClient

    try:
        client: AsyncMongoClient[dict[str, object]] = AsyncMongoClient(
            url, serverSelectionTimeoutMS=int(ANSWER_SECONDS * 1_000)
        )
        async with client:
            await client.admin.command("ping")
    except Exception as error:
        return Refusal(
            f"the database of MONGODB_URL cannot be reached ({_reason(error)}): "
            "start it or mend the address, or leave MONGODB_URL out for an embedded server"
        )
    return None


def _reason(error: Exception) -> str:
    """Return the first words of an error on one line; a time-out has no words of its own."""
    text = " ".join(str(error).split()).split(", Timeout:")[0]
    return text[:160] or f"no answer within {ANSWER_SECONDS:.0f} s"
