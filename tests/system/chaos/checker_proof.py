"""The proof that the checker detects violations: short runs against systems with one guarantee broken on purpose."""

from __future__ import annotations

import random
from pathlib import Path

import uvloop

from tests.support.servers import running_system
from tests.system.chaos import kills, sabotage
from tests.system.chaos.faults import Target
from tests.system.chaos.runner import Outcome, Plan, run
from tests.system.chaos.stages import accounts
from tests.system.checker.messages import Rule
from tests.system.workload.conversations import Behaviour

EXPECTED = {"drop": Rule.LOST, "swap": Rule.REORDERED, "double": Rule.DOUBLED, "early": Rule.LOST}
PAIRS = 3
MESSAGES = 60  # the sabotage is of one in twenty, or of one in five
# One conversation each, at a high rate and without reloads: a lost message cannot be shown again.
BRISK = Behaviour(pause=0.15, lasts=(30.0, 30.0), downloaded=0, reloaded=0, tabs=0, abrupt=1.0, patience=6.0)


def prove(kind: str, home: Path, seed: int = 1, **variables: str) -> str:
    """Run the system with this broken guarantee.

    Returns:
        Nothing when the checker reports the expected rule, else what it reported.
    """
    outcome = sabotaged(kind, home, seed, **variables)
    found = {v.rule for v in outcome.result.violations}
    return "" if EXPECTED[kind] in found else f"{sorted(found)} of {outcome.result.counts}"


def sabotaged(kind: str, home: Path, seed: int, **variables: str) -> Outcome:
    """A short run against a system of which one guarantee is broken."""
    home.mkdir(parents=True, exist_ok=True)
    file = str(accounts(PAIRS).write(home / "accounts.toml"))
    settings = {"RATE_LIMITS": "off", "ACCOUNTS_FILE": file, **variables}
    with running_system(home, sabotage.command(kind), **settings) as system:
        faults = [b for b in kills.of_the_only_ones(system) if kind == "early" and b.kind.startswith("transcripts")]
        seconds = 4.0 if faults else 0.0
        plan = Plan(PAIRS, seconds, faults=2, messages=MESSAGES, rest=(2.0, 3.0), never=4.0, behaviour=BRISK)
        return uvloop.run(run(kind, Target(system, system.base_url, faults), plan, random.Random(seed)))
