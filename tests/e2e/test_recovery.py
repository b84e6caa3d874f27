"""Any process may be killed at any moment: what had a receipt is there once, in order, and all goes on by itself."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.clients import Citizen, agent, citizen, new_id, until_blue, until_green
from tests.support.faults import (
    SERVICES,
    broker_speaks,
    dead_letters,
    probe,
    ready,
    replaced,
    stopped,
    strike,
    until_missed,
)
from tests.support.lasting_clients import Lasting, lasting_agent, lasting_citizen, talking
from tests.support.servers import PATIENCE, START_SECONDS, System

EVERY_PROCESS = [*((name,) for name in SERVICES), ("broker",), ("database",), SERVICES]


@pytest.mark.parametrize("names", EVERY_PROCESS, ids="+".join)
async def test_kill_9_amid_a_conversation_loses_doubles_and_reorders_nothing(
    frail: System, names: tuple[str, ...]
) -> None:
    async with talking(frail.base_url) as talk:
        struck = time.monotonic()
        old = strike(frail, *names)
        await replaced(frail, old)
        if "broker" in names:
            async with stopped(frail, "broker"):  # it does not come back before that is seen
                await open_without_the_broker(frail)
        await broker_speaks(frail)
        restarted = time.monotonic() - struck
        await talk.flows()
        flows = time.monotonic() - struck
        await ready(frail)
        green = time.monotonic() - struck
        await until_blue(frail.base_url, "busy")
        coloured = time.monotonic() - struck
        print(
            f"\n{'+'.join(names)}: started {restarted:.1f} s, messages {flows:.1f} s, "
            f"ready {green:.1f} s, button {coloured:.1f} s"
        )
        kept = await talk.check()
        assert [m.get("event") for m in kept if m["from"] == "system"] == ["opened", "assigned"], "it keeps its agent"
    assert await dead_letters(frail) == {"presence": 0, "routing": 0, "transcripts": 0}


async def open_without_the_broker(frail: System) -> None:
    """Every replica stays in its Service and names the broker; pages, the info sheet and the widget are served.

    The button is blue and a press is refused for the moment.
    """
    await until_missed(frail, SERVICES, "broker")
    assert {name: probe(frail, name, "/healthz") for name in SERVICES} == dict.fromkeys(SERVICES, 200)
    await until_blue(frail.base_url, "unknown")
    pages = ("/widget.js", "/infofiche/algemeen", "/agent", "/")
    assert {path: probe(frail, "gateway", path) for path in pages} == dict.fromkeys(pages, 200)
    async with citizen(frail.base_url) as visitor:
        answer = await visitor.start()
        assert answer.status == 503
        assert (await answer.json())["code"] == "unavailable"
        assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("names", [("gateway",), ("presence", "routing", "transcripts")], ids="+".join)
async def test_sigterm_drains_exits_with_0_and_is_started_again(frail: System, names: tuple[str, ...]) -> None:
    def clean_exits() -> list[int]:
        return [frail.log().count(f"{name} ended with status 0") for name in names]

    before = clean_exits()
    async with talking(frail.base_url) as talk:
        began = time.monotonic()
        old = strike(frail, *names, number=signal.SIGTERM)
        await replaced(frail, old)
        drained = time.monotonic() - began
        await talk.flows()
        flows = time.monotonic() - began
        await ready(frail)
        await until_blue(frail.base_url, "busy")
        print(f"\n{'+'.join(names)}: drained {drained:.1f} s, messages {flows:.1f} s after SIGTERM")
        kept = await talk.check()
        assert [m.get("event") for m in kept if m["from"] == "system"] == ["opened", "assigned"], "it keeps its agent"
        expected = [1012] if "gateway" in names else []
        assert talk.citizen.closes[:1] == expected
        assert talk.agent.closes[:1] == expected
    assert clean_exits() == [n + 1 for n in before]


@pytest.mark.parametrize("name", SERVICES)
async def test_kill_9_while_a_chat_starts_makes_one_chat_which_is_served(frail: System, name: str) -> None:
    base = frail.base_url
    async with agent(base) as an, citizen(base) as visitor:
        # The agent comes back whatever is killed: else nobody is there once the grace is over.
        stays = Lasting(an.http, f"{base}/ws/agent", lambda _: {"type": "hello", "chats": {}}, chat_id="none")
        staying = asyncio.create_task(stays.run())
        await stays.until(lambda: stays.last("welcome"), "the agent")
        await until_green(base)
        key = new_id()
        first = asyncio.create_task(press(visitor, key))
        await asyncio.sleep(0.01)
        old = strike(frail, name)
        async with asyncio.timeout(START_SECONDS):
            statuses = await first
        participant = lasting_citizen(visitor)
        ours = lasting_agent(an, visitor.chat_id)
        running, helping = asyncio.create_task(participant.run()), asyncio.create_task(ours.run())
        began = time.monotonic()
        await participant.status(dot="green")
        print(
            f"\n{name}: presses {statuses}, agent after {time.monotonic() - began:.1f} s, closes {participant.closes}"
        )
        chat_id = visitor.chat_id
        await press(visitor, key)
        assert visitor.chat_id == chat_id, "the same press is the same chat"
        await ours.until(lambda: ours.log, "the chat on the agent's console")
        assert [c["chat_id"] for c in ours.last("welcome")["chats"]] in ([], [visitor.chat_id])
        await participant.shown(await participant.say("eindelijk"))
        await participant.end()
        await replaced(frail, old)
        events = [m["event"] for m in participant.messages() if m["from"] == "system"]
        assert events[0] == "opened"
        assert events[-1] == "closed"
        await ready(frail)
        await until_green(base)
        for task in (running, helping, staying):
            task.cancel()
    await until_blue(base, "no_agents")


async def press(visitor: Citizen, key: str) -> list[int]:
    """Presses the button again and again with the same key until it is served; the answers on the way, 0 for none."""
    answers: list[int] = []
    while 201 not in answers:
        try:
            answers.append((await visitor.start(key=key)).status)
        except (aiohttp.ClientError, OSError):
            answers.append(0)
        await asyncio.sleep(0.05)
    return answers


async def test_a_gateway_killed_while_a_file_is_uploaded_leaves_nothing_half_done(frail: System) -> None:
    async with talking(frail.base_url) as talk:
        body = b"regel met tekst\n" * 60_000
        halves = (asyncio.Event(), asyncio.Event())

        async def slowly(half: asyncio.Event) -> AsyncIterator[bytes]:
            yield head
            yield body[: len(body) // 2]
            half.set()
            await asyncio.Event().wait()  # the rest never comes

        boundary = "een-grens"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="brief.txt"\r\n'
            "Content-Type: text/plain\r\n\r\n"
        ).encode()
        headers = {**talk.visitor.bearer, "Content-Type": f"multipart/form-data; boundary={boundary}"}
        url = f"{talk.visitor.base}/api/chats/{talk.visitor.chat_id}/attachments"
        sending = [
            asyncio.create_task(talk.visitor.http.post(url, data=slowly(half), headers=headers))
            for half in halves  # as many at a time as are allowed
        ]
        await asyncio.gather(*(half.wait() for half in halves))
        old = strike(frail, "gateway")
        for post in sending:
            with pytest.raises(aiohttp.ClientError):
                await post
        await replaced(frail, old)
        await ready(frail, "gateway")
        async with asyncio.timeout(PATIENCE):  # until transcripts have noticed that the others were broken off
            while (answer := await talk.visitor.upload("brief.txt", body)).status == 429:
                await asyncio.sleep(0.05)
        assert answer.status == 201, await answer.text()
        stored = await answer.json()
        assert stored["size"] == len(body)
        await talk.flows()
        await talk.citizen.post(attachment=stored["id"])
        await talk.agent.until(lambda: any(m.get("attachment") for m in talk.agent.log.values()), "the attachment")
        got = await talk.visitor.http.get(f"{url}/{stored['id']}", headers=talk.visitor.bearer)
        assert await got.read() == body
        await talk.check()
