"""A whole system that accepts tokens of keys alone: what a service that was taken over can and cannot ask."""

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import aiohttp
import pytest

from deploy.local.service_programs import KEY_FOLDER, token_keys
from services.common.http.key_ring import KeyRing
from services.common.http.service_tokens import AGENT_HEADER
from services.common.http.tokens import Actor, Agent, Keys
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.transcripts import AccessVerify, QuestionsQuery, Reader
from tests.support.clients import agent, citizen, pair
from tests.support.servers import OUR_VARIABLES, PATIENCE, ROOT, System, running_system

SECRET = "a secret of the tests alone, long enough"


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory, shared_servers: dict[str, str]) -> Iterator[System]:
    home = tmp_path_factory.mktemp("strict")
    with running_system(home, RATE_LIMITS="off", TOKEN_SECRET=SECRET, TOKEN_KEYS="only", **shared_servers) as running:
        yield running


def keys_of(system: System, owner: str) -> Keys:
    """What this service would sign with, or one that has its key."""
    private = bytes.fromhex((system.data_dir / KEY_FOLDER / owner).read_text())
    return Keys(SECRET, ring=KeyRing(owner, private, []), stage="only")


async def ask(system: System, path: str, body: Any, token: str, said: str | None = None) -> tuple[int, str]:
    """The status and the code of what transcripts answers."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    headers |= {AGENT_HEADER: said} if said else {}
    url = f"http://127.0.0.1:{system.ports['transcripts']}{path}"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        document = await answer.json(content_type=None)
        return answer.status, str(document.get("code", "")) if isinstance(document, dict) else ""


async def test_a_conversation_goes_as_ever(strict: System) -> None:
    async with agent(strict.base_url) as an, citizen(strict.base_url) as visitor:
        theirs, _ = await pair(visitor, an)
        await theirs.send(type="close")
        await theirs.expect("closed")
        for client, headers in ((an.http, {}), (visitor.http, {"Authorization": f"Bearer {visitor.token}"})):
            url = f"{strict.base_url}/api/chats/{visitor.chat_id}/transcript?format=json"
            async with client.get(url, headers=headers) as answer:
                assert answer.status == 200


async def test_the_shared_secret_opens_nothing(strict: System) -> None:
    for keys in (Keys(SECRET), Keys(SECRET, ring=KeyRing("transcripts", None, []))):
        token = keys.service_token("gateway", Actor(party="citizen", id="x"), "transcripts")
        assert await ask(strict, transcripts_api.QUESTIONS, "{}", token) == (401, "unauthenticated")


async def test_a_gateway_that_was_taken_over_is_no_agent(strict: System) -> None:
    gateway, presence = keys_of(strict, "gateway"), keys_of(strict, "presence")
    token = gateway.service_token("gateway", None, "transcripts")
    reader = Reader(agent_id="sofie", supervisor=True)
    wanted = QuestionsQuery(departments=["algemeen"], reader=reader).model_dump_json()
    assert await ask(strict, transcripts_api.QUESTIONS, wanted, token) == (403, "forbidden")
    unsaid = QuestionsQuery(departments=["algemeen"]).model_dump_json()
    assert await ask(strict, transcripts_api.QUESTIONS, unsaid, token) == (403, "forbidden")
    pretended = gateway.agent_token(Agent(id="sofie", supervisor=True, departments=["algemeen"]))
    assert await ask(strict, transcripts_api.QUESTIONS, wanted, token, pretended) == (401, "unauthenticated")
    other = presence.agent_token(Agent(id="an", departments=["algemeen"]))
    assert await ask(strict, transcripts_api.QUESTIONS, wanted, token, other) == (403, "forbidden")
    said = presence.agent_token(Agent(id="sofie", supervisor=True, departments=["algemeen"]))
    assert await ask(strict, transcripts_api.QUESTIONS, wanted, token, said) == (200, "")
    auditor = AccessVerify(by=Reader(agent_id="sofie", role="auditor")).model_dump_json()
    assert await ask(strict, transcripts_api.ACCESS_VERIFY, auditor, token, said) == (403, "forbidden")


async def test_presence_and_a_token_for_another_service_open_nothing(strict: System) -> None:
    by_presence = keys_of(strict, "presence").service_token("presence", None, "transcripts")
    assert await ask(strict, transcripts_api.QUESTIONS, "{}", by_presence) == (401, "unauthenticated")
    for_routing = keys_of(strict, "gateway").service_token("gateway", None, "routing")
    assert await ask(strict, transcripts_api.QUESTIONS, "{}", for_routing) == (401, "unauthenticated")


def test_each_process_holds_its_own_key_alone(strict: System) -> None:
    private = {
        owner: (strict.data_dir / KEY_FOLDER / owner).read_text() for owner in ("gateway", "presence", "operator")
    }
    assert len(set(private.values())) == 3
    for service in ("gateway", "presence", "routing", "transcripts"):
        held = token_keys(strict.data_dir, service)
        assert held["SIGNING_KEY"] == private.get(service, "")
        assert not [owner for owner, key in private.items() if owner != service and key in str(held)]


def test_the_operators_commands_have_their_own_key(strict: System) -> None:
    kept = {name: value for name, value in os.environ.items() if name not in OUR_VARIABLES}
    port = str(strict.ports["transcripts"])
    environ = {**kept, "DATA_DIR": str(strict.data_dir), "TRANSCRIPTS_PORT": port}
    command = [sys.executable, "-m", "deploy.access_log", "--by", "the test"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=5 * PATIENCE)
    assert done.returncode == 0, done.stdout + done.stderr
    refused = subprocess.run(
        command, cwd=ROOT, env=environ | {"TOKEN_SECRET": SECRET}, capture_output=True, text=True, timeout=5 * PATIENCE
    )
    assert refused.returncode != 0
