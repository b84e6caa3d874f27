"""services/presence/agents/roles.py, officer_store.py: people who log in without being agents."""

from pathlib import Path

import pytest

from services.common.clock import utcnow
from services.common.config.departments import load_departments
from services.common.config.toml_file import ConfigurationError
from services.common.events.types import ButtonColour, ButtonReason
from services.common.internal_api import presence as presence_api
from services.presence.agents.accounts import Account, load_accounts_file
from services.presence.stores import Stores
from tests.presence.conftest import HASH, account, listening
from tests.presence.test_service import NEVER, heartbeats, presence, shown
from tests.support.publishers import publishing
from tests.support.servers import ROOT

DEPARTMENTS = load_departments(ROOT / "deploy/departments.toml")


def entry(username: str, more: str) -> str:
    return f'[[accounts]]\nusername = "{username}"\nname = "{username.title()}"\npassword_hash = "{HASH}"\n{more}\n'


def officer(username: str, role: str) -> Account:
    known = {"username": username, "name": username.title(), "password_hash": HASH, "role": role}
    return Account.model_validate(known)


def test_an_officer_has_no_departments_and_only_a_supervisor_takes_no_chats(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_text(
        entry("audra", 'role = "auditor"')
        + entry("beheer", 'role = "administrator"\ncapacity = 0')
        + entry("lea", 'departments = ["algemeen"]\nsupervisor = true\ncapacity = 0')
    )
    audra, beheer, lea = load_accounts_file(file, DEPARTMENTS).accounts
    assert (audra.role, audra.departments, beheer.role) == ("auditor", (), "administrator")
    assert (lea.role, lea.capacity, lea.supervisor) == (None, 0, True)
    for more, problem in (
        ('role = "auditor"\ndepartments = ["algemeen"]', "no departments"),
        ('role = "auditor"\nsupervisor = true', "no supervisor"),
        ('role = "auditor"\ncapacity = 2', "no capacity"),
        ('role = "director"', r"accounts\.0\.role"),
        ("capacity = 1", "at least one"),
        ('departments = ["algemeen"]\ncapacity = 0', "capacity = 0 is for a supervisor"),
    ):
        file.write_text(entry("x", more))
        with pytest.raises(ConfigurationError, match=problem):
            load_accounts_file(file, DEPARTMENTS)


def test_an_account_that_gets_another_role_is_another_one() -> None:
    ids = {account("x").id, officer("x", "auditor").id, officer("x", "administrator").id}
    assert len(ids) == 3, "a session of one would be a session of the other"


async def test_officers_are_stored_beside_agents_and_are_none(stores: Stores) -> None:
    audra = officer("audra", "auditor")
    accounts = (account("an"), audra)
    assert await stores.agents.put_accounts(accounts, utcnow()) == []
    assert await stores.officers.put_accounts(accounts) == []
    assert await stores.agents.agent(audra.id) is None, "a replica of version 1.1 looks for agents only"
    assert await stores.agents.password_of("audra") is None
    assert await stores.officers.password_of("audra") == (audra.id, HASH)
    found = await stores.officers.officer(audra.id)
    assert found is not None
    assert (found.name, found.role) == ("Audra", "auditor")
    assert [a.name for a in await stores.agents.colleagues(None, None)] == ["An"]


async def test_an_officer_without_an_account_and_one_whose_role_changed_cannot_log_in(stores: Stores) -> None:
    audra, beheer = officer("audra", "auditor"), officer("beheer", "administrator")
    await stores.officers.put_accounts([audra, beheer])
    changed = officer("audra", "administrator")
    barred = await stores.officers.put_accounts([changed])
    assert set(barred) == {audra.id, beheer.id}
    assert await stores.officers.officer(audra.id) is None
    assert await stores.officers.password_of("audra") == (changed.id, HASH)
    assert await stores.officers.password_of("beheer") is None


async def test_an_officer_logs_in_and_is_shown_only_to_who_knows_the_role(
    vhost_url: str, mongodb_url: str, mongodb_prefix: str, tmp_path: Path
) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(
        entry("audra", 'role = "auditor"')
        + entry("lea", 'departments = ["algemeen"]\nsupervisor = true\ncapacity = 0')
        + entry("karel", 'departments = ["algemeen"]')
    )
    variables = {"MONGODB_PREFIX": mongodb_prefix, "ACCOUNTS_FILE": str(file), "DEMO_ACCOUNTS": "off"}
    async with (
        listening(vhost_url) as observer,
        publishing(vhost_url) as publisher,
        presence(vhost_url, mongodb_url, AGENT_GRACE=NEVER, **variables) as service,
    ):
        status, session = await service.log_in("audra")
        assert (status, session["role"], session["agent"]["departments"]) == (200, "auditor", [])
        audra, token = session["agent"]["id"], session["token"]
        known = {"token": token, "roles": ["auditor", "administrator"]}
        assert (await service.ask(presence_api.SESSION_LOOKUP, known))[1]["role"] == "auditor"
        for asked in ({"token": token}, {"token": token, "roles": ["administrator"]}):
            status, problem = await service.ask(presence_api.SESSION_LOOKUP, asked)
            assert (status, problem["code"]) == (401, "unauthenticated"), "else version 1.1 takes it for an agent"

        lea = (await service.log_in("lea"))[1]["agent"]
        assert (lea["supervisor"], lea["capacity"], lea["free"]) == (True, 0, 0)
        async with heartbeats(publisher, lea["id"], audra) as gateway:
            karel = (await service.log_in("karel"))[1]["agent"]["id"]
            gateway.agents.append(karel)
            await shown(observer, ButtonColour.GREEN, ButtonReason.AVAILABLE)
            gateway.agents.remove(karel)
            token_of_karel = {"token": (await service.log_in("karel"))[1]["token"], "everywhere": True}
            await service.ask(presence_api.SESSION_END, token_of_karel)
            await shown(observer, ButtonColour.BLUE, ButtonReason.NO_AGENTS)
            _, found = await service.ask(presence_api.AGENTS, {})
            assert {a["name"]: a["online"] for a in found["agents"]} == {"Karel": False, "Lea": True}
            press = {"chat_id": "b6a36a6f-7d46-4a85-9a39-a4a1ae3a4a63", "department": "algemeen", "green": True}
            _, held = await service.ask(presence_api.HOLD, press)
            assert held == {"hold": None, "may_wait": False, "reason": "no_agents"}
        _, names = await service.ask(presence_api.NAMES, {"ids": [audra, lea["id"]], "like": "KAR"})
        assert names == {"names": {audra: "Audra", lea["id"]: "Lea", karel: "Karel"}}
        _, names = await service.ask(presence_api.NAMES, {"like": ".*"})
        assert names == {"names": {}}
        assert (await service.ask(presence_api.SESSION_END, {"token": token}))[0] == 204
        assert (await service.ask(presence_api.SESSION_LOOKUP, known))[0] == 401
