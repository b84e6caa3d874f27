"""`python -m tests.system.soak [names…]`: long runs against several replicas of a real system; prints tables."""

from __future__ import annotations

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.system.environment import REPLICAS, KillPlan, agent_accounts, running_replicas
from tests.system.report import Report
from tests.system.soak import agent_losses, button_latency, memory, presses, random_load

Options = argparse.Namespace


def run_presses(home: Path, options: Options, rng: random.Random) -> Report:
    accounts = agent_accounts("medewerker", [1 + i % 3 for i in range(options.agents)])
    plan = presses.Plan(options.presses, None if options.no_kills else KillPlan(), options.seconds or 600.0)
    with running_replicas(home, accounts, options.replicas) as system:
        return uvloop.run(presses.run(system, accounts, plan, rng))


def run_agent_losses(home: Path, options: Options, rng: random.Random) -> Report:
    at_a_time = 8
    accounts = agent_accounts("medewerker", [1] * (2 * at_a_time))
    with running_replicas(home, accounts, options.replicas) as system:
        return uvloop.run(agent_losses.run(system, accounts, at_a_time, -(-options.losses // 4), rng))


def run_button_latency(home: Path, options: Options, rng: random.Random) -> Report:
    return button_latency.run_alone(home, options.pages, options.seconds or 180.0, rng)


def run_random_load(home: Path, options: Options, rng: random.Random) -> Report:
    accounts = agent_accounts("medewerker", [1 + i % 2 for i in range(16)])
    plan = random_load.Plan(options.seconds or 600.0, kills=KillPlan(pause=(10.0, 20.0)) if options.faults else None)
    with running_replicas(home, accounts, options.replicas) as system:
        return uvloop.run(random_load.run(system, accounts, plan, rng))


def run_green(home: Path, options: Options, rng: random.Random) -> Report:
    accounts = agent_accounts("medewerker", [1 + i % 2 for i in range(24)])
    plan = random_load.Plan(
        options.seconds or 3600.0,
        presses=options.presses,
        citizens=30,
        pause=(0.0, 1.0),
        talk=(0.2, 1.0),
        answers=(0.2, 1.0),
    )
    with running_replicas(home, accounts, options.replicas) as system:
        return uvloop.run(random_load.run(system, accounts, plan, rng))


def run_memory(home: Path, options: Options, rng: random.Random) -> Report:
    return memory.run_alone(home, options.seconds or 3600.0, rng)


RUNS = {
    "presses": run_presses,
    "losses": run_agent_losses,
    "pages": run_button_latency,
    "truth": run_random_load,
    "green": run_green,
    "memory": run_memory,
}


def main() -> int:
    """Run what is named, or everything, one after the other; 1 when something was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.system.soak", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"of {', '.join(RUNS)}; all when left out")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="the same run again, about")
    given = float(os.environ.get("SECONDS") or 0) or None
    parser.add_argument("--seconds", type=float, default=given, help="how long a run may take; else what SECONDS says")
    parser.add_argument("--replicas", default=REPLICAS)
    parser.add_argument("--presses", type=int, default=1000)
    parser.add_argument("--agents", type=int, default=60)
    parser.add_argument("--losses", type=int, default=64)
    parser.add_argument("--pages", type=int, default=2000)
    parser.add_argument("--no-kills", action="store_true", help="presses: nothing is killed")
    parser.add_argument("--faults", action="store_true", help="truth: replicas are killed")
    parser.add_argument("--home", type=Path, help="keeps logs and data there")
    options = parser.parse_args()
    if unknown := set(options.names) - RUNS.keys():
        parser.error(f"{', '.join(sorted(unknown))}: known are {', '.join(RUNS)}")
    good = True
    for name in options.names or RUNS:
        report = _run(name, options)
        print(f"\n{report}\n\n(seed {options.seed}, replicas {options.replicas})", flush=True)
        good = good and not report.faults
    return 0 if good else 1


def _run(name: str, options: Options) -> Report:
    rng = random.Random(f"{name} {options.seed}")
    if options.home:
        return RUNS[name](options.home / name, options, rng)
    with tempfile.TemporaryDirectory(prefix="soak-", ignore_cleanup_errors=True) as home:
        return RUNS[name](Path(home), options, rng)


if __name__ == "__main__":
    sys.exit(main())
