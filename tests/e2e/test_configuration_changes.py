"""Departments, hours and accounts change while chats run: no process is restarted, and nothing is lost.

A wrong file changes nothing and is told; presence may be killed in the middle of a change.
"""

import asyncio
import json
import os
import re
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from operator import ne
from pathlib import Path

import aiohttp
import pytest

from deploy.accounts.__main__ import main as make_agent
from tests.support.accounts import Account, weak_hash, write_accounts
from tests.support.browsers.systems import DEPARTMENTS
from tests.support.clients import (
    Agent,
    Citizen,
    Frame,
    Socket,
    agent,
    button,
    citizen,
    http_client,
    pair,
    say,
    until,
    until_green,
)
from tests.support.faults import SERVICES, dead_letters, ready, replaced, strike
from tests.support.servers import PATIENCE, System, running_system

pytestmark = pytest.mark.e2e
APPLIED = 'eloket_configuration_changes_total{outcome="applied"}'
NEW = """
[[departments]]
id = "nieuw"
names = { nl = "Nieuwe dienst", fr = "Nouveau service", de = "Neuer Dienst", en = "New service" }
hours = "always"
"""
ACCOUNTS = (
    Account("an", capacity=2, departments=("algemeen",)),
    Account("bert", capacity=2, departments=("algemeen",)),
)


class Office:
    """A system with the files that it watches."""

    def __init__(self, system: System, home: Path) -> None:
        self.system, self.departments, self.accounts = system, home / "departments.toml", home / "accounts.toml"

    def put(self, file: Path, text: str) -> None:
        """Replace a file at once, as an editor or the kubelet does."""
        beside = file.with_suffix(".new")
        beside.write_text(text, "utf-8")
        os.replace(beside, file)

    def metric(self, service: str, name: str) -> float:
        """The value of a metric of this service."""
        with urllib.request.urlopen(f"{self.system.url(service)}/metrics", timeout=PATIENCE) as answer:
            text = answer.read().decode()
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
        assert found, name
        return float(found.group(1))

    def put_accounts(self, *accounts: Account) -> None:
        """Replace the accounts file at once."""
        beside = write_accounts(self.accounts.with_suffix(".new"), accounts)
        os.replace(beside, self.accounts)

    async def until_refused(self, *services: str, value: int = 1) -> None:
        """Return when each of these services refuses what is in the files, or with 0 no longer does."""
        for service in services:
            await self.until(service, "eloket_configuration_refused", lambda found: found == value)

    async def until(self, service: str, name: str, condition: Callable[[float], bool]) -> None:
        """Return when the condition holds for this metric of the service."""
        async with asyncio.timeout(PATIENCE):
            while not condition(await asyncio.to_thread(self.metric, service, name)):
                await asyncio.sleep(0.1)

    async def put_and_wait(self, text: str, *services: str) -> None:
        """Replace the departments file, and return when these services have applied it."""
        before = {service: self.metric(service, APPLIED) for service in services}
        self.put(self.departments, text)
        for service, number in before.items():
            await self.until(service, APPLIED, partial(ne, number))


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    home = tmp_path_factory.mktemp("configuration")
    (home / "departments.toml").write_text(DEPARTMENTS.read_text("utf-8"), "utf-8")
    write_accounts(home / "accounts.toml", ACCOUNTS)
    variables = {
        "DEPARTMENTS_FILE": str(home / "departments.toml"),
        "ACCOUNTS_FILE": str(home / "accounts.toml"),
        "OFFICE_HOURS": "always",
        "RATE_LIMITS": "off",
        "AGENT_GRACE": "60",
    }
    with running_system(home, **variables) as system:
        yield Office(system, home)


async def reconnected(ours: Agent) -> Frame:
    """The welcome of the connection that follows one that the gateway has closed as if it were restarted."""
    assert await ours.socket.closed() == 1012
    return await ours.connect()


async def texts(visitor: Citizen) -> list[str]:
    """What citizen and agents have written, by the transcript."""
    answer = await visitor.transcript()
    assert answer.status == 200
    return [one["text"] for one in json.loads(await answer.text())["messages"] if one["from"] != "system"]


def another_day() -> str:
    """The day of the week that is as far as can be from now, in every time zone."""
    return f"{datetime.now(UTC) + timedelta(days=3):%a}"


async def about(base: str, department: str) -> int:
    async with http_client() as session:
        return (await session.get(f"{base}/api/departments/{department}")).status


async def turn(number: int, visitor: Citizen, theirs: Socket, ours: Socket) -> list[str]:
    """One message in each direction, each with its receipt and shown to the other one."""
    said = [f"vraag {number}", f"antwoord {number}"]
    await say(theirs, said[0])
    await ours.expect("message", text=said[0], chat_id=visitor.chat_id)
    await say(ours, said[1], visitor.chat_id)
    await theirs.expect("message", text=said[1])
    return said


