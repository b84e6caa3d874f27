"""A long random run: agents come, pause, vanish and go; citizens press whenever their page shows green."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from tests.support.clients import new_id
from tests.support.servers import System
from tests.system.checker.chat_states import UNBOUNDED
from tests.system.checker.department_queues import SLACK
from tests.system.environment import (
    AgentAccounts,
    KillPlan,
    Kills,
    broker_url,
    is_overloaded,
    killing_replicas,
    load_average,
)
from tests.system.history import EventRecorder, Recorder, Visit, recording_events, visits
from tests.system.report import Report
from tests.system.soak.button_pages import open_page
from tests.system.soak.presses import REPUBLISHED, check_all
from tests.system.tables import spread, table
from tests.system.workload.agent import LastingAgent, Service
from tests.system.workload.citizen import LastingCitizen, many_browsers
from tests.system.workload.conversations import read_everything

STALE = 2.0  # seconds for which a page may show what is not so any more
PATIENCE = 120.0


@dataclass(frozen=True)
class Plan:
    """`seconds`: how long agents and citizens come. `kills`: what is killed, None for nothing.

    `oldest`: seconds that a position may stay on a screen after it was true; None for what is promised.
    `stale`: seconds for which a page may show a colour that is not so any more. `presses`: the run ends after so many,
    if that is sooner. `talk`, `answers`: seconds that citizens stay and agents take.
    """

    seconds: float = 600.0
    presses: int | None = None
    talk: tuple[float, float] = (1.0, 6.0)
    answers: tuple[float, float] = (0.5, 4.0)
    citizens: int = 40
    kills: KillPlan | None = None
    pause: tuple[float, float] = (0.0, 6.0)  # seconds between two visits of a citizen
    stays: tuple[float, float] = (10.0, 40.0)  # seconds that an agent is in one state
    oldest: float | None = None
    stale: float = STALE


@dataclass
class ButtonPage:
    """A page with the button, which connects again when its connection is lost: its colour, and when that changed."""

    port: int
    colour: str = "blue"
    revision: int = 0
    changes: list[float] = field(default_factory=list)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    def receive(self, _: int, data: bytes, now: float) -> None:
        button = json.loads(data)
        self.colour, self.revision = button["colour"], button["revision"]
        self.changes.append(now)
        self._changed.set()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                connection = await open_page(self.port, self.receive)
                try:
                    await connection.lost.wait()
                finally:
                    connection.transport.abort()
                self.changes.append(time.monotonic())
            self.colour = "blue"  # as the element shows it without a connection
            await asyncio.sleep(0.3)

    async def green(self) -> None:
        """Returns when the page shows green."""
        while self.colour != "green":
            self._changed.clear()
            await self._changed.wait()

    def changed_around(self, began: float, ended: float, stale: float) -> bool:
        """Whether it got anything new in the `stale` seconds before or after."""
        return any(began - stale <= at <= ended + stale for at in self.changes)


@dataclass(frozen=True)
class Refusal:
    """A press that was answered 409."""

    page: ButtonPage
    began: float
    answered: float


@dataclass
class Metrics:
    """What became of the presses, and what agents did."""

    citizens: list[LastingCitizen] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    pressed: int = 0
    others: Counter[str] = field(default_factory=Counter)
    agents_did: Counter[str] = field(default_factory=Counter)


async def run(system: System, accounts: AgentAccounts, plan: Plan, rng: random.Random, broker: str = "") -> Report:
    """Run once and check presses and history. `broker`: its address, when it is not the system's own."""
    metrics, recorder, began = Metrics(), Recorder(), time.monotonic()
    refused_before = len(refused_when_green(system.log()))
    async with (
        recording_events(broker or broker_url(system)) as events,
        many_browsers() as http,
        killing_replicas(system, plan.kills, rng) as kills,
    ):
        pages = [ButtonPage(system.ports["gateway"]) for _ in range(plan.citizens)]
        connected = [asyncio.create_task(page.run()) for page in pages]
        service = Service(talks=plan.answers, rng=rng)
        agents = [LastingAgent(system.base_url, name, recorder, service) for name in accounts.usernames]
        end = time.monotonic() + plan.seconds
        over = asyncio.Event()
        working = [asyncio.create_task(_work(agent, plan, rng, metrics, over)) for agent in agents]

        def new_citizen() -> LastingCitizen:
            return LastingCitizen(http, system.base_url, recorder)

        try:
            await asyncio.gather(*(_visit_again(new_citizen, page, plan, rng, metrics, end) for page in pages))
            over.set()
            await asyncio.gather(*working)
            await events.quiet(2.0)
            await asyncio.gather(*(agent.read_all() for agent in agents))
            await read_everything(metrics.citizens)
        finally:
            for task in (*connected, *working):
                task.cancel()
            await asyncio.gather(*connected, *working, return_exceptions=True)
            await asyncio.gather(*(agent.close() for agent in agents))
    took = time.monotonic() - began
    if is_overloaded():
        plan = replace(plan, stale=UNBOUNDED)
    report = _report(plan, accounts, metrics, events, visits(recorder.events), kills, took)
    refused = refused_when_green(system.log())[refused_before:]
    report.tables.append(
        table(["press that a gateway accepted as green", "number"], [["refused after that (goal 0)", len(refused)]])
    )
    report.faults += [f"refused after it was accepted as green: {reason}" for reason in refused]
    check_all(report, events, recorder, accounts, plan.oldest or (REPUBLISHED if plan.kills else SLACK))
    return report


def refused_when_green(log: str) -> list[str]:
    """Why presses were refused that came while the button of their gateway was green, as the runner shows it."""
    refused = [line for line in log.splitlines() if " press_refused " in line and " green=true" in line]
    return [line.partition(" reason=")[2].partition(" ")[0] for line in refused]


