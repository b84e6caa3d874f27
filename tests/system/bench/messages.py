"""The figures of messages: of our system and of the relay, in the same rounds with the same clients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import System
from tests.system.bench.clients import ClientFactory
from tests.system.bench.load_generator import Load, Result, share
from tests.system.bench.machine import Cost, Groups, costing, memory
from tests.system.bench.relay import relay_pairs, running_relay
from tests.system.bench.report import Report
from tests.system.environment import broker_url

SERVERS = ("gateway", "transcripts", "presence", "routing", "database", "broker")


@dataclass(frozen=True)
class Size:
    """How large a round is."""

    pairs: int = 50
    rate: float = 500
    steady: float = 8
    closed: float = 6


def servers(system: System) -> dict[str, list[int]]:
    """The process ids of each service of the running system."""
    pids = system.pids()
    return {name: [pid for full, pid in pids.items() if full.split("-")[0] == name] for name in SERVERS}


async def ours(report: Report, system: System, clients: ClientFactory, usernames: list[str], size: Size) -> None:
    """A round of our system: new chats, which are closed at the end."""
    groups = servers(system)
    async with clients.chatting(usernames[: size.pairs]) as (pairs, _):
        await _phases(report, Load(pairs), groups, size, baseline=False)
        resident = memory(groups | {"runner": [system.process.pid]})
    resident["runner"] -= sum(resident[name] for name in SERVERS)  # it is the parent of them all
    for name, mib in resident.items():
        report.add(f"memory under load, {name}", "MiB", mib, travels=True)
    report.add("memory under load, all", "MiB", sum(resident.values()), travels=True)


async def relayed(report: Report, system: System, home: Path, size: Size) -> None:
    """A round of the relay on the same broker."""
    with running_relay(home, broker_url(system)) as (where, pids):
        async with relay_pairs(where, size.pairs) as pairs:
            groups = {"relay": pids, "broker": servers(system)["broker"]}
            await _phases(report, Load(pairs), groups, size, baseline=True)


async def _phases(report: Report, load: Load, groups: Groups, size: Size, baseline: bool) -> None:
    await load.steady(50, 1)  # warm
    at = f"at {size.rate:g} msg/s"
    result, cost = await costing(groups, load.steady(size.rate, size.steady))
    report.add(f"p50 {at}", "ms", share(result.took, 0.5), baseline)
    report.add(f"p99 {at}", "ms", share(result.took, 0.99), baseline)
    _costs(report, result, cost, at, baseline)
    result, cost = await costing(groups, load.closed(size.closed))
    report.add("most messages, closed loop", "msg/s", result.rate, baseline, more_is_better=True)
    _costs(report, result, cost, "closed loop", baseline)


def _costs(report: Report, result: Result, cost: Cost, phase: str, baseline: bool) -> None:
    """What 1,000 messages cost; and beside it what makes the figures of this phase doubtful."""
    thousands = max(result.shown, 1) / 1000
    report.add(f"processor for 1,000, {phase}, all", "s", cost.total / thousands, baseline)
    if not baseline:
        for name, seconds in cost.seconds.items():
            report.add(f"processor for 1,000, {phase}, {name}", "s", seconds / thousands)
    who = "relay" if baseline else "ours"
    report.beside(f"{who}, {phase}: client's processor for 1,000, s", cost.client / thousands)
    report.beside(f"{who}, {phase}: other processes, part of the machine", cost.others)
    report.beside(f"{who}, {phase}: sent but not shown", result.sent - result.shown)
    if result.lag:
        report.beside(f"{who}, {phase}: p99 of the client's lag, ms", share(result.lag, 0.99))
