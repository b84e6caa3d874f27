"""Logging out, where an agent has several sessions: what counts is which of them has a websocket open."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.clients import Agent, agent, citizen, http_client, pair, say, until_blue, until_green
from tests.support.servers import PATIENCE, System, wait_for


def reasons(system: System, since: int, agent_id: str) -> set[str]:
    """For which reasons this agent was set offline, by what was logged after so many characters."""
    lines = [line for line in system.log()[since:].splitlines() if "agent_offline" in line and agent_id in line]
    return {reason for line in lines for reason in ("logged_out", "agent_gone") if reason in line}


async def why_offline(system: System, since: int, agent_id: str) -> set[str]:
    """The same, as soon as there is one: what a service logs reaches the log of the system a moment later.

    `logged_out` is at once; `agent_gone` is after the grace.
    """
    await asyncio.to_thread(wait_for, lambda: bool(reasons(system, since, agent_id)), "the agent to be offline")
    return reasons(system, since, agent_id)


@contextlib.asynccontextmanager
async def browser(base: str, username: str = "an") -> AsyncIterator[Agent]:
    """A browser of this agent, logged in and connected; it logs out at the end if nobody did before."""
    async with http_client(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        one = Agent(base, session, username)
        assert (await one.log_in()).status == 204
        try:
            await one.connect()
            yield one
        finally:
            await one.leave()


async def test_an_older_session_that_was_never_ended_does_not_keep_an_agent_in(system: System) -> None:
    """The browser of this morning was closed without logging out."""
    base = system.base_url
    async with browser(base) as morning:
        await morning.socket.close()
        async with browser(base) as now, citizen(base) as visitor:
            theirs, _ = await pair(visitor, now)
            began, since = time.monotonic(), len(system.log())
            assert (await now.log_out()).status == 204
            await theirs.expect("status", dot="grey")
            print(f"\nhis citizen was told after {time.monotonic() - began:.2f} s")
            assert await now.socket.closed() == 4401
            await until_blue(base, "no_agents")
            assert await why_offline(system, since, now.id) == {"logged_out"}
            await theirs.send(type="close")
        assert (await morning.http.get(f"{base}/api/agent/me")).status == 200, "that session goes on"


async def test_a_websocket_of_another_session_that_is_really_open_keeps_the_agent_in(system: System) -> None:
    base = system.base_url
    async with browser(base) as one, browser(base) as other, citizen(base) as visitor:
        theirs, _ = await pair(visitor, one)
        before = len(theirs.frames)
        assert (await one.log_out()).status == 204
        assert await one.socket.closed() == 4401
        last = await say(other.socket, "ik ga hier verder", visitor.chat_id)
        await theirs.expect("message", id=last["id"])
        await asyncio.sleep(4)  # time is the subject: longer than anything that looks again
        assert not [f for f in theirs.frames[before:] if f["type"] == "status"]
        since = len(system.log())
        await other.log_out()
        await theirs.expect("status", dot="grey")
        assert await why_offline(system, since, one.id) == {"logged_out"}


async def test_another_session_that_is_ended_in_the_list_closes_and_hands_on_no_chat(system: System) -> None:
    """The other one had the chat; the session that is left has a websocket too."""
    base = system.base_url
    async with browser(base) as one, browser(base) as other, citizen(base) as visitor:
        theirs, _ = await pair(visitor, other)
        before = len(theirs.frames)
        listed = (await (await one.http.get(f"{base}/api/agent/sessions")).json())["sessions"]
        assert [session["current"] for session in listed].count(True) == 1
        for session in (session for session in listed if not session["current"]):
            assert (await one.http.delete(f"{base}/api/agent/sessions/{session['id']}")).status == 204
        assert await other.socket.closed() == 4401
        assert (await other.http.get(f"{base}/api/agent/me")).status == 401
        last = await say(one.socket, "ik ga hier verder", visitor.chat_id)
        await theirs.expect("message", id=last["id"])
        assert not [f for f in theirs.frames[before:] if f["type"] == "status"]
        await theirs.send(type="close")


async def test_the_last_websocket_of_an_agent_that_is_ended_in_the_list_hands_on_the_chats(system: System) -> None:
    base = system.base_url
    async with browser(base) as one, browser(base) as other, citizen(base) as visitor:
        theirs, _ = await pair(visitor, other)
        await one.socket.close()
        since = len(system.log())
        listed = (await (await one.http.get(f"{base}/api/agent/sessions")).json())["sessions"]
        for session in (session for session in listed if not session["current"]):
            assert (await one.http.delete(f"{base}/api/agent/sessions/{session['id']}")).status == 204
        assert await other.socket.closed() == 4401
        await theirs.expect("status", dot="grey")
        assert await why_offline(system, since, one.id) == {"logged_out"}
        await theirs.send(type="close")


@pytest.mark.parametrize("pause", [0.0, 0.005])
async def test_a_websocket_that_has_just_closed_does_not_keep_the_agent_in(system: System, pause: float) -> None:
    """The other gateway's list may still name it when they log out."""
    base = system.base_url
    async with browser(base) as one, browser(base) as other, citizen(base) as visitor:
        theirs, _ = await pair(visitor, one)
        await other.socket.close()
        await asyncio.sleep(pause)
        began, since = time.monotonic(), len(system.log())
        assert (await one.log_out()).status == 204
        await theirs.expect("status", dot="grey")
        print(f"\nhis citizen was told after {time.monotonic() - began:.2f} s")
        await until_blue(base, "no_agents")
        assert await why_offline(system, since, one.id) == {"logged_out"}


async def test_who_logs_out_and_in_again_at_once_is_there(system: System) -> None:
    base = system.base_url
    async with browser(base) as morning:
        await morning.socket.close()
        async with browser(base) as now:
            for _ in range(3):
                assert (await now.log_out()).status == 204
                assert (await now.log_out()).status == 204  # twice
                assert (await now.log_in()).status == 204
                await now.connect()
                await until_green(base)
            async with citizen(base) as visitor:
                theirs, ours = await pair(visitor, now)
                last = await say(ours, "goeiedag", visitor.chat_id)
                await theirs.expect("message", id=last["id"])


async def test_a_websocket_that_says_hello_after_its_session_ended_is_closed(system: System) -> None:
    base = system.base_url
    async with agent(base) as stays, http_client(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        second = Agent(base, session, "an")
        assert (await second.log_in()).status == 204
        late = await session.ws_connect(f"{base}/ws/agent", headers={"Origin": base})
        assert (await second.log_out()).status == 204
        await late.send_json({"type": "hello", "chats": {}})
        async with asyncio.timeout(PATIENCE):
            while (await late.receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        assert late.close_code == 4401
        assert not stays.socket.ws.closed
