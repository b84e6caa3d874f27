"""One version replaces another while people use the system: one service after another, all at once, and back."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import running_broker, running_database
from tests.system.rollout.crowd import Seen, Span, crowd
from tests.system.rollout.fleet import ORDER, Drain, Fleet, fleet
from tests.system.rollout.versions import PRESENT, Version
from tests.system.soak.report import Report
from tests.system.soak.standing import load
from tests.system.soak.tables import seconds, spread, table

DARK_LIMIT = 2.0  # seconds for which a citizen's dot may not be green
WORKERS = 4
REST = 2.0  # seconds between two parts, so that what one caused is seen before the next one begins


@dataclass
class Part:
    """One replacement: its times (monotonic) and how the old processes ended."""

    title: str
    began: float
    ended: float
    drains: list[Drain]


async def one_after_another(ours: Fleet, version: Version, order: Sequence[str]) -> list[Drain]:
    return [drain for service in order for drain in await ours.replace(version, service)]


async def all_at_once(ours: Fleet, version: Version, _: Sequence[str]) -> list[Drain]:
    old = list(ours.members)
    await ours.start(version, *(member.service for member in old))
    return await ours.drain(old)


Way = Callable[[Fleet, Version, Sequence[str]], Awaitable[list[Drain]]]


Deed = tuple[str, Version, Way, Sequence[str]]


def parts_of(former: Version | None) -> list[Deed]:
    """What is done in turn. Without a former version: the present one replaces itself."""
    one, other = one_after_another, all_at_once
    again: list[Deed] = [
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


async def play(ours: Fleet, former: Version | None, replicas: int, pairs: int, rng: random.Random) -> Report:
    """Plays every part against one fleet, under one crowd."""
    for _ in range(replicas):
        await ours.start(former or PRESENT, *ORDER)
    done: list[Part] = []
    began = time.monotonic()
    async with crowd(ours.base_url, pairs, WORKERS, rng) as seen:
        for title, version, way, order in parts_of(former):
            part = Part(title, time.monotonic(), 0.0, await way(ours, version, order))
            await asyncio.sleep(REST)
            part.ended = time.monotonic()
            done.append(part)
            print(f"{title}: {part.ended - part.began:.0f} s", flush=True)
    return report_of(done, seen, replicas, pairs, time.monotonic() - began)


def report_of(parts: Sequence[Part], seen: Seen, replicas: int, pairs: int, took: float) -> Report:
    """The figures of each part, and what ought not to have been."""
    report = Report(f"rolling updates, {replicas} replicas of each service, {pairs} pairs talking")
    report.tables.append(table(HEAD, [_row(part, seen) for part in parts]))
    figures: list[Sequence[object]] = [
        ["until a press was helped, p50 / p99 / max", " / ".join(spread([b - a for a, b in seen.helped])[1:]) + " s"],
        ["presses helped", len(seen.helped)],
        ["answers over HTTP", len(seen.answers)],
        ["took", f"{took:.0f} s"],
        ["machine", load()],
    ]
    report.tables.append(table(["run", ""], figures))
    report.faults = [*seen.wrong, *(fault for part in parts for fault in _faults(part, seen))]
    return report


HEAD = (
    *("replaced", "s", "drained", "longest drain s", "dots not green: times", "p50 s", "max s"),
    *("agent away max s", "receipt p99 s", "max s", "button not green max s", "error frames", "HTTP but 2xx"),
)


def _row(part: Part, seen: Seen) -> list[object]:
    dots = _lengths(seen.dots, part)
    return [
        *(part.title, f"{part.ended - part.began:.0f}", len(part.drains)),
        seconds(max((d.seconds for d in part.drains), default=0.0)),
        *(len(dots), *(spread(dots)[i] for i in (1, 3))),
        seconds(max(_lengths(seen.desks, part), default=0.0)),
        *spread(_lengths(seen.receipts, part))[2:],
        seconds(max(_lengths(seen.buttons, part), default=0.0)),
        sum(part.began <= at < part.ended for at, _ in seen.errors),
        ", ".join(f"{what} {n}" for what, n in seen.statuses(part.began, part.ended).items()) or "none",
    ]


def _faults(part: Part, seen: Seen) -> list[str]:
    found = [f"{d.name} ended with {d.status} after {d.seconds:.1f} s" for d in part.drains if not d.good]
    found += [f"{part.title}: error frame {code}" for at, code in seen.errors if part.began <= at < part.ended]
    found += [f"{part.title}: {n} × {what}" for what, n in seen.statuses(part.began, part.ended).items()]
    for what, spans in (("a dot was not green", seen.dots), ("a button was not green", seen.buttons)):
        found += [f"{part.title}: {what} for {s:.1f} s" for s in _lengths(spans, part) if s > DARK_LIMIT]
    return found


def _lengths(spans: Sequence[Span], part: Part) -> list[float]:
    return [end - start for start, end in spans if part.began <= start < part.ended]


async def play_alone(home: Path, former: Version | None, replicas: int, pairs: int, rng: random.Random) -> Report:
    """As `play`, with a broker and a database of its own."""
    with running_broker(home / "broker") as broker, running_database(home / "database") as mongodb:  # noqa: SIM117
        with fleet(home / "fleet", broker.url, mongodb, DEMO_AGENTS=str(pairs + WORKERS)) as ours:
            return await play(ours, former, replicas, pairs, rng)
