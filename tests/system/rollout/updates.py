"""One version replaces another while participants use the system: one service after another, all at once, and back."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import running_broker, running_database
from tests.system.checker.messages import ALWAYS, RULES, Rule, check, kept_agent
from tests.system.environment import load_average
from tests.system.history import History
from tests.system.report import Report
from tests.system.rollout.deployment import ORDER, Deployment, Drain, deployment
from tests.system.rollout.metrics import Metrics, lengths, metrics_of
from tests.system.rollout.versions import PRESENT, Version
from tests.system.rollout.workload import everything
from tests.system.tables import seconds, spread, table

DARK_LIMIT = 2.0  # seconds for which a citizen's dot may not be green
MORE_AGENTS = 4
REST = 2.0  # seconds between two parts, so that what one caused is seen before the next one begins


@dataclass
class Part:
    """One replacement: its times (monotonic) and how the old processes ended."""

    title: str
    began: float
    ended: float
    drains: list[Drain]


async def one_after_another(ours: Deployment, version: Version, order: Sequence[str]) -> list[Drain]:
    return [drain for service in order for drain in await ours.replace(version, service)]


async def all_at_once(ours: Deployment, version: Version, _: Sequence[str]) -> list[Drain]:
    old = list(ours.replicas)
    await ours.start(version, *(replica.service for replica in old))
    return await ours.drain(old)


Method = Callable[[Deployment, Version, Sequence[str]], Awaitable[list[Drain]]]


Step = tuple[str, Version, Method, Sequence[str]]


def parts_of(former: Version | None) -> list[Step]:
    """What is done in turn. Without a former version: the present one replaces itself."""
    one, other = one_after_another, all_at_once
    again: list[Step] = [
        ("present → present, one after another", PRESENT, one, ORDER),
        ("present → present, all at once", PRESENT, other, ORDER),
    ]
    if former is None:
        return again
    tag, back = former.name, ORDER[::-1]
    return [
        (f"{tag} → present, one after another", PRESENT, one, ORDER),
        *again,
        (f"present → {tag}, back, one after another", former, one, back),
        (f"{tag} → present, all at once", PRESENT, other, ORDER),
    ]


async def run(ours: Deployment, former: Version | None, replicas: int, pairs: int, rng: random.Random) -> Report:
    """Run every part against one deployment, under one workload."""
    for _ in range(replicas):
        await ours.start(former or PRESENT, *ORDER)
    done: list[Part] = []
    began = time.monotonic()
    async with everything(ours.base_url, pairs, MORE_AGENTS, rng) as recorder:
        for title, version, replace, order in parts_of(former):
            part = Part(title, time.monotonic(), 0.0, await replace(ours, version, order))
            await asyncio.sleep(REST)
            part.ended = time.monotonic()
            done.append(part)
            print(f"{title}: {part.ended - part.began:.0f} s", flush=True)
    return report_of(done, recorder.events, replicas, pairs, time.monotonic() - began)


def report_of(parts: Sequence[Part], history: History, replicas: int, pairs: int, took: float) -> Report:
    """The metrics of each part, and what ought not to have been."""
    metrics = metrics_of(history)
    report = Report(f"rolling updates, {replicas} replicas of each service, {pairs} pairs talking")
    report.tables.append(table(HEAD, [_row(part, metrics) for part in parts]))
    figures: list[Sequence[object]] = [
        [
            "until a press was served, p50 / p99 / max",
            " / ".join(spread([b - a for a, b in metrics.served])[1:]) + " s",
        ],
        ["presses served", len(metrics.served)],
        ["answers over HTTP", len(metrics.answers)],
        ["took", f"{took:.0f} s"],
        ["machine", load_average()],
    ]
    report.tables.append(table(["run", ""], figures))
    report.checked((*ALWAYS, Rule.PASSED_ON), check(history, (*RULES, kept_agent)).violations)
    report.faults += [fault for part in parts for fault in _faults(part, metrics)]
    return report


HEAD = (
    *("replaced", "s", "drained", "longest drain s", "dots not green: times", "p50 s", "max s"),
    *("agent away max s", "receipt p99 s", "max s", "button not green max s", "error frames", "HTTP but 2xx"),
)


def _row(part: Part, metrics: Metrics) -> list[object]:
    dots = lengths(metrics.dots, part.began, part.ended)
    return [
        *(part.title, f"{part.ended - part.began:.0f}", len(part.drains)),
        seconds(max((d.seconds for d in part.drains), default=0.0)),
        *(len(dots), *(spread(dots)[i] for i in (1, 3))),
        seconds(max(lengths(metrics.agents, part.began, part.ended), default=0.0)),
        *spread(lengths(metrics.receipts, part.began, part.ended))[2:],
        seconds(max(lengths(metrics.buttons, part.began, part.ended), default=0.0)),
        sum(part.began <= at < part.ended for at, _ in metrics.errors),
        ", ".join(f"{what} {n}" for what, n in metrics.statuses(part.began, part.ended).items()) or "none",
    ]


def _faults(part: Part, metrics: Metrics) -> list[str]:
    found = [f"{d.name} ended with {d.status} after {d.seconds:.1f} s" for d in part.drains if not d.good]
    found += [f"{part.title}: error frame {code}" for at, code in metrics.errors if part.began <= at < part.ended]
    found += [f"{part.title}: {n} × {what}" for what, n in metrics.statuses(part.began, part.ended).items()]
    for what, spans in (("a dot was not green", metrics.dots), ("a button was not green", metrics.buttons)):
        found += [
            f"{part.title}: {what} for {s:.1f} s" for s in lengths(spans, part.began, part.ended) if s > DARK_LIMIT
        ]
    return found


async def run_alone(home: Path, former: Version | None, replicas: int, pairs: int, rng: random.Random) -> Report:
    """As `run`, with a broker and a database of its own."""
    with running_broker(home / "broker") as broker, running_database(home / "database") as mongodb:  # noqa: SIM117
        with deployment(home / "deployment", broker.url, mongodb, DEMO_AGENTS=str(pairs + MORE_AGENTS)) as ours:
            return await run(ours, former, replicas, pairs, rng)
