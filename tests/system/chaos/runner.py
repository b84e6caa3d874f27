"""A run: people talk, blows fall one after the other, and after each it is measured when messages flow again."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from tests.support.clients import http_client
from tests.system.chaos.blows import Blow, Stand
from tests.system.chaos.checker import Judgement, judge
from tests.system.chaos.history import Connected, write
from tests.system.chaos.people import Company, Desk, Manners, Talk, read_everything
from tests.system.chaos.stages import SPARE

BEGIN = 120.0  # seconds for all talks to begin
LOOK = 0.02


@dataclass(frozen=True)
class Plan:
    """`seconds`: for so long blows begin, but each kind is struck once; `faults`: not more than so many.

    `messages`: the talks go on until so many were written, however slow the machine is.
    """

    pairs: int = 8
    seconds: float = 150.0
    faults: int = 10_000
    messages: int = 0
    rest: tuple[float, float] = (0.5, 2.5)  # seconds from when messages flow to the next blow
    never: float = 60.0  # seconds after which nobody waits for messages to flow any more
    manners: Manners = field(default_factory=Manners)


@dataclass(frozen=True)
class Struck:
    """A blow, and the seconds until messages flowed in every talk; infinite: they did not."""

    blow: Blow
    took: float


@dataclass(frozen=True)
class Outcome:
    """What came of a stage."""

    stage: str
    judgement: Judgement
    struck: Sequence[Struck]
    connections: int
    seconds: float
    trouble: str = ""  # why it could not be played to its end


async def play(name: str, stand: Stand, plan: Plan, rng: random.Random, history: Path | None = None) -> Outcome:
    """Plays a stage to its end and judges it; `history`: the file that gets what everybody wrote down."""
    began, over, trouble = time.monotonic(), asyncio.Event(), ""
    struck: list[Struck] = []
    async with company_of(stand, plan, rng) as company:
        talks = [Talk(company) for _ in range(plan.pairs)]
        running = [asyncio.create_task(talk.run(over)) for talk in talks]
        try:
            await _all_talk(talks)
            await strike(stand.blows, talks, plan, rng, struck)
            await _written(company, plan.messages)
            over.set()
            await asyncio.wait_for(asyncio.gather(*running), 5 * plan.manners.patience)
        except (AssertionError, TimeoutError) as error:
            trouble = f"{type(error).__name__} {error}"
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        await read_everything(company)
    events = company.notes.events
    if history:
        write(events, history)
    connections = sum(isinstance(event, Connected) for event in events)
    return Outcome(name, judge(events), struck, connections, time.monotonic() - began, trouble)


@contextlib.asynccontextmanager
async def company_of(stand: Stand, plan: Plan, rng: random.Random) -> AsyncIterator[Company]:
    """The agents at their desks, and room for citizens."""
    connector = aiohttp.TCPConnector(limit=0)
    async with http_client(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
        company = Company(stand.base_url, rng, plan.manners, http)
        desks = [Desk(company, f"medewerker{n}") for n in range(1, plan.pairs + SPARE + 1)]
        running: list[asyncio.Task[None]] = []
        try:
            await asyncio.gather(*(desk.come() for desk in desks))
            running += [asyncio.create_task(desk.run()) for desk in desks]
            yield company
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await asyncio.gather(*(desk.go() for desk in desks))


async def _all_talk(talks: Sequence[Talk]) -> None:
    """Returns when all talks are under way at the same time: none of them ends before that."""
    end = time.monotonic() + BEGIN
    for talk in talks:
        talk.held = True
    while not all(talk.talking for talk in talks):
        assert time.monotonic() < end, "the talks do not begin"
        await asyncio.sleep(LOOK)
    for talk in talks:
        talk.held = False


async def _written(company: Company, number: int) -> None:
    """Returns when people have written so many messages."""
    end = time.monotonic() + BEGIN
    while company.count < number:
        assert time.monotonic() < end, f"{company.count} of {number} messages were written"
        await asyncio.sleep(LOOK)


# ── blows ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def strike(
    blows: Sequence[Blow], talks: Sequence[Talk], plan: Plan, rng: random.Random, struck: list[Struck]
) -> None:
    """One blow after the other, each noted in `struck`: each kind in turn, then at random."""
    end = time.monotonic() + plan.seconds
    for number, blow in enumerate(in_order(blows, rng)):
        if number >= plan.faults or (time.monotonic() > end and number >= len(blows)):
            break
        await asyncio.sleep(rng.uniform(*plan.rest))
        struck.append(Struck(blow, await one(blow, talks, plan, rng)))
        print(f"  {number + 1:3} {struck[-1].took:6.2f} s  {blow.kind}", flush=True)
    if not blows:
        await asyncio.sleep(plan.seconds)


def in_order(blows: Sequence[Blow], rng: random.Random) -> Iterator[Blow]:
    """Each of them once, shuffled; then any of them for ever."""
    if not blows:
        return iter(())
    return itertools.chain(rng.sample(blows, len(blows)), (rng.choice(blows) for _ in itertools.count()))


async def one(blow: Blow, talks: Sequence[Talk], plan: Plan, rng: random.Random) -> float:
    """Strikes and heals; the seconds, from the moment that counts, until messages flowed in each talk under way.

    One talk is left alone: it may end, and another begin in its place, while the fault lasts.
    """
    free = rng.choice(talks) if len(talks) > 2 else None
    for talk in talks:
        talk.held = talk is not free
    try:
        await blow.strike()
        moment = time.monotonic()
        flowing = asyncio.create_task(flow(talks, moment, plan.never)) if blow.counts_from == "strike" else None
        await asyncio.sleep(blow.lasts)
        await blow.heal()
        healed = time.monotonic()
        took = await flowing if flowing else None
        if took is None or blow.lasts:
            after = await flow(talks, healed, plan.never)
            took = after if took is None else took
        return took
    finally:
        for talk in talks:
            talk.held = False


async def flow(talks: Sequence[Talk], moment: float, never: float) -> float:
    """Seconds from `moment` until what both sides of each held talk wrote since was shown to both."""
    measured = [talk for talk in talks if talk.held and talk.talking]
    await asyncio.gather(*(talk.probe() for talk in measured))
    took = 0.0
    for talk in measured:
        while (seconds := talk.flowed(moment)) is None:
            if time.monotonic() - moment > never:
                return math.inf
            await asyncio.sleep(LOOK)
        took = max(took, seconds)
    return took
