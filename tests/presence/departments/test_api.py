"""The routes of the departments of a process of presence whose services sign with keys: an administrator's alone."""

from pathlib import Path
from typing import Any

from services.common.internal_api import configuration as api
from tests.common.config.test_departments import GOOD
from tests.presence.administration import administered, require_administrator, require_file, speak
from tests.presence.test_service import presence

TEXT = {"wanted": {"base": 1, "text": GOOD + "# more\n"}}
AN = {"id": "an", "name": "An", "role": "administrator"}
REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (api.CONFIGURATION, {}),
    (api.CONFIGURATION_CHECK, {**TEXT, "year": 2027}),
    (api.CONFIGURATION_VERSIONS, {}),
    (api.CONFIGURATION_VERSION, {"version": 1}),
    (api.CONFIGURATION_STORE, {**TEXT, "by": AN}),
)


async def test_only_an_administrator_and_the_operator_reach_them(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "departments.toml"
    file.write_text(GOOD)
    async with administered(vhost_url, mongodb_url, mongodb_prefix, DEPARTMENTS_FILE=str(file)) as service:
        await require_administrator(service, REQUESTS)
        for path, body in REQUESTS:
            assert (await service.ask(path, body))[0] == 200, path
        speak(service, "operator")
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
        await require_file(service, REQUESTS)
