"""`python -m tests.system.rollout [names…]`: the former and the present version replace each other; prints tables."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from tests.system.report import Report
from tests.system.rollout import combinations, updates
from tests.system.rollout.versions import NoHistory, Version, former

Options = argparse.Namespace
Run = Callable[[Path, Version | None, Options, random.Random], Coroutine[Any, Any, Report]]


async def run_updates(home: Path, version: Version | None, options: Options, rng: random.Random) -> Report:
    return await updates.run_alone(home, version, options.replicas, options.pairs, rng)


async def run_combinations(home: Path, version: Version | None, options: Options, rng: random.Random) -> Report:
    return await combinations.run_alone(home, version)


RUNS: dict[str, Run] = {"updates": run_updates, "combinations": run_combinations}


def main() -> int:
    """Run what is named, or both, one after the other; 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.rollout", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(RUNS)}; all when left out")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="the same run again, about")
    parser.add_argument("--replicas", type=int, default=2, help="of each service")
    parser.add_argument("--pairs", type=int, default=4, help="who converse all the time")
    parser.add_argument("--home", type=Path, help="keeps logs and data there")
    options = parser.parse_args()
    if unknown := set(options.names) - RUNS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: known are {', '.join(RUNS)}")
    with tempfile.TemporaryDirectory(prefix="rollout-", ignore_cleanup_errors=True) as made:
        home = options.home or Path(made)
        version = _former(home / "former")
        reports = [_run(name, home / name, version, options) for name in options.names or RUNS]
    return 0 if not any(report.faults for report in reports) else 1


def _former(home: Path) -> Version | None:
    try:
        return former(home)
    except NoHistory as reason:
        print(f"the former version is left out: {reason}")
        return None


def _run(name: str, home: Path, version: Version | None, options: Options) -> Report:
    report = asyncio.run(RUNS[name](home, version, options, random.Random(f"{name} {options.seed}")))
    print(f"\n{report}\n\n(seed {options.seed}: `python -m tests.system.rollout {' '.join(sys.argv[1:])}`)", flush=True)
    return report


if __name__ == "__main__":
    sys.exit(main())
