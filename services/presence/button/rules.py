"""RULES of the button: its colour and reason, from opening hours, agents and the department queue."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from services.common.events.types import AgentState, ButtonColour, ButtonReason
from services.presence.opening_hours import Schedule, hours_at, is_open, next_opening


@dataclass(frozen=True)
class Crew:
    """Numbers of a department: online agents, available ones, free slots of those, and all slots of those."""

    online: int = 0
    available: int = 0
    free: int = 0
    slots: int = 0


@dataclass(frozen=True)
class Light:
    """What the button shows."""

    colour: ButtonColour
    reason: ButtonReason
    opens_at: datetime | None


@dataclass(frozen=True)
class QueueState:
    """The queue of a department as presence knows it.

    Attributes:
        open: Whether the department is within its opening hours.
        closed_lately: Whether it was open until a few seconds ago.
        waiting: The number of waiting chats.
        raced: Chats that were let in a moment ago and that routing does not count among `waiting` yet.
        revision: The version of the queue.
    """

    open: bool = True
    waiting: int = 0
    raced: frozenset[str] = frozenset()
    revision: int = 0
    closed_lately: bool = False

    def ahead_of(self, chat_id: str) -> int:
        """Return how many chats are before this one, which is last."""
        return self.waiting + len(self.raced - {chat_id})


def count(agents: Iterable[tuple[AgentState, Sequence[str], int, int]]) -> dict[str, Crew]:
    """Return the numbers of each department that has an online agent.

    Args:
        agents: State, departments, free slots and capacity of each online agent.
    """
    numbers: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
    for state, departments, free, capacity in agents:
        for department in departments:
            ours = numbers[department]
            ours[0] += 1
            if state is AgentState.AVAILABLE:
                ours[1] += 1
                ours[2] += max(free, 0)
                ours[3] += capacity
    return {department: Crew(*ours) for department, ours in numbers.items()}


def intake_closed(doc: Mapping[str, Any], now: datetime) -> Mapping[str, Any] | None:
    """Return the closed intake in a button's document (`reason`, `until`, …), or None when the intake is open."""
    intake: Mapping[str, Any] | None = doc.get("intake")
    return intake if intake and now < intake["until"] else None


def hours_with(schedule: Schedule, now: datetime, intake: Mapping[str, Any] | None) -> tuple[bool, datetime | None]:
    """Return whether chats are taken at this instant and, if not, from when on they are.

    Args:
        schedule: The opening hours.
        now: The instant.
        intake: The closed intake, if any. It counts as being outside the opening hours until its end.
    """
    if intake is None:
        return hours_at(schedule, now)
    until: datetime = intake["until"]
    return False, until if is_open(schedule, until) else next_opening(schedule, until)


def light(opened: bool, opens_at: datetime | None, crew: Crew, waiting: int) -> Light:
    """Return the button: green only when a citizen who presses now can be helped, else blue with the main reason."""
    if not opened:
        return Light(ButtonColour.BLUE, ButtonReason.CLOSED, opens_at)
    if not crew.available:
        return Light(ButtonColour.BLUE, ButtonReason.NO_AGENTS, None)
    if crew.free - waiting <= 0:
        return Light(ButtonColour.BLUE, ButtonReason.BUSY, None)
    return Light(ButtonColour.GREEN, ButtonReason.AVAILABLE, None)


def next_revision(last: int, now: datetime) -> int:
    """Return a revision above the last one.

    It is also above every one given before this moment by a process that stored none.
    """
    return max(last + 1, int(now.timestamp() * 1000))
