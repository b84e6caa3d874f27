"""The report of a run: Markdown tables, and the violations."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.system.chaos.runner import Injected, Outcome
from tests.system.checker.messages import ALWAYS, Rule
from tests.system.tables import percentile, seconds, table

MOST_SHOWN = 20
OTHERS = [rule for rule in ALWAYS if rule not in (Rule.LOST, Rule.UNSEEN, Rule.UNKEPT, Rule.DOUBLED, Rule.REORDERED)]


def report(outcomes: Sequence[Outcome], caption: str) -> str:
    """All tables, and what was wrong."""
    parts = [_stages(outcomes), _kinds([i for o in outcomes for i in o.injected]), _rules(outcomes), f"({caption})"]
    faults = [f"{o.stage}: {problem}" for o in outcomes for problem in (o.incomplete, *o.result.violations) if problem]
    faults += [
        f"{o.stage}: no messages after {i.fault.kind}" for o in outcomes for i in o.injected if i.recovery == math.inf
    ]
    if faults:
        more = f"\n- and {len(faults) - MOST_SHOWN} more" if len(faults) > MOST_SHOWN else ""
        parts.append(f"{len(faults)} faults:\n\n" + "\n".join(f"- {f}" for f in faults[:MOST_SHOWN]) + more)
    return "\n\n".join(parts)


def good(outcomes: Sequence[Outcome]) -> bool:
    """Whether no rule was broken, and messages flowed again after every fault."""
    flowed = all(i.recovery < math.inf for o in outcomes for i in o.injected)
    return flowed and not any(o.result.violations or o.incomplete for o in outcomes)


def _stages(outcomes: Sequence[Outcome]) -> str:
    rows = [_stage(outcome) for outcome in outcomes]
    if len(rows) > 1:
        rows.append(["all", *(sum(int(str(row[i])) for row in rows) for i in range(1, len(rows[0])))])
    head = ["stage", "faults", "chats", "messages", "attachments", "receipts", "refused", "unanswered at the end"]
    return table([*head, "connections", "downloads", "lost", "doubled", "reordered", "other rules", "seconds"], rows)


def _stage(outcome: Outcome) -> list[object]:
    counts, broken = outcome.result.counts, outcome.result.broken
    had = [counts.chats, counts.sent, counts.attachments, counts.receipts, counts.refused, counts.unanswered]
    lost = broken(Rule.LOST, Rule.UNSEEN, Rule.UNKEPT)
    wrong = [lost, broken(Rule.DOUBLED), broken(Rule.REORDERED), broken(*OTHERS)]
    faults = len(outcome.injected)
    return [outcome.stage, faults, *had, outcome.connections, counts.downloads, *wrong, round(outcome.seconds)]


def _kinds(injected: Sequence[Injected]) -> str:
    by_kind: dict[str, list[Injected]] = defaultdict(list)
    for one in injected:
        by_kind[one.fault.kind].append(one)
    head = ["fault", "times", "flows again: p50 s", "max s", "goal s", "met", "counted from"]
    return table(head, [_kind(kind, same) for kind, same in by_kind.items()])


def _kind(kind: str, same: Sequence[Injected]) -> list[object]:
    took, fault = [i.recovery for i in same], same[0].fault
    met = "–" if fault.goal is None else f"{sum(t <= fault.goal for t in took)} of {len(took)}"
    goal = "–" if fault.goal is None else f"{fault.goal:g}"
    return [kind, len(took), seconds(percentile(took, 0.5)), seconds(max(took)), goal, met, fault.counts_from]


def _rules(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(v.rule for o in outcomes for v in o.result.violations)
    return table(["checked in the histories", "broken"], [[rule, counts[rule]] for rule in ALWAYS])
