"""The time to wrap a chat up: it outlasts a kill -9 of each service and new connections, and the button honours it."""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.support.accounts import Account, write_accounts
from tests.support.browsers.systems import DEPARTMENTS
from tests.support.clients import Agent, Closed, Frame, agent, citizen, pair, until, until_blue, until_green
from tests.support.faults import dead_letters, ready, replaced, strike
from tests.support.servers import PATIENCE, System, running_system

pytestmark = pytest.mark.e2e
SECONDS = 600  # longer than the test: it ends by a press alone
SHORT = 3


def with_wrap_up(file: Path, seconds: dict[str, int]) -> Path:
    """Write the departments of the project, these with a time to wrap chats up."""
    text = DEPARTMENTS.read_text("utf-8")
    for department, time in seconds.items():
        line = f'id = "{department}"\n'
        assert text.count(line) == 1
        text = text.replace(line, f"{line}wrap_up = {time}\n")
    file.write_text(text, "utf-8")
    return file


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system whose processes may be killed: two agents with one slot each, in departments of their own."""
    home = tmp_path_factory.mktemp("wrap-ups")
    with running_system(
        home,
        DEPARTMENTS_FILE=str(with_wrap_up(home / "departments.toml", {"algemeen": SECONDS, "premies": SHORT})),
        ACCOUNTS_FILE=str(
            write_accounts(
                home / "accounts.toml",
                (Account("wim", departments=("algemeen",)), Account("pia", departments=("premies",))),
            )
        ),
        RATE_LIMITS="off",
        AGENT_GRACE="60",  # on a full machine a killed gateway is back after 20 s
    ) as running:
        yield running


@contextlib.asynccontextmanager
async def after_a_chat(system: System, username: str, department: str) -> AsyncIterator[tuple[Agent, str, Frame]]:
    """An agent who has just ended a chat: the agent, the chat, and the frame that tells the wrap-up."""
    async with agent(system.base_url, username) as ours, citizen(system.base_url) as visitor:
        _, console = await pair(visitor, ours, department=department)
        await console.send(type="close", chat_id=visitor.chat_id)
        told = await console.expect("state", wrap_ups=lambda list_: [w["chat_id"] for w in list_] == [visitor.chat_id])
        yield ours, visitor.chat_id, told


async def connected(ours: Agent) -> Frame:
    """The welcome of a new connection, as soon as there is one."""
    async with asyncio.timeout(PATIENCE):
        while True:
            with contextlib.suppress(aiohttp.ClientError, ConnectionError, Closed):
                return await ours.connect()
            await asyncio.sleep(0.05)


async def ended(system: System, department: str, end: str) -> int:
    """How many wrap-ups this replica of presence has ended so."""
    async with aiohttp.ClientSession() as session, session.get(f"{system.url('presence')}/metrics") as answer:
        text = await answer.text()
    found = re.search(rf'eloket_wrap_ups_ended_total{{department="{department}",end="{end}"}} (\S+)', text)
    return int(float(found.group(1))) if found else 0


async def test_it_outlasts_a_kill_9_of_each_service_and_ends_by_a_press(office: System) -> None:
    async with after_a_chat(office, "wim", "algemeen") as (ours, chat_id, told):
        left = told["wrap_ups"][0]["seconds"]
        assert 0 < left <= SECONDS
        await until_blue(office.base_url, "busy")
        for name in ("presence", "gateway", "routing", "transcripts", "database", "broker"):
            old = strike(office, name)
            await replaced(office, old)
            await ready(office)
            welcome = await connected(ours)
            (still,) = welcome["agent"]["wrap_ups"]
            assert still["chat_id"] == chat_id, name
            assert 0 < still["seconds"] <= left, name
            assert welcome["chats"] == []
            await until_blue(office.base_url, "busy")
            left = still["seconds"]
        assert "done" in welcome["frames"]
        await ours.socket.send(type="state", state="paused")
        paused = await ours.socket.expect("state", state="paused")
        assert [one["chat_id"] for one in paused["wrap_ups"]] == [chat_id]
        await ours.socket.send(type="state", state="available")
        await ours.socket.send(type="done", chat_id=chat_id)
        await ours.socket.expect("state", state="available", wrap_ups=[])
        await until_green(office.base_url)
    assert await dead_letters(office) == {"presence": 0, "routing": 0, "transcripts": 0}


async def test_it_ends_by_its_time_also_when_presence_was_killed_meanwhile(office: System) -> None:
    async with after_a_chat(office, "pia", "premies"):
        old = strike(office, "presence")
        await replaced(office, old)
        await ready(office)
        await until_green(office.base_url, "premies")
        async with asyncio.timeout(PATIENCE):
            while not await ended(office, "premies", "over"):
                await asyncio.sleep(0.1)


async def test_a_logout_ends_it(office: System) -> None:
    async with after_a_chat(office, "wim", "algemeen") as (ours, _, _):
        await until_blue(office.base_url, "busy")
        assert (await ours.log_out()).status == 204
        await until(lambda b: b["reason"] == "no_agents", office.base_url)
        assert (await ours.log_in()).status == 204
        welcome = await connected(ours)
        assert welcome["agent"]["wrap_ups"] == []
        await until_green(office.base_url)
