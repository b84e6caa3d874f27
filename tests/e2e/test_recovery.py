"""Any process may be killed at any moment: what had a receipt is there once, in order, and all goes on by itself."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from tests.e2e.clients import Citizen, agent, citizen, new_id, until_blue, until_green
from tests.e2e.faults import SERVICES, broker_speaks, dead_letters, ready, replaced, strike
from tests.e2e.lasting import lasting_agent, lasting_citizen, talking
from tests.real import System, running_system

EVERY_PROCESS = [*((name,) for name in SERVICES), ("broker",), ("database",), SERVICES]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A system of these tests' own: whatever they leave behind harms nobody."""
    with running_system(tmp_path_factory.mktemp("recovery"), RATE_LIMITS="off") as running:
        yield running


@pytest.mark.parametrize("names", EVERY_PROCESS, ids="+".join)
async def test_kill_9_amid_a_conversation_loses_doubles_and_reorders_nothing(
    system: System, names: tuple[str, ...]
) -> None:
    async with talking(system.base_url) as talk:
        struck = time.monotonic()
        old = strike(system, *names)
        await replaced(system, old)
        await broker_speaks(system)
        restarted = time.monotonic() - struck
        await talk.flows()
        flows = time.monotonic() - struck
        await ready(system)
        green = time.monotonic() - struck
        await until_blue(system.base_url, "busy")
        coloured = time.monotonic() - struck
        print(
            f"\n{'+'.join(names)}: started {restarted:.1f} s, messages {flows:.1f} s, "
            f"ready {green:.1f} s, button {coloured:.1f} s"
        )
        kept = await talk.check()
        assert [m.get("event") for m in kept if m["from"] == "system"] == ["opened", "assigned"], "it keeps its agent"
    async with talking(system.base_url):
        pass
    assert await dead_letters(system) == {"presence": 0, "routing": 0, "transcripts": 0}


@pytest.mark.parametrize("name", SERVICES)
async def test_sigterm_drains_exits_with_0_and_is_started_again(system: System, name: str) -> None:
    before = system.log().count(f"{name} ended with status 0")
    async with talking(system.base_url) as talk:
        began = time.monotonic()
        old = strike(system, name, number=signal.SIGTERM)
        await replaced(system, old, 20)
        drained = time.monotonic() - began
        await talk.flows()
        flows = time.monotonic() - began
        await ready(system)
        await until_blue(system.base_url, "busy")
        print(f"\n{name}: drained {drained:.1f} s, messages {flows:.1f} s after SIGTERM")
        kept = await talk.check()
        assert [m.get("event") for m in kept if m["from"] == "system"] == ["opened", "assigned"], "it keeps its agent"
        expected = [1012] if name == "gateway" else []
        assert talk.citizen.closes[:1] == expected
        assert talk.agent.closes[:1] == expected
    assert system.log().count(f"{name} ended with status 0") == before + 1


@pytest.mark.parametrize("name", SERVICES)
async def test_kill_9_while_a_chat_starts_makes_one_chat_which_is_served(system: System, name: str) -> None:
    base = system.base_url
    async with agent(base) as an, citizen(base) as visitor:
        await until_green(base)
        key = new_id()
        first = asyncio.create_task(press(visitor, key))
        await asyncio.sleep(0.01)
        old = strike(system, name)
        statuses = await first
        someone = lasting_citizen(visitor)
        running = asyncio.create_task(someone.run())
        began = time.monotonic()
        await someone.status(dot="green")
        print(f"\n{name}: presses {statuses}, agent after {time.monotonic() - began:.1f} s, closes {someone.closes}")
        assert (await visitor.start(key=key)).status == 201
        ours = lasting_agent(an, visitor.chat_id)
        helping = asyncio.create_task(ours.run())
        await ours.until(lambda: ours.log, "the chat on the agent's console")
        assert [c["chat_id"] for c in ours.last("welcome")["chats"]] in ([], [visitor.chat_id])
        await someone.shown(await someone.say("eindelijk"))
        await someone.end()
        await replaced(system, old)
        events = [m["event"] for m in someone.messages() if m["from"] == "system"]
        assert events[0] == "opened"
        assert events[-1] == "closed"
        await ready(system)
        await until_green(base)
        for task in (running, helping):
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
        await asyncio.sleep(0.2)
    return answers


async def test_a_gateway_killed_while_a_file_is_uploaded_leaves_nothing_half_done(system: System) -> None:
    async with talking(system.base_url) as talk:
        body = b"regel met tekst\n" * 60_000
        half = asyncio.Event()

        async def slowly() -> AsyncIterator[bytes]:
            yield head
            yield body[: len(body) // 2]
            half.set()
            await asyncio.sleep(30)

        boundary = "een-grens"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="brief.txt"\r\n'
            "Content-Type: text/plain\r\n\r\n"
        ).encode()
        headers = {**talk.visitor.bearer, "Content-Type": f"multipart/form-data; boundary={boundary}"}
        url = f"{talk.visitor.base}/api/chats/{talk.visitor.chat_id}/attachments"
        for _ in range(3):  # two at a time are allowed: what was cut off must not count
            half.clear()
            sending = asyncio.create_task(talk.visitor.http.post(url, data=slowly(), headers=headers))
            await half.wait()
            old = strike(system, "gateway")
            with pytest.raises(aiohttp.ClientError):
                await sending
            await replaced(system, old)
            await ready(system, "gateway")
        answer = await talk.visitor.upload("brief.txt", body)
        assert answer.status == 201, await answer.text()
        stored = await answer.json()
        assert stored["size"] == len(body)
        await talk.flows()
        await talk.citizen.post(attachment=stored["id"])
        await talk.agent.until(lambda: any(m.get("attachment") for m in talk.agent.log.values()), "the attachment")
        got = await talk.visitor.http.get(f"{url}/{stored['id']}", headers=talk.visitor.bearer)
        assert await got.read() == body
        await talk.check()
