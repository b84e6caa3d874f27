"""`make scale`: 1, 2, 4 replicas of one service at a time under the same load, so that one sees which to scale.

It takes names of services (all by default); `departments` measures many departments and agents instead
(departments.py). On one machine all replicas share its cores with everything else: what a
replica more brings to the whole shows only while cores are idle. What it takes off the others always shows.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

from tests.support.servers import claim_ports
from tests.system.bench import machine
from tests.system.scale import departments
from tests.system.scale.run import SERVICES, Figures, Size, measure

QUICK = Size(2, 20, 1)
HEAD = (
    "| service | replicas | most msg/s | p50 / p99 ms at {rate:g} msg/s | press to green, ms "
    "| its processor for 1,000, s | busiest replica, of a core | all, of {cores} cores |"
)


def main(arguments: list[str]) -> int:
    """Measure and show; 1 when a message was not shown."""
    if arguments[:1] == ["departments"]:
        return departments.main(arguments[1:])
    options = _options(arguments)
    size = QUICK if options.quick else Size(options.pairs, options.rate, options.seconds)
    claim_ports()  # tests may run beside it
    found = []
    with tempfile.TemporaryDirectory(prefix="scale-") as home:
        for service in options.services or SERVICES:
            for replicas in options.replicas:
                print(f"{service}: {replicas}", file=sys.stderr)
                place = Path(home) / f"{service}-{replicas}"
                place.mkdir()
                found.append(measure(service, replicas, size, place, uvloop.run))
    print(table(found, size))
    return 1 if any(figures.lost for figures in found) else 0


def table(found: Sequence[Figures], size: Size) -> str:
    """One row for each run, and what one core of each service carries."""
    head = HEAD.format(rate=size.rate, cores=os.cpu_count())
    rows = [f"machine: {machine.name()}; {size.pairs} pairs\n", head, "|" + " --- |" * (head.count("|") - 1)]
    rows += [
        f"| {f.service} | {f.replicas} | {f.most:,.0f} | {f.p50:.1f} / {f.p99:.1f} | {f.green:.0f} | {f.thousand:.3f} "
        f"| {f.busiest:.2f} | {f.all:.2f} |"
        for f in found
    ]
    rows.append(f"\nnot shown: {sum(f.lost for f in found)}")
    for f in found:
        if f.replicas == 1 and f.thousand:
            rows.append(f"one core of {f.service} alone: {1000 / f.thousand:,.0f} msg/s")
    return "\n".join(rows)


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make scale", description=__doc__)
    parser.add_argument("services", nargs="*", metavar="service", help=", ".join(SERVICES))
    parser.add_argument("--replicas", type=int, nargs="+", default=[1, 2, 4])
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--rate", type=float, default=200, help="messages a second at the steady rate")
    parser.add_argument("--seconds", type=float, default=6, help="of each phase")
    parser.add_argument("--quick", action="store_true", help="the least load, to see that it works: no figures")
    options = parser.parse_args(arguments)
    if unknown := set(options.services) - set(SERVICES):
        parser.error(f"no such service: {', '.join(sorted(unknown))}")
    return options


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
