"""What a run says at its end: tables, and what was wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.system.soak.checker import Rule, Violation
from tests.system.soak.lines import Sight
from tests.system.soak.tables import spread, table

MOST_SHOWN = 20


@dataclass
class Report:
    """`faults`: what must not have been, in words; empty after a good run."""

    title: str
    tables: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def judged(self, violations: Sequence[Violation], seen: Sequence[Sight] = ()) -> None:
        """One row for each rule, and what broke it; how old the positions were that citizens looked at."""
        head = ["position on a citizen's screen", "looked at", "true up to: p50 s before", "p99 s", "max s"]
        self.tables.append(table(head, [["", *spread([s.age for s in seen])]]))
        counts = Counter(v.rule for v in violations)
        self.tables.append(table(["checked in the history", "broken"], [[rule, counts[rule]] for rule in Rule]))
        self.faults += [str(v) for v in violations]

    def __str__(self) -> str:
        parts = [f"### {self.title}", *self.tables]
        if self.faults:
            shown = self.faults[:MOST_SHOWN]
            more = f"\n- and {len(self.faults) - MOST_SHOWN} more" if len(self.faults) > MOST_SHOWN else ""
            parts.append(f"{len(self.faults)} faults:\n\n" + "\n".join(f"- {f}" for f in shown) + more)
        return "\n\n".join(parts)
