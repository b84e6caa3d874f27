"""A long random run: agents come, pause, vanish and go, and citizens press whenever their page shows green."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import aiohttp

from tests.support.clients import new_id
from tests.support.servers import System
from tests.system.soak.checker import judge
from tests.system.soak.history import Recorder, Visit, recording
from tests.system.soak.lines import SLACK
from tests.system.soak.people import Caller, Manners, Worker, many_browsers
from tests.system.soak.presses import RETOLD
from tests.system.soak.report import Report
from tests.system.soak.standing import Blows, Crew, Strikes, broker_url, load, striking
from tests.system.soak.tables import spread, table
from tests.system.soak.watching import open_page

STALE = 2.0  # seconds for which a page may show what is not so any more
PATIENCE = 120.0


@dataclass(frozen=True)
class Plan:
    """`seconds`: how long agents and citizens come. `blows`: what is killed, None for nothing.

    `oldest`: seconds that a position may stay on a screen after it was true; None for what is promised.
    `stale`: seconds for which a page may show a colour that is not so any more.
    """

    seconds: float = 600.0
    citizens: int = 40
    blows: Blows | None = None
    pause: tuple[float, float] = (0.0, 6.0)  # seconds between two visits of a citizen
    stays: tuple[float, float] = (10.0, 40.0)  # seconds that an agent is in one state
    oldest: float | None = None
    stale: float = STALE


@dataclass
class Eye:
    """A page with the button, looking again whenever its connection is lost: what it shows now and when it changed."""

    port: int
    colour: str = "blue"
    changes: list[float] = field(default_factory=list)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, _: int, data: bytes, now: float) -> None:
        self.colour = json.loads(data)["colour"]
        self.changes.append(now)
        self._news.set()

    async def run(self) -> None:
        while True:
            with contextlib.suppress(OSError, TimeoutError):
                page = await open_page(self.port, self.hear)
                try:
                    await page.lost.wait()
                finally:
                    page.transport.abort()
                self.changes.append(time.monotonic())
            self.colour = "blue"  # as the element shows it without a connection
            await asyncio.sleep(0.3)

    async def green(self) -> None:
        """Returns when the page shows green."""
        while self.colour != "green":
            self._news.clear()
            await self._news.wait()

    def changed_around(self, began: float, ended: float, stale: float) -> bool:
        """Whether it was told anything new in the `stale` seconds before or after."""
        return any(began - stale <= at <= ended + stale for at in self.changes)


@dataclass(frozen=True)
class Refusal:
    """A press that was answered 409."""

    eye: Eye
    began: float
    answered: float


@dataclass
class Tally:
    visits: list[Visit] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    restless: Counter[str] = field(default_factory=Counter)  # what agents did


async def run(system: System, agents: Crew, plan: Plan, rng: random.Random, broker: str = "") -> Report:
    """Plays it once and judges presses and history. `broker`: its address, when it is not the system's own."""
    tally, began, url = Tally(), time.monotonic(), broker or broker_url(system)
    async with recording(url) as recorder, many_browsers() as http, striking(system, plan.blows, rng) as strikes:
        eyes = [Eye(system.ports["gateway"]) for _ in range(plan.citizens)]
        looking = [asyncio.create_task(eye.run()) for eye in eyes]
        workers = [Worker(system.base_url, name, rng, Manners(talks=(0.5, 4.0))) for name in agents.usernames]
        end = time.monotonic() + plan.seconds
        over = asyncio.Event()
        working = [asyncio.create_task(_work(worker, plan, rng, tally, over)) for worker in workers]
        try:
            await asyncio.gather(*(_visit_again(http, system, eye, plan, rng, tally, end) for eye in eyes))
            over.set()
            await asyncio.gather(*working)
            await recorder.quiet(2.0)
        finally:
            for task in (*looking, *working):
                task.cancel()
            await asyncio.gather(*looking, *working, return_exceptions=True)
            await asyncio.gather(*(worker.away() for worker in workers))
    return report_of(plan, agents, tally, recorder, strikes, time.monotonic() - began)


# ── citizens ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _visit_again(
    http: aiohttp.ClientSession, system: System, eye: Eye, plan: Plan, rng: random.Random, tally: Tally, end: float
) -> None:
    while time.monotonic() < end:
        await asyncio.sleep(rng.uniform(*plan.pause))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.1, end - time.monotonic())):
                await eye.green()
        if eye.colour == "green" and time.monotonic() < end:
            await _visit(http, system, eye, rng, tally)


