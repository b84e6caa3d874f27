"""The routes of the departments of a process of presence whose services sign with keys: an administrator's alone."""

from pathlib import Path
from typing import Any

from services.common.http.tokens import Agent
from services.common.internal_api import accounts
from services.common.internal_api import configuration as api
from tests.common.config.test_departments import GOOD
from tests.presence.accounts.test_changes import BEA, FILE
from tests.presence.administration import administered, require_administrator, require_file, speak
from tests.presence.test_service import presence

TEXT = {"wanted": {"base": 1, "text": GOOD + "# more\n"}}
BY = BEA.model_dump()
REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (api.CONFIGURATION, {}),
    (api.CONFIGURATION_CHECK, {**TEXT, "year": 2027}),
    (api.CONFIGURATION_VERSIONS, {}),
    (api.CONFIGURATION_VERSION, {"version": 1}),
    (api.CONFIGURATION_STORE, {**TEXT, "by": BY}),
)


async def test_only_an_administrator_and_the_operator_reach_them(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    files = {"DEPARTMENTS_FILE": tmp_path / "departments.toml", "ACCOUNTS_FILE": tmp_path / "accounts.toml"}
    files["DEPARTMENTS_FILE"].write_text(GOOD)
    files["ACCOUNTS_FILE"].write_text(FILE)
    variables = {name: str(file) for name, file in files.items()}
    async with administered(vhost_url, mongodb_url, mongodb_prefix, **variables) as service:
        await require_administrator(service, REQUESTS)
        for path, body in REQUESTS:
            assert (await service.ask(path, body))[0] == 200, path
        speak(service, "operator")
        change = {"wanted": {"base": 2, "restore": 1}, "by": {"id": "griffie", "name": "griffie", "role": "operator"}}
        assert (await service.ask(api.CONFIGURATION_STORE, change))[1]["version"] == 3
        _, listed = await service.ask(api.CONFIGURATION_VERSIONS, {})
        assert [(v["version"], v["act"], v["by"]["id"]) for v in listed["versions"]] == [
            (3, "restored", "griffie"),
            (2, "imported", BEA.id),
            (1, "begun", "operator"),
        ]
        _, third = await service.ask(api.CONFIGURATION_VERSION, {"version": 3})
        assert third["changes"][-1] == {"mark": "-", "text": "# more"}
        assert (await service.ask(api.CONFIGURATION_VERSION, {"version": 9}))[0] == 404
        operator = {"id": "griffie", "name": "griffie", "role": "operator"}
        blocked = {"username": "bea", "base": 1, "act": "disable", "by": operator}
        assert (await service.ask(accounts.ACCOUNTS_CHANGE, blocked))[0] == 200
        speak(service, "gateway", Agent(id=BEA.id, role="administrator"))  # their session ends some seconds later
        change = {"wanted": {"base": 3, "restore": 1}, "by": BY}
        status, problem = await service.ask(api.CONFIGURATION_STORE, change)
        assert (status, problem["code"]) == (403, "forbidden")


async def test_where_the_departments_are_in_a_file_nothing_is_stored(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str
) -> None:
    async with presence(vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix) as service:
        await require_file(service, REQUESTS)
