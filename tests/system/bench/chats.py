"""Starts, the log of a long chat (downloads, history on reconnect), and files of 10 MiB."""

from __future__ import annotations

import asyncio
import io
import time
from functools import partial

import aiohttp

from tests.support.servers import System
from tests.system.bench.clients import BenchClient, ClientFactory
from tests.system.bench.load_generator import share
from tests.system.bench.machine import memory, peak
from tests.system.bench.messages import servers
from tests.system.bench.report import Report

STARTS_A_SECOND = 20
UNDER_WAY = 20  # messages of one sender without a receipt
FILE = b"Aanvraag 1234567\n" * (10 * 2**20 // 17)
LEAST = 1.0  # MiB; a process moves by as much by itself, and less would be judged as if it meant something
FORMATS = ("txt", "json", "html", "pdf")


async def starts(report: Report, clients: ClientFactory, usernames: list[str], seconds: float) -> None:
    """Presses at a steady rate; each until its dot is green, then the chat is closed."""
    agents = [await clients.agent(username) for username in usernames]
    loop, began = asyncio.get_running_loop(), time.monotonic() + 0.05
    await _start(clients)  # the first one waits until the button is green
    tasks = []
    for number in range(int(STARTS_A_SECOND * seconds)):
        await asyncio.sleep(max(0.0, began + number / STARTS_A_SECOND - time.monotonic()))
        tasks.append(loop.create_task(_start(clients)))
    took = await asyncio.gather(*tasks)
    await clients.log_out(agents)
    for part in (0.5, 0.99):
        report.add(
            f"press to green dot, p{part * 100:.0f} at {STARTS_A_SECOND} a second", "ms", share(took, part) * 1000
        )


async def _start(clients: ClientFactory) -> float:
    began = time.monotonic()
    citizen = await clients.citizen(await clients.press())
    await citizen.until("a green dot", lambda: citizen.dot == "green")
    took = time.monotonic() - began
    citizen.send(type="close")
    await citizen.until("the end", lambda: citizen.dot == "red")
    citizen.away()
    return took


async def logs(
    report: Report, clients: ClientFactory, http: aiohttp.ClientSession, username: str, length: int, times: int
) -> None:
    """A chat of 200 messages is read again on reconnect; at `length` it is downloaded in each format."""
    async with clients.chatting([username]) as ([(citizen, agent)], [started]):
        first = min(200, length)
        await _write(citizen, agent, first)
        took = []
        for _ in range(times):
            began, again = time.monotonic(), await clients.citizen(started)
            await again.until("the whole chat", partial(_has, again, citizen.seq))
            took.append((time.monotonic() - began) * 1000)
            again.away()
        for part in (0.5, 0.95):
            report.add(f"reconnect until {first} messages are shown, p{part * 100:.0f}", "ms", share(took, part))
        await _write(citizen, agent, length)
        for kind in FORMATS:
            took = [await _download(http, clients, started, kind) for _ in range(times)]
            report.add(f"download of {length} messages, {kind}, p95", "ms", share(took, 0.95))


async def _write(citizen: BenchClient, agent: BenchClient, length: int) -> None:
    """Both write in turn until the log has so many entries."""
    while citizen.seq < length:
        goal = min(length, citizen.seq + UNDER_WAY)
        for number in range(goal - citizen.seq):
            (citizen, agent)[number % 2].say(f"{number:010d} {time.monotonic_ns():020d} ".ljust(120, "x"))
        await citizen.until("the messages written", partial(_has, citizen, goal))


def _has(client: BenchClient, seq: int) -> bool:
    """Whether this client was shown the chat so far."""
    return client.seq >= seq


async def _download(http: aiohttp.ClientSession, clients: ClientFactory, started: dict[str, str], kind: str) -> float:
    """Milliseconds until the last byte is there."""
    url = f"{clients.base}/api/chats/{started['chat_id']}/transcript?format={kind}"
    began = time.monotonic()
    async with http.get(url, headers={"Authorization": f"Bearer {started['token']}"}) as answer:
        body = await answer.read()
        assert answer.status == 200, f"no {kind}: {answer.status} {body[:200]!r}"
    return (time.monotonic() - began) * 1000


async def files(
    report: Report, system: System, clients: ClientFactory, http: aiohttp.ClientSession, username: str
) -> None:
    """The gateway's memory above its rest while 10 MiB go in and come out, in a gateway that has done nothing else.

    A small file goes first, so that modules loaded at the first one are not counted. What the upload leaves free may
    hide a part of what the download takes.
    """
    async with clients.chatting([username]) as (_, [started]):
        url = f"{clients.base}/api/chats/{started['chat_id']}/attachments"
        bearer = {"Authorization": f"Bearer {started['token']}"}
        await _out(http, url, bearer, await _in(http, url, bearer, FILE[:170]), 170)
        gateway = servers(system)["gateway"]
        rest = memory({"gateway": gateway})["gateway"]
        async with peak(gateway[0]) as most:
            kept = await _in(http, url, bearer, FILE)
        report.add("gateway's memory above its rest, 10 MiB in", "MiB", max(LEAST, most[0] - rest), travels=True)
        rest = memory({"gateway": gateway})["gateway"]
        async with peak(gateway[0]) as most:
            await _out(http, url, bearer, kept, len(FILE))
        report.add("gateway's memory above its rest, 10 MiB out", "MiB", max(LEAST, most[0] - rest), travels=True)


async def _in(http: aiohttp.ClientSession, url: str, bearer: dict[str, str], body: bytes) -> str:
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(body), filename="aanvraag.txt", content_type="text/plain")
    async with http.post(url, data=form, headers=bearer) as answer:
        assert answer.status == 201, f"not taken: {answer.status}"
        return str((await answer.json())["id"])


async def _out(http: aiohttp.ClientSession, url: str, bearer: dict[str, str], kept: str, size: int) -> None:
    async with http.get(f"{url}/{kept}", headers=bearer) as answer:
        came = len(await answer.read())
        assert (answer.status, came) == (200, size), f"{answer.status}, {came} bytes came back"
