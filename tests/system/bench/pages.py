"""The button: how often it is asked for in a second, and thousands of open pages that get a change."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import cast

from tests.support.clients import until_green
from tests.support.servers import PATIENCE, System
from tests.system.bench.clients import BenchClient, ClientFactory
from tests.system.bench.load_generator import share
from tests.system.bench.machine import Groups, costing, memory
from tests.system.bench.messages import servers
from tests.system.bench.relay import running_relay
from tests.system.bench.report import Report
from tests.system.environment import broker_url

LINES = 16  # connections that ask
TOGETHER = 100  # pages that are opened at a time
CHANGES = 3


class Asking(asyncio.Protocol):
    """One connection that asks again as soon as it has the answer, and counts."""

    def __init__(self, request: bytes) -> None:
        self._request, self._buffer, self.answers, self.head = request, b"", 0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, body = self._buffer.partition(b"\r\n\r\n")
        if not found or len(body) < _length(head):
            return
        self.head, self._buffer = head, b""
        self.answers += 1
        self.transport.write(self._request)


def _length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"content-length:")
    return int(rest.split(b"\r\n", 1)[0]) if found else 0


def _request(port: int, path: str, **headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *(f"{n}: {v}" for n, v in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


async def _asked(port: int, request: bytes, seconds: float) -> tuple[int, bytes]:
    """How many answers there were, and the head of one."""
    loop = asyncio.get_running_loop()
    lines = [(await loop.create_connection(lambda: Asking(request), "127.0.0.1", port))[1] for _ in range(LINES)]
    await asyncio.sleep(seconds)
    answers = sum(line.answers for line in lines)
    async with asyncio.timeout(PATIENCE):
        while not lines[0].head:  # a short run on a slow machine
            await asyncio.sleep(0.01)
    for line in lines:
        line.transport.close()
    return answers, lines[0].head


async def button(report: Report, system: System, home: Path, seconds: float) -> None:
    """Asked with keep-alive: 200, 304, and the relay's plain answer."""
    port, groups = system.ports["gateway"], {"gateway": servers(system)["gateway"]}
    head = await _button_round(report, "200", port, _request(port, "/api/button"), groups, seconds)
    tag = next(line.split(b":", 1)[1].strip() for line in head.split(b"\r\n") if line.lower().startswith(b"etag:"))
    unchanged = _request(port, "/api/button", **{"If-None-Match": tag.decode()})
    head = await _button_round(report, "304", port, unchanged, groups, seconds)
    assert b" 304 " in head.split(b"\r\n", 1)[0]
    with running_relay(home, broker_url(system)) as (where, pids):
        for kind in ("200", "304"):
            asked = _request(where["citizen"], "/button")
            await _button_round(report, kind, where["citizen"], asked, {"relay": pids}, seconds / 2, baseline=True)


async def _button_round(
    report: Report, kind: str, port: int, request: bytes, groups: Groups, seconds: float, baseline: bool = False
) -> bytes:
    (answers, head), cost = await costing(groups, _asked(port, request, seconds))
    report.add(f"button, {kind}", "/s", answers / seconds, baseline, more_is_better=True)
    report.add(f"button, {kind}: processor for 1,000", "s", cost.total / max(answers, 1) * 1000, baseline)
    return head


class Page(asyncio.Protocol):
    """An open page: a stream of events; when each state of the button came."""

    def __init__(self, request: bytes, shown: dict[bytes, list[float]]) -> None:
        self._request, self._shown = request, shown

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        at = data.rfind(b'"reason":')
        if at >= 0:
            reason = data[at + 9 :].split(b'"', 2)[1]
            self._shown.setdefault(reason, []).append(time.monotonic())


@contextlib.asynccontextmanager
async def open_pages(port: int, count: int, shown: dict[bytes, list[float]]) -> AsyncIterator[None]:
    """So many pages, each of which has got the present state."""
    loop, request, opened = asyncio.get_running_loop(), _request(port, "/api/button/events"), []
    before = _total(shown)
    try:
        for start in range(0, count, TOGETHER):
            some = range(min(TOGETHER, count - start))
            made = [loop.create_connection(lambda: Page(request, shown), "127.0.0.1", port) for _ in some]
            opened += [page for _, page in await asyncio.gather(*made)]
        async with asyncio.timeout(PATIENCE):
            while _total(shown) - before < count:
                await asyncio.sleep(0.02)
        yield
    finally:
        for page in opened:
            page.transport.close()


def _total(shown: dict[bytes, list[float]]) -> int:
    return sum(len(times) for times in shown.values())


async def resident(report: Report, system: System, count: int) -> None:
    """What so many open pages add to the memory of a gateway that has had none yet."""
    groups = {"gateway": servers(system)["gateway"]}
    before = memory(groups)["gateway"]
    async with open_pages(system.ports["gateway"], count, {}):
        grown = memory(groups)["gateway"] - before
    report.add("memory of the gateway for 1,000 open pages", "MiB", grown / count * 1000, travels=True)


async def pages(report: Report, system: System, clients: ClientFactory, username: str, count: int) -> None:
    """The time until all of the pages got the pause of the only agent."""
    shown = dict[bytes, list[float]]()
    agent = await clients.agent(username)
    await until_green(clients.base)
    async with open_pages(system.ports["gateway"], count, shown):
        for _ in range(CHANGES):
            times = await _shown(agent, shown, count)
            report.add(f"{count} open pages heard of a change, the last", "s", max(times))
            report.add(f"{count} open pages heard of a change, p50", "s", share(times, 0.5))
    await clients.log_out([agent])


async def _shown(agent: BenchClient, shown: dict[bytes, list[float]], count: int) -> list[float]:
    """The agent pauses and is available again: seconds from the pause until each page got it."""
    took = []
    for state, reason in (("paused", b"no_agents"), ("available", b"available")):
        shown.clear()
        began = time.monotonic()
        agent.send(type="state", state=state)
        async with asyncio.timeout(PATIENCE):
            while len(shown.get(reason, ())) < count:
                await asyncio.sleep(0.01)
        if state == "paused":
            took = [at - began for at in shown[reason]]
    return took
