"""Agents vanish amid a chat: how long until the citizen is told, and until they have another agent."""

from __future__ import annotations

import asyncio
import math
import os
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass

import aiohttp

from tests.support.clients import new_id
from tests.support.servers import System
from tests.system.soak.history import Visit
from tests.system.soak.people import Caller, Manners, Worker, many_browsers
from tests.system.soak.report import Report
from tests.system.soak.standing import Crew, load
from tests.system.soak.tables import spread, table

GOAL = 15.0  # seconds, p99
PATIENCE = 60.0
STAYS = Manners(closes=0.0, longest=3600.0)
KINDS = {
    "silent": "stops answering pings",
    "closed": "closes the tab",
    "cut": "connection cut",
    "gateway": "gateway killed",
}


@dataclass(frozen=True)
class Loss:
    """One agent was lost at `at`; seconds until their citizen's dot was grey, and until it was green again."""

    kind: str
    grey: float
    green: float


async def run(system: System, agents: Crew, at_a_time: int, number: int, rng: random.Random) -> Report:
    """Rounds of every kind in turn until so many of each were lost; half of the agents work, half stand by."""
    losses: list[Loss] = []
    began = time.monotonic()
    async with many_browsers() as http:
        rounds = 0
        while any(sum(loss.kind == kind for loss in losses) < number for kind in KINDS):
            left = [kind for kind in KINDS if sum(loss.kind == kind for loss in losses) < number]
            losses += await one_round(system, http, agents, [left[rounds % len(left)]] * at_a_time, rng)
            rounds += 1
            assert rounds < 20 + number * len(KINDS), "agents are not lost as they should be"
    return report_of(losses, time.monotonic() - began)


def report_of(losses: Sequence[Loss], took: float, goal: float = GOAL) -> Report:
    """The figures by kind, and what missed the goal: `goal` seconds until another agent has the chat."""
    report = Report(f"{len(losses)} agents lost amid a chat")
    rows = []
    for kind, words in [*KINDS.items(), ("", "all")]:
        ours = [loss for loss in losses if kind in ("", loss.kind)]
        rows.append([words, *spread([o.grey for o in ours]), *spread([o.green for o in ours])[1:]])
    head = ["how", "losses", "told p50 s", "p99 s", "max s", "other agent p50 s", "p99 s", "max s"]
    report.tables.append(table(head, rows))
    report.tables.append(table(["run", ""], [["took", f"{took:.0f} s"], ["machine", load()]]))
    report.faults = [f"{o.kind}: another agent after {o.green:.1f} s" for o in losses if not o.green <= goal]
    return report


async def one_round(
    system: System, http: aiohttp.ClientSession, agents: Crew, kinds: Sequence[str], rng: random.Random
) -> list[Loss]:
    """A talk begins for each of these kinds, as many agents stand by, and those who talk are lost, each in one way."""
    workers = [Worker(system.base_url, name, rng, STAYS) for name in agents.usernames[: 2 * len(kinds)]]
    busy, spare = workers[: len(kinds)], workers[len(kinds) :]
    callers = [Caller(http, system.base_url) for _ in busy]
    try:
        await asyncio.gather(*(worker.come() for worker in busy))
        await asyncio.gather(*(_begin(caller, rng) for caller in callers))
        await asyncio.gather(*(worker.come() for worker in spare))
        if "gateway" in kinds:
            return await _lose_gateway(system, busy, callers, rng)
        return await asyncio.gather(*(_lose(w, callers, kind, rng) for w, kind in zip(busy, kinds, strict=True)))
    finally:
        await asyncio.gather(*(_end(caller) for caller in callers))
        await asyncio.gather(*(worker.away() for worker in workers))


async def _begin(caller: Caller, rng: random.Random) -> None:
    end = time.monotonic() + PATIENCE
    while await caller.press(new_id()) != 201:
        assert time.monotonic() < end, "nobody can start a chat"
        await asyncio.sleep(rng.uniform(0.2, 1.0))
    caller.join()
    assert await caller.until_green(PATIENCE), "a chat that was begun has no agent"
    await caller.say("Dag")


async def _end(caller: Caller) -> None:
    if caller.token:
        await caller.leave(10)
    await caller.gone()


async def _lose(worker: Worker, callers: Sequence[Caller], kind: str, rng: random.Random) -> Loss:
    await asyncio.sleep(rng.uniform(0, 4))  # at any moment between two pings
    await worker.until(lambda: worker.chats, f"a chat of {worker.username}", PATIENCE)
    caller = next(c for c in callers if c.visit.chat_id in worker.chats)
    at = time.monotonic()
    if kind == "silent":
        await worker.fall_silent()
    else:
        await worker.close_tab(politely=kind == "closed")
    return await _seen(caller, worker, kind, at)


async def _lose_gateway(
    system: System, busy: Sequence[Worker], callers: Sequence[Caller], rng: random.Random
) -> list[Loss]:
    """Those whose gateway is killed do not come back; the others of this round stay."""
    mine = {worker: next(c for c in callers if c.visit.chat_id in worker.chats) for worker in busy}
    name = rng.choice(sorted(n for n in system.pids() if n.split("-")[0] == "gateway"))
    for worker in busy:
        worker.stays = False
    at = time.monotonic()
    os.kill(system.pids()[name], signal.SIGKILL)
    await asyncio.sleep(1)  # by then the kernel has told every client whose connection that was
    lost = [worker for worker in busy if worker.ended_at is not None]
    return await asyncio.gather(*(_seen(mine[worker], worker, "gateway", at) for worker in lost))


async def _seen(caller: Caller, worker: Worker, kind: str, at: float) -> Loss:
    """What the citizen was shown after the loss."""
    name = worker.username.title()
    await caller.until(lambda: _green_again(caller.visit, name, at) is not None, PATIENCE)
    green = _green_again(caller.visit, name, at)
    grey = next((t for t, f in caller.visit.frames if t > at and f.get("dot") == "grey"), green)
    return Loss(kind, math.inf if grey is None else grey - at, math.inf if green is None else green - at)


def _green_again(visit: Visit, lost: str, at: float) -> float | None:
    """When they were shown another agent than the one who was lost then."""
    for t, frame in visit.frames:
        if t > at and frame["type"] == "status" and frame["dot"] == "green" and frame["agent"]["name"] != lost:
            return t
    return None