async def _visit(http: aiohttp.ClientSession, system: System, eye: Eye, rng: random.Random, tally: Tally) -> None:
    """One press on green and, if it is answered with a chat, the chat to its end."""
    caller = Caller(http, system.base_url)
    key = new_id()
    status = await caller.press(key)
    for _ in range(20):  # no answer at all, or `unavailable`: the page tries again
        if status in (201, 409):
            break
        tally.others[str(status or "no answer")] += 1
        await asyncio.sleep(rng.uniform(0.3, 1.0))
        status = await caller.press(key)
    if status == 409:
        last = caller.visit.presses[-1]
        tally.refusals.append(Refusal(eye, last.began, last.answered))
    if status != 201:
        return
    tally.visits.append(caller.visit)
    caller.join()
    try:
        await caller.until_green(PATIENCE)
        await caller.say("Dag")
        if await caller.until(lambda: caller.visit.closed, rng.uniform(1, 6)):
            return
        await caller.leave()
    finally:
        await caller.gone()


# ── agents ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def _work(worker: Worker, plan: Plan, rng: random.Random, tally: Tally, over: asyncio.Event) -> None:
    """Comes, and then again and again: pauses a while, vanishes a while, logs out a while; at the end finishes."""
    await asyncio.sleep(rng.uniform(0, 3))
    await worker.come()
    while not await _set(over, rng.uniform(*plan.stays)):
        what = rng.choice(["pause", "pause", "pause", "log out", "silent", "closed", "cut", "reload"])
        tally.restless[what] += 1
        if what == "pause":
            await worker.set_state("paused")
            await _set(over, rng.uniform(1, 10))
            await worker.set_state("available")
        else:
            await _leave(worker, what)
            await _set(over, rng.uniform(0.2, 1.0) if what == "reload" else rng.uniform(2, 20))
            await _end(worker)
            await worker.come()
    with contextlib.suppress(AssertionError):
        await worker.until(lambda: not worker.chats, "an empty desk", PATIENCE)
    await worker.log_out()


async def _leave(worker: Worker, what: str) -> None:
    if what == "log out":
        await worker.log_out()
    elif what == "silent":
        await worker.fall_silent()
    else:
        await worker.close_tab(politely=what != "cut")


async def _end(worker: Worker) -> None:
    if worker.deaf:
        await worker.close_tab(politely=False)


async def _set(over: asyncio.Event, seconds: float) -> bool:
    """Whether it is over, after so many seconds at the most."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(over.wait(), seconds)
    return over.is_set()


# ── the figures ──────────────────────────────────────────────────────────────────────────────────────────────────────


def report_of(plan: Plan, agents: Crew, tally: Tally, recorder: Recorder, strikes: Strikes, took: float) -> Report:
    """Presses by what became of them; what must not have been."""
    report = Report(f"{plan.seconds:.0f} s of presses on green, {len(agents.capacity)} agents, {plan.citizens} pages")
    served = [v for v in tally.visits if v.served_at]
    unserved = [v for v in tally.visits if not v.served_at]
    late = [r for r in tally.refusals if not r.eye.changed_around(r.began, r.answered, plan.stale)]
    waits = [v.served_at - v.presses[-1].answered for v in served if v.served_at]
    lost = [v for v in served if _was_lost(v)]
    rows: list[Sequence[object]] = [
        ["201, with an agent", len(served)],
        ["201, ended without an agent (goal 0)", len(unserved)],
        [f"409 within {plan.stale:.0f} s of a change", len(tally.refusals) - len(late)],
        ["409 later (goal 0)", len(late)],
        *([f"{status}, tried again", n] for status, n in sorted(tally.others.items())),
    ]
    report.tables.append(table(["press on green", "number"], rows))
    head = ["until the dot is green", "chats", "p50 s", "p99 s", "max s"]
    report.tables.append(table(head, [["from the answer 201", *spread(waits)]]))
    did = ", ".join(f"{what} {n}" for what, n in sorted(tally.restless.items()))
    events: list[Sequence[object]] = [
        ["agents did", did],
        ["chats that lost an agent", len(lost)],
        ["killed", str(strikes)],
        ["events in the history", len(recorder.heard)],
        ["took", f"{took:.0f} s"],
        ["machine", load()],
    ]
    report.tables.append(table(["run", ""], events))
    oldest = plan.oldest or (RETOLD if plan.blows else SLACK)
    judgement = judge(recorder.heard, agents.by_id, tally.visits, oldest)
    report.judged(judgement.violations, judgement.sights)
    report.faults += [f"201 without an agent: {_outcome(v)}" for v in unserved]
    report.faults += [f"409 with no change near: pressed at {r.began:.1f}" for r in late]
    return report


def _was_lost(visit: Visit) -> bool:
    dots = [f["dot"] for _, f in visit.frames if f["type"] == "status"]
    return "green" in dots and "grey" in dots[dots.index("green") :]


def _outcome(visit: Visit) -> str:
    waited = (visit.frames[-1][0] if visit.frames else time.monotonic()) - visit.presses[-1].answered
    return f"{visit.chat_id} {visit.closed or 'not closed'} after {waited:.1f} s"
