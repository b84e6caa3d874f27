"""The routes of the accounts of a process of presence whose services sign with keys: an administrator's alone."""

from pathlib import Path
from typing import Any

from services.common.internal_api import accounts as api
from tests.presence.accounts.test_changes import BEA, FILE
from tests.presence.administration import administered, require_administrator, require_file, speak
from tests.presence.conftest import HASH
from tests.presence.test_service import presence

BY = BEA.model_dump()
FORM = {"name": "Anna", "role": "agent", "departments": ["algemeen"], "capacity": 2, "locales": ["nl"]}
CHANGE = {"username": "an", "base": 1, "act": "change", "form": FORM, "by": BY}
REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    (api.ACCOUNTS, {}),
    (api.ACCOUNTS_HISTORY, {"username": "an"}),
    (api.ACCOUNTS_CHECK, CHANGE),
    (api.ACCOUNTS_CHANGE, CHANGE),
)


async def test_only_an_administrator_and_the_operator_reach_them(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(FILE)
    async with administered(vhost_url, mongodb_url, mongodb_prefix, ACCOUNTS_FILE=str(file)) as service:
        await require_administrator(service, REQUESTS)
        for path, body in REQUESTS:
            status, answer = await service.ask(path, body)
            assert status == 200, (path, answer)
            assert HASH not in str(answer)
        status, problem = await service.ask(
            api.ACCOUNTS_CHANGE, {**REQUESTS[-1][1], "base": 2, "form": {**FORM, "departments": ["weg"]}}
        )
        assert (status, problem["code"], problem["field"]) == (422, "department_unknown", "departments")
        operator = {"id": "griffie", "name": "griffie", "role": "operator"}
        for path, body in ((api.ACCOUNTS_EXPORT, {}), (api.ACCOUNTS_IMPORT, {"accounts": [], "by": BY})):
            assert (await service.ask(path, body))[0] == 403, "for an administrator"
        speak(service, "operator")
        assert (await service.ask(api.ACCOUNTS_IMPORT, {"accounts": [], "by": BY}))[0] == 403
        imported = await service.ask(api.ACCOUNTS_IMPORT, {"accounts": [], "by": operator})
        assert imported == (200, {"done": [], "meanwhile": []})
        many = [{"username": f"u{n}", "base": 0} for n in range(api.IMPORTED + 1)]
        assert (await service.ask(api.ACCOUNTS_IMPORT, {"accounts": many, "by": operator}))[0] == 422
        for secrets in (False, True):
            status, answer = await service.ask(api.ACCOUNTS_EXPORT, {"secrets": secrets})
            assert (status, HASH in str(answer)) == (200, secrets)
        wish = {"username": "an", "base": 2, "act": "undo", "of": 2, "by": operator}
        assert (await service.ask(api.ACCOUNTS_CHANGE, wish))[1]["account"]["name"] == "An"
        _, history = await service.ask(api.ACCOUNTS_HISTORY, {"username": "an"})
        assert [(e["act"], e["by"]["id"]) for e in history["entries"]] == [
            ("undone", "griffie"),
            ("changed", BEA.id),
            ("begun", "operator"),
        ]
        assert (await service.ask(api.ACCOUNTS_HISTORY, {"username": "x"}))[1]["code"] == "no_such_account"


async def test_where_the_accounts_are_in_a_file_nothing_is_stored(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str
) -> None:
    async with presence(vhost_url, mongodb_url, MONGODB_PREFIX=mongodb_prefix) as service:
        operator = {"id": "griffie", "name": "griffie", "role": "operator"}
        taken_in: dict[str, Any] = {"accounts": [], "by": operator}
        await require_file(service, (*REQUESTS, (api.ACCOUNTS_EXPORT, {}), (api.ACCOUNTS_IMPORT, taken_in)))
