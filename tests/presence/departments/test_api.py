"""The routes of the departments of a process of presence whose services sign with keys: an administrator's alone."""

from pathlib import Path
from typing import Any

from services.common.http.service_tokens import AGENT_HEADER
from services.common.http.tokens import Agent
from services.common.internal_api import configuration as api
from tests.common.config.test_departments import GOOD
from tests.presence.test_service import Presence, presence
from tests.support.token_keys import PRIVATE, PUBLIC, keys_of

TEXT = {"wanted": {"base": 1, "text": GOOD + "# more\n"}}
AN = {"id": "an", "name": "An", "role": "administrator"}
REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (api.CONFIGURATION, {}),
    (api.CONFIGURATION_CHECK, {**TEXT, "year": 2027}),
    (api.CONFIGURATION_VERSIONS, {}),
    (api.CONFIGURATION_VERSION, {"version": 1}),
    (api.CONFIGURATION_STORE, {**TEXT, "by": AN}),
)


def speak(service: Presence, sender: str, agent: Agent | None = None) -> None:
    """The requests that follow are of this service, for this agent."""
    token = keys_of(sender).service_token(sender, audience="presence")
    said = keys_of("presence").agent_token(agent) if agent else None
    service.headers = {"Authorization": f"Bearer {token}", **({AGENT_HEADER: said} if said else {})}


async def test_only_an_administrator_and_the_operator_reach_them(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "departments.toml"
    file.write_text(GOOD)
    keys = {"SIGNING_KEY": PRIVATE["presence"].hex(), "VERIFICATION_KEYS": PUBLIC, "TOKEN_KEYS": "only"}
    more = {"MONGODB_PREFIX": mongodb_prefix, "CONFIG_SOURCE": "database", "DEPARTMENTS_FILE": str(file), **keys}
    supervisor = Agent(id="an", supervisor=True, departments=["algemeen"])
    async with presence(vhost_url, mongodb_url, **more) as service:
        for agent in (None, supervisor, Agent(id="an", role="auditor")):
            speak(service, "gateway", agent)
            for path, body in REQUESTS:
                assert (await service.ask(path, body))[0] == 403, (path, agent)
        speak(service, "gateway", Agent(id="bert", role="administrator"))
        assert (await service.ask(*REQUESTS[-1]))[0] == 403, "for another administrator"
        for operator in ({**AN, "role": "operator"}, {"id": "bert", "name": "Bert", "role": "operator"}):
            refused = await service.ask(api.CONFIGURATION_STORE, {**TEXT, "by": operator})
            assert (refused[0], refused[1]["code"]) == (403, "forbidden"), "as the operator"
        speak(service, "gateway", Agent(id="an", role="administrator"))
        for path, body in REQUESTS:
            assert (await service.ask(path, body))[0] == 200, path
        speak(service, "operator")
        assert (await service.ask(*REQUESTS[-1]))[0] == 403, "as an administrator"
        change = {"wanted": {"base": 2, "restore": 1}, "by": {"id": "griffie", "name": "griffie", "role": "operator"}}
        assert (await service.ask(api.CONFIGURATION_STORE, change))[1]["version"] == 3
        _, listed = await service.ask(api.CONFIGURATION_VERSIONS, {})
        assert [(v["version"], v["act"], v["by"]["id"]) for v in listed["versions"]] == [
            (3, "restored", "griffie"),
            (2, "imported", "an"),
            (1, "begun", "operator"),
        ]
        _, third = await service.ask(api.CONFIGURATION_VERSION, {"version": 3})
        assert third["changes"][-1] == {"mark": "-", "text": "# more"}
        assert (await service.ask(api.CONFIGURATION_VERSION, {"version": 9}))[0] == 404


async def test_where_the_departments_are_in_a_file_nothing_is_stored(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str
) -> None:
    async with presence(vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix) as service:
        for path, body in REQUESTS:
            status, problem = await service.ask(path, body)
            assert (status, problem["code"]) == (409, "configuration_in_file")
