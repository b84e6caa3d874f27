"""Who uses the system while its processes are replaced, as browsers do: conversations, presses, open pages."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections.abc import AsyncIterator

import aiohttp

from tests.support.clients import http_client, new_id
from tests.system.history import Answered, ButtonShown, Recorder
from tests.system.workload.agent import LastingAgent, Service
from tests.system.workload.citizen import LastingCitizen
from tests.system.workload.conversations import (
    Behaviour,
    Conversation,
    Workload,
    running_workload,
    until_all_converse,
)
from tests.system.workload.reconnecting import AS_BROWSERS, FAILED

CLIENT_RETRIES = (0, 503)  # what the element tries again by itself, with the same key
PAGES = 5
BEHAVIOUR = Behaviour(
    pause=0.1,
    lasts=(3600.0, 3600.0),  # until the run is over
    backlog=4,  # a longer backlog would say nothing of how long others wait
    attached=0.03,
    files=15,
    downloaded=0.1,
    formats=("json", "txt", "html", "pdf"),
    reloaded=0,
    tabs=0,
    abrupt=0,
    reconnecting=AS_BROWSERS,
)


@contextlib.asynccontextmanager
async def conversing(
    base: str, usernames: list[str], rng: random.Random
) -> AsyncIterator[tuple[Workload, list[Conversation]]]:
    """A conversation with each of these agents, all under way; at the end each ends and is read to its end."""
    over = asyncio.Event()
    async with running_workload(base, usernames, BEHAVIOUR, rng) as workload:
        conversations = [Conversation(workload) for _ in usernames]
        running = [asyncio.create_task(conversation.run(over)) for conversation in conversations]
        try:
            await until_all_converse(conversations)
            yield workload, conversations
            over.set()
            await asyncio.wait_for(asyncio.gather(*running), 2 * BEHAVIOUR.patience)
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        await workload.read_everything()


@contextlib.asynccontextmanager
async def everything(base: str, pairs: int, more_agents: int, rng: random.Random) -> AsyncIterator[Recorder]:
    """Conversations, presses and open pages while the context is open; the history is complete when it is closed."""
    async with conversing(base, [f"agent{n}" for n in range(1, pairs + 1)], rng) as (workload, _):
        service = Service(closes=0.0, longest=60.0, rng=rng)
        agents = [
            LastingAgent(base, f"agent{pairs + n}", workload.recorder, service, AS_BROWSERS)
            for n in range(1, more_agents + 1)
        ]
        await asyncio.gather(*(agent.come() for agent in agents))
        over = asyncio.Event()
        pressing = asyncio.create_task(press(workload, rng, over))
        pages = [asyncio.create_task(show_button(base, f"page {n}", workload.recorder)) for n in range(PAGES)]
        pages.append(asyncio.create_task(ask_for_button(base, "new page", workload.recorder)))
        try:
            await asyncio.sleep(1)
            yield workload.recorder
            over.set()
            await pressing
        finally:
            for task in (pressing, *pages):
                task.cancel()
            await asyncio.gather(pressing, *pages, return_exceptions=True)
            await asyncio.gather(*(agent.read_all() for agent in agents))
            await asyncio.gather(*(agent.close() for agent in agents))


async def press(workload: Workload, rng: random.Random, over: asyncio.Event) -> None:
    """Until `over` is set: a citizen presses, is served, says something and leaves; then the next one."""
    while not over.is_set():
        citizen, key = LastingCitizen(workload.http, workload.base, workload.recorder, AS_BROWSERS), new_id()
        while (status := await citizen.press(key)) in CLIENT_RETRIES and not over.is_set():
            await asyncio.sleep(rng.uniform(0.2, 1.0))
        if status == 201:
            workload.citizens.append(citizen)
            citizen.join()
            try:
                await citizen.until_green(20)
                await citizen.say("Dag")
                await citizen.leave(30)
            finally:
                await citizen.close()
        await asyncio.sleep(rng.uniform(0.2, 0.8))


async def show_button(base: str, who: str, recorder: Recorder) -> None:
    """Until cancelled: an open page that shows the button."""
    async with http_client() as http:
        while True:
            with contextlib.suppress(*FAILED):
                timeout, began = aiohttp.ClientTimeout(total=None, sock_read=20), time.monotonic()
                async with http.get(f"{base}/api/button/events", timeout=timeout) as stream:
                    recorder.record(Answered("", who, "GET button/events", began, stream.status))
                    async for line in stream.content:
                        if line.startswith(b"data: "):
                            recorder.record(ButtonShown("", who, json.loads(line[6:])["colour"]))
            await asyncio.sleep(random.uniform(0, 1))  # as button.js waits; the button stays as it is meanwhile


async def ask_for_button(base: str, who: str, recorder: Recorder) -> None:
    """Until cancelled: ask for the button on a new connection each time, as a browser that opens the page."""
    async with http_client(connector=aiohttp.TCPConnector(force_close=True)) as http:
        while True:
            began, status = time.monotonic(), 0
            with contextlib.suppress(*FAILED):
                answer = await http.get(f"{base}/api/button")
                status = answer.status
                colour = (await answer.json())["colour"] if status == 200 else "none"
                recorder.record(ButtonShown("", who, colour))
            recorder.record(Answered("", who, "GET button", began, status))
            await asyncio.sleep(0.1)
