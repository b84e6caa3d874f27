"""Run a stage: participants converse while one fault after another is injected, and recovery is measured after each."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.system.chaos.faults import Fault, Target
from tests.system.chaos.stages import SPARE
from tests.system.checker.messages import Result, check
from tests.system.history import Connected, write
from tests.system.workload.conversations import (
    Behaviour,
    Conversation,
    recovery,
    running_workload,
    until_all_converse,
)


@dataclass(frozen=True)
class Plan:
    """`seconds`: for so long faults begin, but each kind is injected once; `faults`: not more than so many.

    `messages`: the conversations go on until so many were written, however slow the machine is.
    """

    pairs: int = 8
    seconds: float = 150.0
    faults: int = 10_000
    messages: int = 0
    rest: tuple[float, float] = (0.5, 2.5)  # seconds from when messages flow to the next fault
    never: float = 60.0  # seconds after which recovery is no longer awaited
    behaviour: Behaviour = field(default_factory=Behaviour)


@dataclass(frozen=True)
class Injected:
    """A fault, and the seconds until messages flowed in every conversation; infinite: they did not."""

    fault: Fault
    recovery: float


@dataclass(frozen=True)
class Outcome:
    """What came of a stage."""

    stage: str
    result: Result
    injected: Sequence[Injected]
    connections: int
    seconds: float
    incomplete: str = ""  # why it could not be run to its end


async def run(name: str, target: Target, plan: Plan, rng: random.Random, history: Path | None = None) -> Outcome:
    """Run a stage to its end and check its history, which is written to the file `history`."""
    began, over, incomplete = time.monotonic(), asyncio.Event(), ""
    injected: list[Injected] = []
    usernames = [f"medewerker{n}" for n in range(1, plan.pairs + SPARE + 1)]
    async with running_workload(target.base_url, usernames, plan.behaviour, rng) as workload:
        conversations = [Conversation(workload) for _ in range(plan.pairs)]
        running = [asyncio.create_task(conversation.run(over)) for conversation in conversations]
        try:
            await until_all_converse(conversations)
            await inject_all(target.faults, conversations, plan, rng, injected)
            await workload.until_written(plan.messages)
            over.set()
            await asyncio.wait_for(asyncio.gather(*running), 5 * plan.behaviour.patience)
        except (AssertionError, TimeoutError) as error:
            incomplete = f"{type(error).__name__} {error}"
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        await workload.read_everything()
    events = workload.recorder.events
    if history:
        write(events, history)
    connections = sum(isinstance(event, Connected) for event in events)
    return Outcome(name, check(events), injected, connections, time.monotonic() - began, incomplete)


async def inject_all(
    faults: Sequence[Fault],
    conversations: Sequence[Conversation],
    plan: Plan,
    rng: random.Random,
    injected: list[Injected],
) -> None:
    """Inject one fault after the other, each kind in turn, then at random; add each to `injected`."""
    end = time.monotonic() + plan.seconds
    for number, fault in enumerate(in_order(faults, rng)):
        if number >= plan.faults or (time.monotonic() > end and number >= len(faults)):
            break
        await asyncio.sleep(rng.uniform(*plan.rest))
        injected.append(Injected(fault, await inject(fault, conversations, plan, rng)))
        print(f"  {number + 1:3} {injected[-1].recovery:6.2f} s  {fault.kind}", flush=True)
    if not faults:
        await asyncio.sleep(plan.seconds)


def in_order(faults: Sequence[Fault], rng: random.Random) -> Iterator[Fault]:
    """Each of them once, shuffled; then any of them for ever."""
    if not faults:
        return iter(())
    return itertools.chain(rng.sample(faults, len(faults)), (rng.choice(faults) for _ in itertools.count()))


async def inject(fault: Fault, conversations: Sequence[Conversation], plan: Plan, rng: random.Random) -> float:
    """Inject a fault and end it.

    One conversation is left alone: it may end, and another begin in its place, while the fault lasts.

    Returns:
        Seconds, from the moment that counts, until messages flowed in each conversation under way.
    """
    free = rng.choice(conversations) if len(conversations) > 2 else None
    for conversation in conversations:
        conversation.held = conversation is not free
    try:
        await fault.inject()
        moment = time.monotonic()
        measuring = None
        if fault.counts_from == "injection":
            measuring = asyncio.create_task(recovery(conversations, moment, plan.never))
        await asyncio.sleep(fault.lasts)
        await fault.end()
        ended = time.monotonic()
        took = await measuring if measuring else None
        if took is None or fault.lasts:
            after = await recovery(conversations, ended, plan.never)
            took = after if took is None else took
        return took
    finally:
        for conversation in conversations:
            conversation.held = False
