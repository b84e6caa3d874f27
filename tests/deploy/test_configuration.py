"""`make configuration-import` and `make configuration-export`, with presence and transcripts as processes."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from deploy.configuration.__main__ import import_file, main
from deploy.erasures.services import Refused, Services
from deploy.local import ports
from services.common.clock import utcnow
from services.common.events.types import Record
from services.common.http.tokens import Keys
from services.common.internal_api.configuration import (
    CONFIGURATION,
    CONFIGURATION_CHECK,
    CONFIGURATION_STORE,
    Author,
    Version,
)
from services.common.internal_api.transcripts import ACCESS_LOG, ACCESS_NOTE, AccessNoted
from tests.common.config.test_departments import GOOD, NAMES
from tests.presence.conftest import SECRET, eventually
from tests.presence.test_service import START_PATIENCE, presence
from tests.support.servers import OUR_VARIABLES, ROOT

SECOND = f'# de tweede\n[[departments]]\nid = "premies"\n{NAMES}\n'
WEBHOOK = """[[webhooks]]
id = "crm"
url = "https://crm.example/hook"
events = ["chat.closed"]
secrets = ["env:CRM_SECRET"]
departments = ["algemeen"]
"""


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


async def test_a_file_goes_in_and_out_and_a_wrong_one_changes_nothing(
    vhost_url: str,
    mongodb_url: str,
    mongodb_prefix: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    seed, given, integrations = tmp_path / "seed.toml", tmp_path / "given.toml", tmp_path / "integrations.toml"
    seed.write_text(GOOD)
    integrations.write_text(WEBHOOK)
    both = {"MONGODB_PREFIX": mongodb_prefix, "CONFIG_SOURCE": "database", "DEPARTMENTS_FILE": str(seed)}
    more = {"RABBITMQ_URL": vhost_url, "MONGODB_URL": mongodb_url, "INTEGRATIONS_FILE": str(integrations)}

    async def run(*arguments: str) -> tuple[int, str, str]:
        status = await asyncio.to_thread(main, list(arguments))
        return status, *capsys.readouterr()

    async with presence(vhost_url, mongodb_url, **both) as one, transcripts(**both, **more) as url:
        for name, value in {"PRESENCE_URL": one.url, "TRANSCRIPTS_URL": url, "TOKEN_SECRET": SECRET}.items():
            monkeypatch.setenv(name, value)
        given.write_text(GOOD + SECOND)
        assert await run("import", str(given), "--by=griffie") == (0, "version 2 has algemeen, premies\n", "")
        assert (await run("import", str(given)))[:2] == (0, "version 2 is the same already: nothing was stored\n")
        assert await run("export") == (0, GOOD + SECOND, "")
        out = tmp_path / "out.toml"
        status, words, _ = await run("export", str(out))
        assert (status, "by griffie" in words, out.read_text()) == (0, True, GOOD + SECOND)
        assert (await run("export", str(out)))[0] == 1, "an existing file stays"
        for text, why in (
            (GOOD + "colour = 1\n", "department 'algemeen'.colour"),
            (GOOD.replace("algemeen", "wonen"), "'crm': there is no department 'algemeen'"),
        ):
            given.write_text(text)
            status, _, refusal = await run("import", str(given))
            assert (status, why in refusal) == (1, True), refusal
        assert (await run("import", str(tmp_path / "none.toml")))[0] == 1
        assert (await run("export"))[1] == GOOD + SECOND
        headers = {"Authorization": f"Bearer {Keys(SECRET).service_token('operator', audience='transcripts')}"}
        query = {"by": "griffie", "after": 0}
        async with aiohttp.ClientSession(headers=headers) as http, http.post(url + ACCESS_LOG, json=query) as answer:
            entries = (await answer.json())["entries"]
        found = [(e["act"], e["who"], e["role"], e["item"]) for e in entries if e["act"].startswith("departments_")]
        assert found == [("departments_imported", "griffie", "operator", "1:2")]


def test_the_access_log_has_an_import_before_it_is_done(tmp_path: Path) -> None:
    """A command that ends in between, and is repeated, would find its version there and log nothing."""
    file, asked = tmp_path / "departments.toml", list[str]()
    file.write_text(GOOD + SECOND)
    version = Version(version=4, at=utcnow(), by=Author(id="an", name="An", role="administrator"), act="imported")
    answers = {
        CONFIGURATION: {**version.model_dump(), "text": GOOD, "departments": {}},
        CONFIGURATION_CHECK: {"text": GOOD + SECOND, "departments": ["algemeen", "premies"], "buttons": []},
    }

    class Interrupted(Services):
        def ask(self, service: str, path: str, body: Record) -> Any:
            asked.append(path)
            if path == ACCESS_NOTE:
                assert isinstance(body, AccessNoted)
                assert (body.act, body.item, body.reader.agent_id) == ("departments_imported", "4:5", "griffie")
                raise Refused("transcripts does not answer")
            return answers.get(path)

    with pytest.raises(Refused, match="does not answer"):
        import_file(Interrupted({}, Keys(SECRET)), file, "griffie")
    assert CONFIGURATION_STORE not in asked


def test_what_is_wrong_with_the_arguments_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["import"])
    assert (caught.value.code, "file" in capsys.readouterr().err) == (2, True)