async def test_departments_come_change_and_go_while_chats_run(office: Office) -> None:
    base, original = office.system.base_url, office.departments.read_text("utf-8")
    pids = office.system.pids()
    async with agent(base, "bert") as bert, agent(base, "an") as an, citizen(base) as one, citizen(base) as two:
        await an.socket.send(type="state", state="paused")
        await an.socket.expect("state", state="paused")
        theirs, ours = await pair(one, bert)
        said = await turn(1, one, theirs, ours)

        # A new department, and another text of a known one.
        assert await about(base, "nieuw") == 404
        with_new = original.replace("+32 2 555 01 00", "+32 2 555 99 99") + NEW
        await office.put_and_wait(with_new, *SERVICES)
        assert await about(base, "nieuw") == 200
        shown = await until(lambda b: b["reason"] == "no_agents", base, department="nieuw")
        assert "+32 2 555 99 99" in json.dumps((await button(base))["contact"])

        # An account serves it: its console is connected anew, and the citizen of the new department gets the agent.
        office.put_accounts(ACCOUNTS[0], Account("bert", 2, ("algemeen", "nieuw")))
        welcome = await reconnected(bert)
        assert [chat["chat_id"] for chat in welcome["chats"]] == [one.chat_id]
        ours = bert.socket
        await until_green(base, "nieuw")
        theirs_new, _ = await pair(two, bert, department="nieuw")
        said += await turn(2, one, theirs, ours)
        new_said = await turn(1, two, theirs_new, ours)

        # A wrong file changes nothing, and every service says so and stays ready.
        office.put(office.departments, with_new.replace('hours = "always"', 'hours = "sometimes"'))
        await office.until_refused(*SERVICES)
        await ready(office.system, "presence")
        assert await about(base, "nieuw") == 200
        said += await turn(3, one, theirs, ours)

        # Presence is killed in the middle of a change of the hours; the chats go on in a department that is closed.
        closed = with_new.replace('id = "algemeen"\n', f'id = "algemeen"\nhours = "{another_day()} 00:00-00:01"\n', 1)
        await office.put_and_wait(closed, "routing")
        for number in (4, 5):
            old = strike(office.system, "presence")
            said += await turn(number, one, theirs, ours)
            await replaced(office.system, old)
            await ready(office.system)
        await office.until_refused(*SERVICES, value=0)
        await until(lambda b: b["reason"] == "closed", base)
        said += await turn(6, one, theirs, ours)

        # The new department goes while its chat runs. First the account that serves it, else presence refuses.
        await office.put_and_wait(original, *(name for name in SERVICES if name != "presence"))
        await office.until_refused("presence")
        office.put_accounts(*ACCOUNTS)
        await reconnected(bert)
        ours = bert.socket
        await office.until_refused(*SERVICES, value=0)
        assert await about(base, "nieuw") == 404
        await until(lambda b: b["reason"] == "busy", base)
        new_said += await turn(2, two, theirs_new, ours)
        said += await turn(7, one, theirs, ours)
        for visitor, socket, everything in ((one, theirs, said), (two, theirs_new, new_said)):
            await socket.send(type="close")
            await socket.expect("closed")
            assert await texts(visitor) == everything
    assert shown["department"] == "nieuw"
    assert {name: pid for name, pid in office.system.pids().items() if name != "presence"} == {
        name: pid for name, pid in pids.items() if name != "presence"
    }, "nothing was restarted"
    assert await dead_letters(office.system) == {"presence": 0, "routing": 0, "transcripts": 0}


async def test_an_account_is_added_and_one_is_disabled_whose_chat_is_handed_on(
    office: Office, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = office.system.base_url
    monkeypatch.setenv("DEPARTMENTS_FILE", str(office.departments))
    monkeypatch.setenv("ACCOUNTS_FILE", str(office.accounts))

    async def run(*arguments: str) -> None:
        assert await asyncio.to_thread(make_agent, list(arguments)) == 0, capsys.readouterr().err

    async with agent(base, "bert") as bert, citizen(base) as visitor:
        theirs, ours = await pair(visitor, bert)
        said = await turn(1, visitor, theirs, ours)
        await run("add", "cas", "--name=Cas", "--department=algemeen", "--generate-password")
        password = re.findall("^password: (.+)$", capsys.readouterr().out, re.M)[0]
        async with http_client(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
            cas = Agent(base, session, "cas")
            async with asyncio.timeout(PATIENCE):
                while (await cas.log_in(password, "nachtegaal 1302 fluit")).status != 204:
                    await asyncio.sleep(0.2)
            await cas.connect()
            await run("disable", "bert")
            assert await bert.socket.closed() == 4401
            await theirs.expect("status", dot="grey")
            await cas.socket.expect("assigned", chat=lambda c: c["chat_id"] == visitor.chat_id)
            await theirs.expect("status", dot="green", agent={"name": "Cas"})
            said += await turn(2, visitor, theirs, cas.socket)
            assert (await bert.log_in()).status == 401
            await theirs.send(type="close")
            await theirs.expect("closed")
            assert await texts(visitor) == said
            await run("enable", "bert")
            async with asyncio.timeout(PATIENCE):
                while (await bert.log_in()).status != 204:
                    await asyncio.sleep(0.2)
            await cas.leave()
    assert weak_hash() in office.accounts.read_text("utf-8")
    assert await dead_letters(office.system) == {"presence": 0, "routing": 0, "transcripts": 0}
