"""The routes of the accounts of a process of presence whose services sign with keys: an administrator's alone."""

from pathlib import Path
from typing import Any

from services.common.http.service_tokens import AGENT_HEADER
from services.common.http.tokens import Agent
from services.common.internal_api import accounts as api
from tests.presence.accounts.test_changes import FILE
from tests.presence.conftest import HASH
from tests.presence.test_service import Presence, presence
from tests.support.token_keys import PRIVATE, PUBLIC, keys_of

AUDRA = {"id": "audra", "name": "Audra", "role": "administrator"}
FORM = {"name": "Anna", "role": "agent", "departments": ["algemeen"], "capacity": 2, "locales": ["nl"]}
REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (api.ACCOUNTS, {}),
    (api.ACCOUNTS_HISTORY, {"username": "an"}),
    (api.ACCOUNTS_CHANGE, {"username": "an", "base": 1, "act": "change", "form": FORM, "by": AUDRA}),
)


def speak(service: Presence, sender: str, agent: Agent | None = None) -> None:
    """The requests that follow are of this service, for this agent."""
    token = keys_of(sender).service_token(sender, audience="presence")
    said = keys_of("presence").agent_token(agent) if agent else None
    service.headers = {"Authorization": f"Bearer {token}", **({AGENT_HEADER: said} if said else {})}


async def test_only_an_administrator_and_the_operator_reach_them(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(FILE)
    keys = {"SIGNING_KEY": PRIVATE["presence"].hex(), "VERIFICATION_KEYS": PUBLIC, "TOKEN_KEYS": "only"}
    more = {"MONGODB_PREFIX": mongodb_prefix, "CONFIG_SOURCE": "database", "ACCOUNTS_FILE": str(file), **keys}
    supervisor = Agent(id="audra", supervisor=True, departments=["algemeen"])
    async with presence(vhost_url, mongodb_url, **more) as service:
        for refused in (None, supervisor, Agent(id="audra", role="auditor")):
            speak(service, "gateway", refused)
            for path, body in REQUESTS:
                assert (await service.ask(path, body))[0] == 403, (path, refused)
        speak(service, "gateway", Agent(id="bert", role="administrator"))
        assert (await service.ask(*REQUESTS[-1]))[0] == 403, "for another administrator"
        speak(service, "gateway", Agent(id="audra", role="administrator"))
        for path, body in REQUESTS:
            status, answer = await service.ask(path, body)
            assert status == 200, (path, answer)
            assert HASH not in str(answer)
        status, problem = await service.ask(
            api.ACCOUNTS_CHANGE, {**REQUESTS[-1][1], "base": 2, "form": {**FORM, "departments": ["weg"]}}
        )
        assert (status, problem["code"], problem["field"]) == (422, "department_unknown", "departments")
        speak(service, "operator")
        operator = {"id": "griffie", "name": "griffie", "role": "operator"}
        wish = {"username": "an", "base": 2, "act": "undo", "of": 2, "by": operator}
        assert (await service.ask(api.ACCOUNTS_CHANGE, wish))[1]["account"]["name"] == "An"
        _, history = await service.ask(api.ACCOUNTS_HISTORY, {"username": "an"})
        assert [(e["act"], e["by"]["id"]) for e in history["entries"]] == [
            ("undone", "griffie"),
            ("changed", "audra"),
            ("begun", "operator"),
        ]
        assert (await service.ask(api.ACCOUNTS_HISTORY, {"username": "x"}))[1]["code"] == "no_such_account"


async def test_where_the_accounts_are_in_a_file_nothing_is_stored(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str
) -> None:
    async with presence(vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix) as service:
        for path, body in REQUESTS:
            status, problem = await service.ask(path, body)
            assert (status, problem["code"]) == (409, "configuration_in_file")
