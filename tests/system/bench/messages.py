"""The figures of messages: of our system and of the relay, in the same rounds with the same clients."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tests.support.servers import System
from tests.system.bench.desk import Desk
from tests.system.bench.load import Load, Result, share
from tests.system.bench.machine import Cost, Groups, costing, memory
from tests.system.bench.relay import relay_pairs, running_relay
from tests.system.bench.sheet import Sheet
from tests.system.soak.standing import broker_url

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


async def ours(sheet: Sheet, system: System, desk: Desk, usernames: list[str], size: Size) -> None:
    """A round of our system: new chats, which are closed at the end."""
    groups = servers(system)
    async with desk.chatting(usernames[: size.pairs]) as (pairs, _):
        await _phases(sheet, Load(pairs), groups, size, baseline=False)
        resident = memory(groups | {"runner": [system.process.pid]})
    resident["runner"] -= sum(resident[name] for name in SERVERS)  # it is the parent of them all
    for name, mib in resident.items():
        sheet.add(f"memory under load, {name}", "MiB", mib, travels=True)
    sheet.add("memory under load, all", "MiB", sum(resident.values()), travels=True)


async def relayed(sheet: Sheet, system: System, home: Path, size: Size) -> None:
    """A round of the relay on the same broker."""
    with running_relay(home, broker_url(system)) as (where, pids):
        async with relay_pairs(where, size.pairs) as pairs:
            groups = {"relay": pids, "broker": servers(system)["broker"]}
            await _phases(sheet, Load(pairs), groups, size, baseline=True)


async def _phases(sheet: Sheet, load: Load, groups: Groups, size: Size, baseline: bool) -> None:
    await load.steady(50, 1)  # warm
    at = f"at {size.rate:g} msg/s"
    result, cost = await costing(groups, load.steady(size.rate, size.steady))
    sheet.add(f"p50 {at}", "ms", share(result.took, 0.5), baseline)
    sheet.add(f"p99 {at}", "ms", share(result.took, 0.99), baseline)
    _costs(sheet, result, cost, at, baseline)
    result, cost = await costing(groups, load.closed(size.closed))
    sheet.add("most messages, closed loop", "msg/s", result.rate, baseline, more_is_better=True)
    _costs(sheet, result, cost, "closed loop", baseline)


def _costs(sheet: Sheet, result: Result, cost: Cost, phase: str, baseline: bool) -> None:
    """What 1,000 messages cost; and beside it what makes the figures of this phase doubtful."""
    thousands = max(result.shown, 1) / 1000
    sheet.add(f"processor for 1,000, {phase}, all", "s", cost.total / thousands, baseline)
    if not baseline:
        for name, seconds in cost.seconds.items():
            sheet.add(f"processor for 1,000, {phase}, {name}", "s", seconds / thousands)
    who = "relay" if baseline else "ours"
    sheet.beside(f"{who}, {phase}: client's processor for 1,000, s", cost.client / thousands)
    sheet.beside(f"{who}, {phase}: other processes, part of the machine", cost.others)
    sheet.beside(f"{who}, {phase}: sent but not shown", result.sent - result.shown)
    if result.lag:
        sheet.beside(f"{who}, {phase}: p99 of the client's lag, ms", share(result.lag, 0.99))
