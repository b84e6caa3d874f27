"""`python -m tests.system.chaos [stages…]`: participants converse while faults are injected; prints tables.

The exit status is 1 when a rule was broken.

First it proves that its checker detects violations: four short runs against systems with a broken guarantee must fail.
`writers`, `pressure` and `reconnects` are runs of another kind, each with options of its own.
"""

from __future__ import annotations

import argparse
import random
import shlex
import sys
import tempfile
from pathlib import Path

import uvloop

from tests.system.chaos import pressure, reconnects, runner, writers
from tests.system.chaos.checker_proof import EXPECTED, prove
from tests.system.chaos.report import good, report
from tests.system.chaos.runner import Outcome, Plan
from tests.system.chaos.stages import STAGES
from tests.system.environment import load_average
from tests.system.workload.conversations import Behaviour

OTHERS = {"writers": writers.main, "pressure": pressure.main, "reconnects": reconnects.main}


def main() -> int:
    """Run the stages that are named, or all, one after the other; 1 when a rule was broken."""
    if sys.argv[1:] and sys.argv[1] in OTHERS:
        return OTHERS[sys.argv.pop(1)]()
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True) as temporary:
        home = options.home or Path(temporary)
        proven = [] if options.no_sabotage else [_is_detected(kind, home, options.seed) for kind in EXPECTED]
        outcomes = [_run_stage(name, home / name, options) for name in options.stages or STAGES]
    caption = (
        f"`{shlex.join(['python', '-m', 'tests.system.chaos', *sys.argv[1:]])}`, seed {options.seed}; {load_average()}"
    )
    print(f"\n{report(outcomes, caption)}", flush=True)
    return 0 if all(proven) and good(outcomes) else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.system.chaos", description=__doc__)
    parser.add_argument("stages", nargs="*", metavar="stage", help=f"of {', '.join(STAGES)}; all when left out")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="the same run again, about")
    parser.add_argument(
        "--seconds", type=float, default=Plan.seconds, help="of a stage; each kind of fault is injected once anyway"
    )
    parser.add_argument("--pairs", type=int, default=Plan.pairs, help="citizens and agents who converse at a time")
    parser.add_argument("--faults", type=int, default=Plan.faults, help="of a stage, at most")
    parser.add_argument("--rate", type=float, default=10.0, help="messages a second of all of them")
    parser.add_argument("--home", type=Path, help="keeps logs, data and histories there")
    parser.add_argument(
        "--no-sabotage", action="store_true", help="leaves out the proof that the checker detects violations"
    )
    options = parser.parse_args()
    if unknown := set(options.stages) - STAGES.keys():
        parser.error(f"{', '.join(sorted(unknown))}: known are {', '.join(STAGES)}")
    return options


def _run_stage(name: str, home: Path, options: argparse.Namespace) -> Outcome:
    rng = random.Random(f"{name} {options.seed}")
    plan = Plan(options.pairs, options.seconds, options.faults, behaviour=Behaviour(pause=options.pairs / options.rate))
    print(f"\n{name}", flush=True)
    home.mkdir(parents=True, exist_ok=True)
    with STAGES[name](home, options.pairs) as target:
        outcome = uvloop.run(runner.run(name, target, plan, rng, home / "history.jsonl"))
    print(f"  {outcome.result.counts}, {len(outcome.result.violations)} violations", flush=True)
    return outcome


def _is_detected(kind: str, home: Path, seed: int) -> bool:
    missing = prove(kind, home / f"sabotage-{kind}", seed)
    print(f"sabotage {kind}: {'seen' if not missing else f'NOT SEEN: {missing}'}", flush=True)
    return not missing


if __name__ == "__main__":
    sys.exit(main())