# ── citizens ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _visit_again(
    new_citizen: Callable[[], LastingCitizen],
    page: ButtonPage,
    plan: Plan,
    rng: random.Random,
    metrics: Metrics,
    end: float,
) -> None:
    while time.monotonic() < end and metrics.pressed < (plan.presses or metrics.pressed + 1):
        await asyncio.sleep(rng.uniform(*plan.pause))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.1, end - time.monotonic())):
                await page.green()
        if page.colour == "green" and time.monotonic() < end:
            metrics.pressed += 1
            await _visit(new_citizen(), page, plan, rng, metrics)


async def _visit(citizen: LastingCitizen, page: ButtonPage, plan: Plan, rng: random.Random, metrics: Metrics) -> None:
    """One press on green and, if it is answered with a chat, the chat to its end."""
    key, seen = new_id(), page.revision
    began, status = time.monotonic(), await citizen.press(key, seen=seen)
    for _ in range(20):  # no answer at all, or `unavailable`: the page tries again
        if status in (201, 409):
            break
        metrics.others[str(status or "no answer")] += 1
        await asyncio.sleep(rng.uniform(0.3, 1.0))
        began, status = time.monotonic(), await citizen.press(key, seen=seen)
    if status == 409:
        metrics.refusals.append(Refusal(page, began, time.monotonic()))
    if status != 201:
        return
    metrics.citizens.append(citizen)
    citizen.join()
    try:
        await citizen.until_green(PATIENCE)
        await citizen.say("Dag")
        if await citizen.until_closed(rng.uniform(*plan.talk)):
            return
        await citizen.leave()
    finally:
        await citizen.close()


# ── agents ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _work(agent: LastingAgent, plan: Plan, rng: random.Random, metrics: Metrics, over: asyncio.Event) -> None:
    """Come, and then repeatedly pause, vanish or log out for a while; finish the chats at the end."""
    await asyncio.sleep(rng.uniform(0, 3))
    await agent.come()
    while not await _set(over, rng.uniform(*plan.stays)):
        what = rng.choice(["pause", "pause", "pause", "log out", "silent", "closed", "cut", "reload"])
        metrics.agents_did[what] += 1
        if what == "pause":
            await agent.set_state("paused")
            await _set(over, rng.uniform(1, 10))
            await agent.set_state("available")
        else:
            await _leave(agent, what)
            await _set(over, rng.uniform(0.2, 1.0) if what == "reload" else rng.uniform(2, 20))
            await _end(agent)
            await agent.come()
    with contextlib.suppress(AssertionError):
        await agent.until(lambda: not agent.chats, "the end of their chats", PATIENCE)
    await agent.log_out()


async def _leave(agent: LastingAgent, what: str) -> None:
    if what == "log out":
        await agent.log_out()
    elif what == "silent":
        await agent.hang()
    else:
        await agent.close_tab(politely=what != "cut")


async def _end(agent: LastingAgent) -> None:
    if agent.hangs:
        await agent.close_tab(politely=False)


async def _set(over: asyncio.Event, seconds: float) -> bool:
    """Whether it is over, after so many seconds at the most."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
    return over.is_set()


# ── the figures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _report(
    plan: Plan,
    accounts: AgentAccounts,
    metrics: Metrics,
    events: EventRecorder,
    found: Sequence[Visit],
    kills: Kills,
    took: float,
) -> Report:
    """Presses by what became of them, and what must not have been."""
    report = Report(f"{plan.seconds:.0f} s of presses on green, {len(accounts.capacity)} agents, {plan.citizens} pages")
    served = [v for v in found if v.chat and v.served_at]
    # An agent can end only a chat that they have: then its page got the end before it got the agent.
    brief = [v for v in found if v.chat and not v.served_at and v.closed and v.closed.reason == "agent"]
    unserved = [v for v in found if v.chat and not v.served_at and v not in brief]
    late = [r for r in metrics.refusals if not r.page.changed_around(r.began, r.answered, plan.stale)]
    waits = [v.served_at - v.presses[-1].at for v in served if v.served_at]
    lost = [v for v in served if v.lost_agent]
    rows: list[Sequence[object]] = [
        ["201, with an agent", len(served)],
        ["201, ended by an agent before the dot was green", len(brief)],
        ["201, ended without an agent (goal 0)", len(unserved)],
        [f"409 within {plan.stale:.0f} s of a change", len(metrics.refusals) - len(late)],
        ["409 later (goal 0)", len(late)],
        *([f"{status}, tried again", n] for status, n in sorted(metrics.others.items())),
    ]
    report.tables.append(table(["press on green", "number"], rows))
    head = ["until the dot is green", "chats", "p50 s", "p99 s", "max s"]
    report.tables.append(table(head, [["from the answer 201", *spread(waits)]]))
    did = ", ".join(f"{what} {n}" for what, n in sorted(metrics.agents_did.items()))
    figures: list[Sequence[object]] = [
        ["agents did", did],
        ["chats that lost an agent", len(lost)],
        ["killed", str(kills)],
        ["events in the history", len(events.published)],
        ["took", f"{took:.0f} s"],
        ["machine", load_average()],
    ]
    report.tables.append(table(["run", ""], figures))
    report.faults += [f"201 without an agent: {_outcome(v)}" for v in unserved]
    report.faults += [f"409 with no change near: pressed at {r.began:.1f}" for r in late]
    return report


def _outcome(visit: Visit) -> str:
    pressed = visit.presses[-1].at
    waited = (visit.statuses[-1].at if visit.statuses else time.monotonic()) - pressed
    reason = visit.closed.reason if visit.closed else "not closed"
    return f"{visit.chat} {reason} after {waited:.1f} s"
