"""Presence and transcripts as processes, as the operator's commands meet them."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from deploy.local import ports
from services.common.http.tokens import Keys
from services.common.internal_api.transcripts import ACCESS_LOG
from tests.presence.conftest import SECRET, eventually
from tests.presence.test_service import START_PATIENCE, Presence, presence
from tests.support.servers import OUR_VARIABLES, ROOT


@contextlib.asynccontextmanager
async def transcripts(**variables: str) -> AsyncIterator[str]:
    """The address of the service; ready when the context begins."""
    port = ports.pick()
    environment = {name: value for name, value in os.environ.items() if name not in OUR_VARIABLES}
    environment |= {
        "TOKEN_SECRET": SECRET,
        "TRANSCRIPTS_PORT": str(port),
        "CRM_SECRET": "whsec_" + "QUFB" * 8,
        **variables,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.transcripts", cwd=ROOT, env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    url = f"http://127.0.0.1:{port}"

    async def is_ready() -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with aiohttp.ClientSession() as http, http.get(f"{url}/readyz") as answer:
                return answer.status == 200 and (await answer.json())["status"] == "ok"
        return False

    try:
        await eventually(is_ready, "transcripts", START_PATIENCE)
        yield url
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


@dataclass
class OperatorSystem:
    """The two services, and a command that finds them by its environment."""

    presence: Presence
    transcripts_url: str
    capsys: pytest.CaptureFixture[str]

    async def run(self, command: Callable[[list[str]], int], *arguments: str) -> tuple[int, str, str]:
        """Run a command with these arguments. Return its status, its output and its errors."""
        status = await asyncio.to_thread(command, list(arguments))
        return status, *self.capsys.readouterr()

    async def logged(self, *acts: str) -> list[tuple[str, str, str, str | None]]:
        """Return act, who, role and item of the entries of the access log with these acts."""
        headers = {"Authorization": f"Bearer {Keys(SECRET).service_token('operator', audience='transcripts')}"}
        body: dict[str, Any] = {"by": "griffie", "after": 0}
        url = self.transcripts_url + ACCESS_LOG
        async with aiohttp.ClientSession(headers=headers) as http, http.post(url, json=body) as answer:
            entries = (await answer.json())["entries"]
        return [(e["act"], e["who"], e["role"], e.get("item")) for e in entries if e["act"] in acts]


@contextlib.asynccontextmanager
async def operator_system(
    servers: tuple[str, str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    of_transcripts: Mapping[str, str] | None = None,
    **variables: str,
) -> AsyncIterator[OperatorSystem]:
    """The services, with their configuration in the database.

    Args:
        servers: The addresses of a virtual host and of the database, and the prefix of the databases.
        monkeypatch: Sets the environment of the commands.
        capsys: Captures what they print.
        of_transcripts: Variables of transcripts alone.
        variables: Variables of both services.
    """
    rabbitmq_url, mongodb_url, prefix = servers
    both = {"MONGODB_PREFIX": prefix, "CONFIG_SOURCE": "database", **variables}
    more = {"RABBITMQ_URL": rabbitmq_url, "MONGODB_URL": mongodb_url, **(of_transcripts or {})}
    async with presence(rabbitmq_url, mongodb_url, **both) as one, transcripts(**both, **more) as url:
        for name, value in {"PRESENCE_URL": one.url, "TRANSCRIPTS_URL": url, "TOKEN_SECRET": SECRET}.items():
            monkeypatch.setenv(name, value)
        yield OperatorSystem(one, url, capsys)


MakeOperatorSystem = Callable[..., AbstractAsyncContextManager[OperatorSystem]]
"""`operator_system` with its servers: takes `of_transcripts` and the variables of both services."""
