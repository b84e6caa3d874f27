"""`make bench`: how fast the system is, beside a plain relay, and what got worse since the last kept table.

It takes names of parts (all but growth by default): idle, messages, button, pages, starts, logs, files, limits, growth.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import uvloop

from tests.support.servers import ROOT, claim_ports
from tests.system.bench import machine
from tests.system.bench.comparison import worse
from tests.system.bench.messages import Size
from tests.system.bench.report import KEPT, Report, last, markdown, write
from tests.system.bench.run import DEFAULT, PARTS, QUICK, Plan, measure
from tests.system.bench.store import measure as grow
from tests.system.bench.store import table as growth


def main(arguments: list[str]) -> int:
    """Measure, show, compare, and keep when asked; 0 unless something got worse and `--strict` was given."""
    options = _options(arguments)
    plan = Plan(
        parts=tuple(options.parts) or DEFAULT,
        rounds=options.rounds,
        size=Size(options.pairs, options.rate, options.seconds, options.seconds * 0.75),
        pages=options.pages,
    )
    if options.quick:
        plan = replace(QUICK, parts=plan.parts)
    claim_ports()  # tests may run beside it
    report, began = Report(), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as home:
        measure(report, plan, Path(home), uvloop.run)
    now = datetime.now(UTC)
    about = {"commit": _commit(), "at": f"{now:%Y-%m-%d %H:%M} UTC", "rounds": str(plan.rounds)}
    about["command"] = f"make bench BENCH_ARGS='{' '.join(arguments)}'"
    about["took"] = f"{time.monotonic() - began:.0f} s"
    table, then = report.table(machine.name(), about), last()
    found = worse(table, then[1]) if then else []
    text = markdown(table, found, then[0] if then else "")
    if "growth" in plan.parts:
        text += f"\n## What grows with what is stored\n\n{growth(grow(options.stored))}\n"
    print(text)
    if options.keep:
        for file in write(table, text, KEPT, f"{now:%Y-%m-%d-%H%M}-{_commit()}"):
            print(f"kept {file.relative_to(ROOT)}", file=sys.stderr)
    return 1 if found and options.strict else 0


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="part", help=", ".join(PARTS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--rate", type=float, default=500, help="messages a second at the steady rate")
    parser.add_argument("--seconds", type=float, default=8, help="at the steady rate, in each round")
    parser.add_argument("--pages", type=int, default=2_000, help="open pages that hear of a change")
    parser.add_argument("--stored", type=int, nargs="*", default=[2_000, 10_000], help="chats behind it, for growth")
    parser.add_argument("--quick", action="store_true", help="one tiny round, to see that it works: no figures")
    parser.add_argument("--keep", action="store_true", help="write the table to docs/benchmarks/")
    parser.add_argument("--strict", action="store_true", help="exit status 1 when something got worse")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    if options.quick and options.keep:
        parser.error("--quick gives no figures that could be kept")
    return options


def _commit() -> str:
    """The short name of the commit that is checked out; `unknown` outside a repository."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
