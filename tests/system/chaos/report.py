"""What the runs say at their end: Markdown tables, and what was wrong."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.system.chaos.checker import Rule
from tests.system.chaos.play import Outcome, Struck
from tests.system.soak.tables import percentile, seconds, table

MOST_SHOWN = 20
OTHERS = [rule for rule in Rule if rule not in (Rule.LOST, Rule.UNSEEN, Rule.UNKEPT, Rule.DOUBLED, Rule.REORDERED)]


def report(outcomes: Sequence[Outcome], caption: str) -> str:
    """All tables; the faults, if there were any."""
    parts = [_stages(outcomes), _kinds([s for o in outcomes for s in o.struck]), _rules(outcomes), f"({caption})"]
    faults = [f"{o.stage}: {trouble}" for o in outcomes for trouble in (o.trouble, *o.judgement.violations) if trouble]
    faults += [f"{o.stage}: no messages after {s.blow.kind}" for o in outcomes for s in o.struck if s.took == math.inf]
    if faults:
        more = f"\n- and {len(faults) - MOST_SHOWN} more" if len(faults) > MOST_SHOWN else ""
        parts.append(f"{len(faults)} faults:\n\n" + "\n".join(f"- {f}" for f in faults[:MOST_SHOWN]) + more)
    return "\n\n".join(parts)


def good(outcomes: Sequence[Outcome]) -> bool:
    """Whether no rule was broken, and messages flowed again after every blow."""
    flowed = all(s.took < math.inf for o in outcomes for s in o.struck)
    return flowed and not any(o.judgement.violations or o.trouble for o in outcomes)


def _stages(outcomes: Sequence[Outcome]) -> str:
    rows = [_stage(outcome) for outcome in outcomes]
    if len(rows) > 1:
        rows.append(["all", *(sum(int(str(row[i])) for row in rows) for i in range(1, len(rows[0])))])
    head = ["stage", "faults", "chats", "messages", "attachments", "receipts", "refused", "unanswered at the end"]
    return table([*head, "connections", "downloads", "lost", "doubled", "reordered", "other rules", "seconds"], rows)


def _stage(outcome: Outcome) -> list[object]:
    counts, broken = outcome.judgement.counts, outcome.judgement.broken
    had = [counts.chats, counts.sent, counts.attachments, counts.receipts, counts.refused, counts.unanswered]
    lost = broken(Rule.LOST, Rule.UNSEEN, Rule.UNKEPT)
    wrong = [lost, broken(Rule.DOUBLED), broken(Rule.REORDERED), broken(*OTHERS)]
    faults = len(outcome.struck)
    return [outcome.stage, faults, *had, outcome.connections, counts.downloads, *wrong, round(outcome.seconds)]


def _kinds(struck: Sequence[Struck]) -> str:
    by_kind: dict[str, list[Struck]] = defaultdict(list)
    for one in struck:
        by_kind[one.blow.kind].append(one)
    head = ["fault", "times", "flows again: p50 s", "max s", "goal s", "met", "counted from"]
    return table(head, [_kind(kind, same) for kind, same in by_kind.items()])


def _kind(kind: str, same: Sequence[Struck]) -> list[object]:
    took, blow = [s.took for s in same], same[0].blow
    met = "–" if blow.goal is None else f"{sum(t <= blow.goal for t in took)} of {len(took)}"
    goal = "–" if blow.goal is None else f"{blow.goal:g}"
    return [kind, len(took), seconds(percentile(took, 0.5)), seconds(max(took)), goal, met, blow.counts_from]


def _rules(outcomes: Sequence[Outcome]) -> str:
    counts = Counter(v.rule for o in outcomes for v in o.judgement.violations)
    return table(["checked in the histories", "broken"], [[rule, counts[rule]] for rule in Rule])
