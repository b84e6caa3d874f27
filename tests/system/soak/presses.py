"""Many citizens press at the same time while replicas are killed: all are served, and no rule is broken."""

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
from tests.system.checker import assignments, messages
from tests.system.checker.chat_states import UNBOUNDED
from tests.system.checker.department_queues import SLACK
from tests.system.checker.violations import Violation
from tests.system.environment import (
    DEPARTMENT,
    AgentAccounts,
    KillPlan,
    Kills,
    broker_url,
    is_overloaded,
    killing_replicas,
    load_average,
)
from tests.system.history import EventRecorder, Recorder, recording_events, visits
from tests.system.report import Report
from tests.system.tables import spread, table
from tests.system.workload.agent import LastingAgent, Service
from tests.system.workload.citizen import LastingCitizen, many_browsers
from tests.system.workload.conversations import read_everything

REPUBLISHED = (
    15.0  # seconds: an order that a replica published late, or not before it was killed, is repeated each 10 s
)


@dataclass(frozen=True)
class Plan:
    """`kills`: what is killed; None for nothing. `limit`: seconds for everything.

    `oldest`: seconds that a position may stay on a screen after it was true; None for what is promised.
    """

    presses: int = 1000
    kills: KillPlan | None = field(default_factory=KillPlan)
    limit: float = 600.0
    talk: tuple[float, float] = (0.3, 1.5)
    oldest: float | None = None


async def run(system: System, accounts: AgentAccounts, plan: Plan, rng: random.Random, broker: str = "") -> Report:
    """Run once and check the history. `broker`: its address, when it is not the system's own."""
    recorder, citizens = Recorder(), list[LastingCitizen]()
    async with recording_events(broker or broker_url(system)) as events, many_browsers() as http:
        agents = [LastingAgent(system.base_url, name, recorder, Service(rng=rng)) for name in accounts.usernames]
        try:
            await asyncio.gather(*(agent.come() for agent in agents))
            await at_rest(events, accounts)
            began = time.monotonic()
            async with killing_replicas(system, plan.kills, rng) as kills:
                await asyncio.gather(
                    *(_until_served(http, system.base_url, plan, rng, recorder, citizens) for _ in range(plan.presses))
                )
            took = time.monotonic() - began
            await events.quiet(2.0)
            await asyncio.gather(*(agent.set_state("available") for agent in agents))
            slots = await at_rest(events, accounts)
            await asyncio.gather(*(agent.read_all() for agent in agents))
            await read_everything(citizens)
        finally:
            await asyncio.gather(*(agent.close() for agent in agents))
    report = _report(plan, accounts, events, recorder, took, kills)
    oldest = plan.oldest or (REPUBLISHED if plan.kills else SLACK)
    check_all(report, events, recorder, accounts, oldest, slots)
    return report


def check_all(
    report: Report,
    events: EventRecorder,
    recorder: Recorder,
    accounts: AgentAccounts,
    oldest: float,
    more: Sequence[Violation] = (),
) -> None:
    """Check assignments and messages; add the results, and `more` violations of assignments, to the report.

    On an overloaded machine the age of positions is shown, and not judged.
    """
    overloaded = is_overloaded()
    report.tables.append(f"Bounds in seconds: {'not judged, the machine is overloaded' if overloaded else 'judged'}.")
    oldest = UNBOUNDED if overloaded else oldest
    assigned = assignments.check(events.published, accounts.by_id, recorder.events, oldest)
    report.checked(assignments.Rule, [*assigned.violations, *more], [p.age for p in assigned.positions])
    report.checked(messages.ALWAYS, messages.check(recorder.events).violations)


async def at_rest(events: EventRecorder, accounts: AgentAccounts, wait: float = 60.0) -> list[Violation]:
    """Waits until all slots are published as free, as they are every 2 s; the violations when that takes longer."""
    end = time.monotonic() + wait
    while wrong := assignments.free_slots_at_rest(events.published, {DEPARTMENT: accounts.slots}):
        if time.monotonic() > end:
            return wrong
        await asyncio.sleep(0.05)
    return []


async def _until_served(
    http: aiohttp.ClientSession,
    base: str,
    plan: Plan,
    rng: random.Random,
    recorder: Recorder,
    citizens: list[LastingCitizen],
) -> None:
    """One citizen. A chat that ends before it had an agent is a fault, and they begin anew."""
    end = time.monotonic() + plan.limit
    await asyncio.sleep(rng.uniform(0, 1))
    while time.monotonic() < end:
        citizens.append(citizen := LastingCitizen(http, base, recorder))
        await _visit(citizen, plan, rng, end)
        if citizen.is_served:
            return


async def _visit(citizen: LastingCitizen, plan: Plan, rng: random.Random, end: float) -> None:
    """Press with the same key until there is a chat; converse; close it or wait until it is closed."""
    key, tries = new_id(), 0
    while await citizen.press(key, question="Wanneer wordt mijn premie uitbetaald?") != 201:
        if time.monotonic() > end:
            return
        await asyncio.sleep(rng.uniform(1, 3) * min(1.5**tries, 5))
        tries += 1
    citizen.join()
    try:
        await citizen.until_green(max(10.0, end - time.monotonic()))
        await citizen.say("Dag, ik wacht op mijn premie.")
        await asyncio.sleep(rng.uniform(*plan.talk))
        if rng.random() < 0.5:
            await citizen.until_closed(20)
        await citizen.leave()
    finally:
        await citizen.close()


def _report(
    plan: Plan, accounts: AgentAccounts, recorded: EventRecorder, recorder: Recorder, took: float, kills: Kills
) -> Report:
    found = visits(recorder.events)
    report = Report(f"{plan.presses} concurrent presses, {len(accounts.capacity)} agents with {accounts.slots} slots")
    answers = [(str(p.status or "no answer"), p.at - p.began) for v in found for p in v.presses]
    rows = [[status, *spread([t for s, t in answers if s == status])] for status in sorted({s for s, _ in answers})]
    report.tables.append(table(["answer to a press", "number", "p50 s", "p99 s", "max s"], rows))
    served = [v.served_at - v.presses[0].began for v in found if v.served_at]
    after = [v.served_at - v.presses[-1].at for v in found if v.served_at]
    report.tables.append(
        table(
            ["until the dot is green", "chats", "p50 s", "p99 s", "max s"],
            [["from the first press", *spread(served)], ["from the answer 201", *spread(after)]],
        )
    )
    ends = Counter(v.closed.reason if v.closed else "not heard of" for v in found)
    events: list[Sequence[object]] = [
        ["served", f"{len(served)} of {plan.presses}"],
        ["ended by", ", ".join(f"{reason} {n}" for reason, n in sorted(ends.items()))],
        ["all of it took", f"{took:.0f} s"],
        ["killed", str(kills)],
        ["events in the history", len(recorded.published)],
        ["steps of the wall clock", f"{recorded.clock_step * 1000:.1f} ms"],
        ["machine", load_average()],
    ]
    report.tables.append(table(["run", ""], events))
    if len(served) < plan.presses:
        report.faults.append(f"{plan.presses - len(served)} citizens never had an agent")
    return report
