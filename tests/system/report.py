"""The report of a run: tables, and what was wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from tests.system.checker.violations import Violation
from tests.system.tables import spread, table

MOST_SHOWN = 20


@dataclass
class Report:
    """`faults`: what must not have been, in words; empty when all goals were met."""

    title: str
    tables: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def checked(self, rules: Iterable[StrEnum], violations: Sequence[Violation], seconds: Sequence[float] = ()) -> None:
        """Add a row for each rule with the number of violations; `seconds`: how old the positions were."""
        if seconds:
            head = ["position on a citizen's screen", "looked at", "true up to: p50 s before", "p99 s", "max s"]
            self.tables.append(table(head, [["", *spread(seconds)]]))
        counts = Counter(v.rule for v in violations)
        self.tables.append(table(["checked in the history", "broken"], [[rule, counts[rule]] for rule in rules]))
        self.faults += [str(v) for v in violations]

    def __str__(self) -> str:
        parts = [f"### {self.title}", *self.tables]
        if self.faults:
            shown = self.faults[:MOST_SHOWN]
            more = f"\n- and {len(self.faults) - MOST_SHOWN} more" if len(self.faults) > MOST_SHOWN else ""
            parts.append(f"{len(self.faults)} faults:\n\n" + "\n".join(f"- {f}" for f in shown) + more)
        return "\n\n".join(parts)
