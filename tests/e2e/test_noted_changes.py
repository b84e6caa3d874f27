"""A change of an account or of the departments is in the access log before it is made, on a whole system.

The log is damaged in the real database, so that it cannot be written: nothing may change then.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pymongo import MongoClient

from tests.support.accounts import Account, write_accounts
from tests.support.clients import Agent, http_client
from tests.support.servers import System, running_system

ACCOUNTS = (Account("an"), Account("beheer", role="administrator"))
FORM = {"name": "Anna", "role": "agent", "departments": ["algemeen"], "capacity": 3, "locales": ["nl"]}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, shared_servers: dict[str, str]) -> Iterator[System]:
    """A system whose departments and accounts are in the database."""
    home: Path = tmp_path_factory.mktemp("noted")
    variables = {
        "ACCOUNTS_FILE": str(write_accounts(home / "accounts.toml", ACCOUNTS)),
        "CONFIG_SOURCE": "database",
    }
    with running_system(home, RATE_LIMITS="off", **variables, **shared_servers) as running:
        yield running


async def ask(person: Agent, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    async with person.http.post(f"{person.base}/api/{path}", json=body, headers={"Origin": person.base}) as answer:
        return answer.status, await answer.json()


def stored(client: MongoClient[dict[str, Any]], prefix: str) -> list[dict[str, Any]]:
    """All that presence stores of accounts and departments."""
    presence = client[f"{prefix}presence"]
    return [*presence["accounts"].find().sort("_id"), *presence["departments"].find().sort("_id")]


async def test_a_change_that_the_access_log_cannot_note_is_not_made(
    office: System, shared_servers: dict[str, str]
) -> None:
    prefix = shared_servers["MONGODB_PREFIX"]
    async with http_client(cookie_jar=aiohttp.CookieJar(unsafe=True)) as http:
        beheer = Agent(office.base_url, http, "beheer")
        assert (await beheer.log_in()).status == 204
        async with http.get(f"{office.base_url}/api/configuration") as answer:
            departments = await answer.json()
        an = {"username": "an", "revision": 1}
        requests = (
            ("accounts", {"username": "cas", "form": FORM}),
            ("accounts/change", {**an, "form": FORM}),
            ("accounts/act", {**an, "act": "make_totp"}),
            ("accounts/act", {**an, "act": "remove"}),
            ("accounts/act", {**an, "act": "make_password"}),
            ("configuration", {"version": 1, "text": departments["text"] + "# more\n"}),
        )
        with MongoClient[dict[str, Any]](shared_servers["MONGODB_URL"]) as client:
            log = client[f"{prefix}transcripts"]["access_log"]
            assert log.count_documents({}) == 0, "nothing was noted, so each note reads the end of the log"
            log.insert_one({"_id": 1, "act": "damaged"})
            before = stored(client, prefix)
            for path, body in requests:
                status, problem = await ask(beheer, path, body)
                assert (status, problem["code"]) == (503, "not_logged"), path
                assert "password" not in problem
            assert stored(client, prefix) == before
            assert log.count_documents({}) == 1

            log.delete_one({"_id": 1})
            for path, body in (requests[0], requests[-2], requests[-1]):
                assert (await ask(beheer, path, body))[0] == 200, path
            noted = [(one["act"], one["item"].partition(":")[0]) for one in log.find().sort("_id")]
            assert noted == [("account_added", "cas"), ("account_password_made", "an"), ("departments_imported", "1")]
            status, problem = await ask(beheer, "accounts/act", {**an, "act": "make_password"})
            assert (status, problem["code"], problem["by"]) == (409, "changed", "Beheer")
            assert log.count_documents({}) == 3, "what is refused is not noted"
