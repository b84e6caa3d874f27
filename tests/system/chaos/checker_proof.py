"""The proof that the checker sees: short runs against systems with one guarantee broken on purpose."""

from __future__ import annotations

import random
from pathlib import Path

import uvloop

from tests.support.servers import running_system
from tests.system.chaos import kills, sabotage
from tests.system.chaos.blows import Stand
from tests.system.chaos.checker import Rule
from tests.system.chaos.people import Manners
from tests.system.chaos.play import Outcome, Plan, play
from tests.system.chaos.stages import agents

SEEN = {"drop": Rule.LOST, "swap": Rule.REORDERED, "double": Rule.DOUBLED, "early": Rule.LOST}
PAIRS = 3
MESSAGES = 60  # the sabotage is of one in twenty, or of one in five
# One talk each, without a pause for breath: nobody reloads, since what is lost cannot be shown again for ever.
BRISK = Manners(pause=0.15, talks=(30.0, 30.0), downloaded=0, reloaded=0, tabs=0, abrupt=1.0, patience=6.0)


def prove(kind: str, home: Path, seed: int = 1, **variables: str) -> str:
    """Plays it; empty when the rule turned red that must, else what was seen instead. `variables`: as for `real`."""
    outcome = sabotaged(kind, home, seed, **variables)
    seen = {v.rule for v in outcome.judgement.violations}
    return "" if SEEN[kind] in seen else f"{sorted(seen)} of {outcome.judgement.counts}"


def sabotaged(kind: str, home: Path, seed: int, **variables: str) -> Outcome:
    """A short run against a system of which one guarantee is broken."""
    home.mkdir(parents=True, exist_ok=True)
    accounts = str(agents(PAIRS).write(home / "accounts.toml"))
    settings = {"RATE_LIMITS": "off", "ACCOUNTS_FILE": accounts, **variables}
    with running_system(home, sabotage.command(kind), **settings) as system:
        blows = [b for b in kills.of_the_only_ones(system) if kind == "early" and b.kind.startswith("transcripts")]
        seconds = 4.0 if blows else 0.0
        plan = Plan(PAIRS, seconds, faults=2, messages=MESSAGES, rest=(2.0, 3.0), never=4.0, manners=BRISK)
        return uvloop.run(play(kind, Stand(system, system.base_url, blows), plan, random.Random(seed)))
