"""Agents vanish during a chat: the time until the citizen sees it, and until they have another agent."""

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
from tests.system.environment import AgentAccounts, load_average
from tests.system.history import Recorder
from tests.system.report import Report
from tests.system.tables import spread, table
from tests.system.workload.agent import LastingAgent, Service
from tests.system.workload.citizen import LastingCitizen, many_browsers
from tests.system.workload.participant import Participant

GOAL = 15.0  # seconds, p99
PATIENCE = 60.0
STAYS = Service(closes=0.0, longest=3600.0)
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


async def run(system: System, accounts: AgentAccounts, at_a_time: int, number: int, rng: random.Random) -> Report:
    """Rounds of every kind in turn until so many of each were lost; half of the agents work, half stand by."""
    losses: list[Loss] = []
    began = time.monotonic()
    async with many_browsers() as http:
        rounds = 0
        while any(sum(loss.kind == kind for loss in losses) < number for kind in KINDS):
            left = [kind for kind in KINDS if sum(loss.kind == kind for loss in losses) < number]
            losses += await one_round(system, http, accounts, [left[rounds % len(left)]] * at_a_time, rng)
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
    report.tables.append(table(["run", ""], [["took", f"{took:.0f} s"], ["machine", load_average()]]))
    report.faults = [f"{o.kind}: another agent after {o.green:.1f} s" for o in losses if not o.green <= goal]
    return report


async def one_round(
    system: System, http: aiohttp.ClientSession, accounts: AgentAccounts, kinds: Sequence[str], rng: random.Random
) -> list[Loss]:
    """A talk begins for each of these kinds, as many agents stand by, and those who talk are lost, each in one way."""
    recorder = Recorder()
    working = [LastingAgent(system.base_url, name, recorder, STAYS) for name in accounts.usernames[: 2 * len(kinds)]]
    busy, spare = working[: len(kinds)], working[len(kinds) :]
    citizens = [LastingCitizen(http, system.base_url, recorder) for _ in busy]
    try:
        await asyncio.gather(*(agent.come() for agent in busy))
        await asyncio.gather(*(_begin(citizen, rng) for citizen in citizens))
        await asyncio.gather(*(agent.come() for agent in spare))
        if "gateway" in kinds:
            return await _lose_gateway(system, busy, citizens, rng)
        return await asyncio.gather(*(_lose(w, citizens, kind, rng) for w, kind in zip(busy, kinds, strict=True)))
    finally:
        await asyncio.gather(*(_end(citizen) for citizen in citizens))
        await asyncio.gather(*(agent.close() for agent in working))


async def _begin(citizen: LastingCitizen, rng: random.Random) -> None:
    end = time.monotonic() + PATIENCE
    while await citizen.press(new_id()) != 201:
        assert time.monotonic() < end, "no citizen can start a chat"
        await asyncio.sleep(rng.uniform(0.2, 1.0))
    citizen.join()
    assert await citizen.until_green(PATIENCE), "a chat that was begun has no agent"
    await citizen.say("Dag")


async def _end(citizen: LastingCitizen) -> None:
    if citizen.participant:
        await citizen.leave(10)
    await citizen.close()


async def _lose(agent: LastingAgent, citizens: Sequence[LastingCitizen], kind: str, rng: random.Random) -> Loss:
    await asyncio.sleep(rng.uniform(0, 4))  # at any moment between two pings
    await agent.until(lambda: agent.chats, f"a chat of {agent.username}", PATIENCE)
    citizen = next(c for c in citizens if c.chat.chat in agent.chats)
    at = time.monotonic()
    if kind == "silent":
        await agent.hang()
    else:
        await agent.close_tab(politely=kind == "closed")
    return await _measure(citizen, agent, kind, at)


async def _lose_gateway(
    system: System, busy: Sequence[LastingAgent], citizens: Sequence[LastingCitizen], rng: random.Random
) -> list[Loss]:
    """Those whose gateway is killed do not come back; the others of this round stay."""
    mine = {agent: next(c for c in citizens if c.chat.chat in agent.chats) for agent in busy}
    name = rng.choice(sorted(n for n in system.pids() if n.split("-")[0] == "gateway"))
    for agent in busy:
        agent.stays = False
    at = time.monotonic()
    os.kill(system.pids()[name], signal.SIGKILL)
    await asyncio.sleep(1)  # by then the kernel has notified every client whose connection that was
    lost = [agent for agent in busy if agent.ended_at is not None]
    return await asyncio.gather(*(_measure(mine[agent], agent, "gateway", at) for agent in lost))


async def _measure(citizen: LastingCitizen, agent: LastingAgent, kind: str, at: float) -> Loss:
    """Measure when the citizen was shown the loss, and another agent."""
    name = agent.username.title()
    await citizen.until(lambda: _green_again(citizen.chat, name, at) is not None, PATIENCE)
    green = _green_again(citizen.chat, name, at)
    grey = next((t for t, f in citizen.chat.frames if t > at and f.get("dot") == "grey"), green)
    return Loss(kind, math.inf if grey is None else grey - at, math.inf if green is None else green - at)


def _green_again(chat: Participant, lost: str, at: float) -> float | None:
    """When they were shown another agent than the one who was lost then."""
    for t, frame in chat.frames:
        if t > at and frame["type"] == "status" and frame["dot"] == "green" and frame["agent"]["name"] != lost:
            return t
    return None
