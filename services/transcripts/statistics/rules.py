"""RULES of statistics: the row of a chat, and the figures of many rows. No I/O."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from math import ceil
from typing import Any
from zoneinfo import ZoneInfo

from services.common.events.types import Cause, Party
from services.common.internal_api.reports import (
    By,
    ChatCount,
    Figures,
    FiguresReport,
    NamedFigures,
    PauseFigures,
    PeriodFigures,
)

Document = Mapping[str, Any]
MEASURES = ("wait", "first_answer", "duration", "wrap_up")
_DAY = timedelta(days=1)


def row_id(number: str) -> str:
    """Return the id of the row of a chat or a left question: a digest, from which its number cannot be read."""
    return hashlib.sha256(f"eloket/statistics/{number}".encode()).hexdigest()[:32]


def chat_row(chat: Document, log: Iterable[Document], with_agent: bool) -> dict[str, Any]:
    """Return the row of a chat that has ended, without `_id`. It has no text and no citizen.

    Args:
        chat: The document of the chat.
        log: Its system entries and the messages of agents, in any order.
        with_agent: Whether the row names the agent who accepted the chat first.
    """
    entries = sorted(log, key=lambda entry: entry["seq"])
    accepted = next((e for e in entries if e.get("event") == Cause.ASSIGNED), None)
    answer = next((e for e in entries if e["party"] == Party.AGENT), None)
    seal = next((e for e in entries if e.get("event") == Cause.CLOSED), None)
    opened_at, ended_at = chat["opened_at"], chat["closed_at"]
    row: dict[str, Any] = {
        "department": chat["department"],
        "opened_at": opened_at,
        "served": accepted is not None,
        "reason": seal.get("reason") if seal else None,
        "transfers": sum(_is_transfer(e) for e in entries),
    }
    if accepted:
        row |= {"wait": _seconds(opened_at, accepted["at"]), "duration": _seconds(accepted["at"], ended_at)}
        if with_agent and (agent_id := (accepted.get("about") or {}).get("agent_id")):
            row["agent_id"] = agent_id
    if answer:
        row["first_answer"] = _seconds(opened_at, answer["at"])
    return row


def _is_transfer(entry: Document) -> bool:
    """Return whether an agent transferred the chat here; it did not overflow, and does not come back."""
    return entry.get("event") == Cause.TRANSFERRED and not (entry.get("about") or {}).get("detail")


def _seconds(since: datetime, until: datetime) -> int:
    """Return the whole seconds from one time to another one. Clocks differ: a negative time is none."""
    return max(0, round((until - since).total_seconds()))


def bounds(since: date, until: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """Return the moments at which the first day begins and the last day has ended, in this time zone."""
    return datetime.combine(since, time(), zone), datetime.combine(until + _DAY, time(), zone)


def period_of(day: date, by: By) -> str:
    """Return the name of the period of a day: the day itself, or its ISO 8601 week."""
    if by == "day":
        return day.isoformat()
    year, week, _ = day.isocalendar()
    return f"{year}-W{week:02d}"


def days_of(since: date, until: date) -> Iterator[date]:
    """Return the days from `since` to `until`, both included."""
    day = since
    while day <= until:
        yield day
        day += _DAY


def percentile(values: Mapping[int, int], percent: int) -> int | None:
    """Return the value that at least this percentage of the values does not exceed (nearest rank); None of none.

    Args:
        values: How often each value occurs.
        percent: From 1 to 100.
    """
    rank = ceil(sum(values.values()) * percent / 100)
    for value in sorted(values):
        rank -= values[value]
        if rank <= 0:
            return value
    return None


@dataclass
class Tally:
    """What is counted of some chats and left questions."""

    offered: int = 0
    served: int = 0
    transferred: int = 0
    left_questions: int = 0
    times: dict[str, Counter[int]] = field(default_factory=lambda: {name: Counter() for name in MEASURES})
    helped: Counter[str] = field(default_factory=Counter)
    scores: Counter[int] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    tags: Counter[str] = field(default_factory=Counter)
    pauses: Counter[str | None] = field(default_factory=Counter)
    paused: Counter[str | None] = field(default_factory=Counter)

    def add_pauses(self, reason: str | None, number: int, seconds: int) -> None:
        """Add so many pauses for this reason, which took so many seconds together."""
        self.pauses[reason] += number
        self.paused[reason] += seconds

    def add(self, group: Document) -> None:
        """Add a group of rows: the numbers, and under the name of each measure the list of its values."""
        self.offered += group["offered"]
        self.served += group["served"]
        self.transferred += group["transferred"]
        for name in MEASURES:
            self.times[name].update(group[name])
        self.helped.update(answer for answer in group["helped"] if answer is not None)
        self.scores.update(score for score in group["scores"] if score is not None)
        self.reasons.update(reason for reason in group["reasons"] if reason is not None)
        self.tags.update(tag for tags in group["tags"] for tag in tags or ())

    def figures(self) -> Figures:
        """Return the figures."""
        times = {
            f"{name}_p{percent}": percentile(self.times[name], percent) for name in MEASURES for percent in (50, 90)
        }
        scores = sum(self.scores.values())
        points = sum(score * number for score, number in self.scores.items())
        return Figures(
            offered=self.offered,
            served=self.served,
            abandoned=self.offered - self.served,
            transferred=self.transferred,
            left_questions=self.left_questions,
            **times,
            **{f"helped_{answer}": self.helped[answer] for answer in ("yes", "partly", "no")},
            wrap_up_total=sum(seconds * number for seconds, number in self.times["wrap_up"].items()),
            scores=scores,
            score_mean=round(points / scores, 2) if scores else None,
            closing_reasons=_counts(self.reasons),
            tags=_counts(self.tags),
            paused_total=self.paused.total(),
            pauses=[
                PauseFigures(reason=reason, pauses=self.pauses[reason], seconds=seconds)
                for reason, seconds in sorted(self.paused.items(), key=lambda one: (-one[1], one[0] or ""))
            ],
        )


def _counts(counter: Counter[str]) -> list[ChatCount]:
    """Return the counts, the greatest first."""
    return [
        ChatCount(id=id_, chats=number) for id_, number in sorted(counter.items(), key=lambda one: (-one[1], one[0]))
    ]


class Report:
    """The figures of a time, by period, by department and by agent, as groups of rows are added."""

    def __init__(self, since: date, until: date, by: By, departments: Sequence[str], with_agents: bool) -> None:
        """Begin a report.

        Args:
            since: The first day.
            until: The last day.
            by: The length of a period.
            departments: The departments. Each has figures, also when nothing happened there.
            with_agents: Whether the report has figures of agents.
        """
        self._by: By = by
        self._days: dict[str, list[date]] = {}
        for day in days_of(since, until):
            self._days.setdefault(period_of(day, by), []).append(day)
        self._total = Tally()
        self._periods = {period: Tally() for period in self._days}
        self._departments = {department: Tally() for department in departments}
        self._agents: dict[str, Tally] | None = {} if with_agents else None

    def add_chats(self, day: date, department: str, agent_id: str | None, group: Document) -> None:
        """Add the chats of a department that were opened on this day and that this agent accepted first."""
        for tally in self._of(day, department):
            tally.add(group)
        if self._agents is not None and agent_id is not None:
            self._agents.setdefault(agent_id, Tally()).add(group)

    def add_questions(self, day: date, department: str, number: int) -> None:
        """Add the questions that were left in a department on this day."""
        for tally in self._of(day, department):
            tally.left_questions += number

    def add_pauses(
        self, day: date, departments: Iterable[str], agent_id: str | None, reason: str | None, number: int, seconds: int
    ) -> None:
        """Add pauses that began on this day, of an agent who serves these departments.

        They count in each department of the agent, and once in the total and in the period.
        """
        of = [self._departments[department] for department in departments if department in self._departments]
        if self._agents is not None and agent_id is not None:
            of.append(self._agents.setdefault(agent_id, Tally()))
        for tally in (self._total, self._periods[period_of(day, self._by)], *of):
            tally.add_pauses(reason, number, seconds)

    def _of(self, day: date, department: str) -> Iterable[Tally]:
        return self._total, self._periods[period_of(day, self._by)], self._departments[department]

    def result(self, timezone: str) -> FiguresReport:
        """Return the report. `timezone`: whose days these are (IANA name)."""
        return FiguresReport(
            timezone=timezone,
            total=self._total.figures(),
            periods=[
                PeriodFigures(period=period, since=days[0], until=days[-1], figures=self._periods[period].figures())
                for period, days in self._days.items()
            ],
            departments=_named(self._departments),
            agents=None if self._agents is None else _named(dict(sorted(self._agents.items()))),
        )


def _named(tallies: Mapping[str, Tally]) -> list[NamedFigures]:
    return [NamedFigures(id=name, figures=tally.figures()) for name, tally in tallies.items()]
