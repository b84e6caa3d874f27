"""Many citizens press at the same time while replicas are killed: all are served, and nothing is ever untrue."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from tests.support.clients import new_id
from tests.support.servers import System
from tests.system.soak.checker import Violation, judge, places_at_rest
from tests.system.soak.history import Recorder, Visit, recording
from tests.system.soak.lines import SLACK
from tests.system.soak.people import Caller, Manners, Worker, many_browsers
from tests.system.soak.report import Report
from tests.system.soak.standing import DEPARTMENT, Blows, Crew, Strikes, broker_url, load, striking
from tests.system.soak.tables import spread, table

RETOLD = 15.0  # seconds: who told an order late, or died before they did, is made up for by the repetition of each 10 s


@dataclass(frozen=True)
class Plan:
    """`blows`: what is killed; None for nothing. `limit`: seconds for everything.

    `oldest`: seconds that a position may stay on a screen after it was true; None for what is promised.
    """

    presses: int = 1000
    blows: Blows | None = field(default_factory=Blows)
    limit: float = 600.0
    talk: tuple[float, float] = (0.3, 1.5)
    oldest: float | None = None


async def run(system: System, agents: Crew, plan: Plan, rng: random.Random, broker: str = "") -> Report:
    """Plays it once and judges the history. `broker`: its address, when it is not the system's own."""
    async with recording(broker or broker_url(system)) as recorder, many_browsers() as http:
        workers = [Worker(system.base_url, name, rng, Manners()) for name in agents.usernames]
        try:
            await asyncio.gather(*(worker.come() for worker in workers))
            await at_rest(recorder, agents)
            began = time.monotonic()
            visits, strikes = await _play(system, http, plan, rng)
            took = time.monotonic() - began
            await recorder.quiet(2.0)
            await asyncio.gather(*(worker.set_state("available") for worker in workers))
            places = await at_rest(recorder, agents)
        finally:
            await asyncio.gather(*(worker.away() for worker in workers))
        oldest = plan.oldest or (RETOLD if plan.blows else SLACK)
        judgement = judge(recorder.heard, agents.by_id, visits, oldest)
        report = _report(plan, agents, recorder, visits, took, strikes)
        report.judged([*judgement.violations, *places], judgement.sights)
        return report


async def at_rest(recorder: Recorder, agents: Crew, wait: float = 60.0) -> list[Violation]:
    """Waits until all places are told to be free, as they are repeated every 2 s; what is wrong when that is over."""
    end = time.monotonic() + wait
    while wrong := places_at_rest(recorder.heard, {DEPARTMENT: agents.places}):
        if time.monotonic() > end:
            return wrong
        await asyncio.sleep(0.05)
    return []


async def _play(
    system: System, http: aiohttp.ClientSession, plan: Plan, rng: random.Random
) -> tuple[list[Visit], Strikes]:
    visits: list[Visit] = []
    async with striking(system, plan.blows, rng) as strikes:
        await asyncio.gather(*(_until_served(http, system.base_url, plan, rng, visits) for _ in range(plan.presses)))
    return visits, strikes


async def _until_served(
    http: aiohttp.ClientSession, base: str, plan: Plan, rng: random.Random, visits: list[Visit]
) -> None:
    """One citizen. A chat that ends before it had an agent is a fault, and they begin anew."""
    end = time.monotonic() + plan.limit
    await asyncio.sleep(rng.uniform(0, 1))
    while time.monotonic() < end:
        caller = Caller(http, base)
        visits.append(caller.visit)
        await _call(caller, plan, rng, end)
        if caller.visit.served_at:
            return


async def _call(caller: Caller, plan: Plan, rng: random.Random, end: float) -> None:
    """Presses, again and again with the same key until there is a chat; talks; closes it or waits until it is."""
    key, tries = new_id(), 0
    while await caller.press(key, question="Wanneer wordt mijn premie uitbetaald?") != 201:
        if time.monotonic() > end:
            return
        await asyncio.sleep(rng.uniform(1, 3) * min(1.5**tries, 5))
        tries += 1
    caller.join()
    try:
        await caller.until_green(max(10.0, end - time.monotonic()))
        await caller.say("Dag, ik wacht op mijn premie.")
        await asyncio.sleep(rng.uniform(*plan.talk))
        if rng.random() < 0.5:
            await caller.until(lambda: caller.visit.closed, 20)
        await caller.leave()
    finally:
        await caller.gone()


def _report(
    plan: Plan,
    agents: Crew,
    recorder: Recorder,
    visits: Sequence[Visit],
    took: float,
    strikes: Strikes,
) -> Report:
    report = Report(f"{plan.presses} concurrent presses, {len(agents.capacity)} agents with {agents.places} places")
    answers = [(str(p.status or "no answer"), p.answered - p.began) for v in visits for p in v.presses]
    rows = [[status, *spread([t for s, t in answers if s == status])] for status in sorted({s for s, _ in answers})]
    report.tables.append(table(["answer to a press", "number", "p50 s", "p99 s", "max s"], rows))
    served = [v.served_at - v.presses[0].began for v in visits if v.served_at]
    after = [v.served_at - v.presses[-1].answered for v in visits if v.served_at]
    report.tables.append(
        table(
            ["until the dot is green", "chats", "p50 s", "p99 s", "max s"],
            [["from the first press", *spread(served)], ["from the answer 201", *spread(after)]],
        )
    )
    ends = Counter(v.closed["reason"] if v.closed else "not heard of" for v in visits)
    events: list[Sequence[object]] = [
        ["served", f"{len(served)} of {plan.presses}"],
        ["ended by", ", ".join(f"{reason} {n}" for reason, n in sorted(ends.items()))],
        ["all of it took", f"{took:.0f} s"],
        ["killed", str(strikes)],
        ["events in the history", len(recorder.heard)],
        ["steps of the wall clock", f"{recorder.clock_step * 1000:.1f} ms"],
        ["machine", load()],
    ]
    report.tables.append(table(["run", ""], events))
    if len(served) < plan.presses:
        report.faults.append(f"{plan.presses - len(served)} citizens never had an agent")
    return report
