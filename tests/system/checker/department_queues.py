"""Check the department queues: each order as it was published, and the position that each citizen was shown.

Both are compared with the queue as the states of the chats make it. An order is read from the database a moment before
it is published: what changed within `SLACK` seconds is accepted either way. A position reaches the screen a moment
after it is true: its age is measured.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from services.common.events.chats import QueueChanged
from services.common.events.types import ChatStatus
from tests.system.checker.chat_states import UNBOUNDED, ChatStates
from tests.system.history import PublishedHistory, StatusShown, Visit

SLACK = 2.0
EPOCH_MS = 10**12  # a revision above this is a time
CLOCK_SKEW = 0.1  # seconds by which two processes may differ about when something was
AGES = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 12.0, 20.0, 60.0)  # seconds, of a position on the screen
Finding = tuple[str, str]  # about what, and what is wrong


@dataclass(frozen=True)
class Wait:
    """A chat waits in a department: surely from `since` to `surely`, at the most from `begins` to `ends` (wall clock).

    A state is written between its `at` and the making of its event: seconds, on a day when the
    database is slow. Where a state in between was never published the chat had an agent for a moment that is not known.
    `rank`: who lost their agent stands before the others, then who came first, and within a millisecond the lower id.
    """

    chat_id: str
    department: str
    rank: tuple[bool, int, str]
    begins: float
    since: float
    surely: float
    ends: float

    def at_some_moment(self, begins: float, ends: float) -> bool:
        """Whether it may have waited at some moment of this span."""
        return self.begins < ends + CLOCK_SKEW and self.ends > begins

    def all_the_time(self, begins: float, ends: float) -> bool:
        """Whether it surely waited from the beginning to the end of this span."""
        return self.since <= begins and self.surely > ends + CLOCK_SKEW


def waits_of(chat: ChatStates) -> list[Wait]:
    """Where and from when until when the chat waited."""
    waits = []
    came = int(chat.opened.opened_at.timestamp() * 1000) if chat.opened else 0  # the database keeps milliseconds
    states = chat.in_order
    for state, after in zip(states, [*states[1:], None], strict=True):
        if state.state is ChatStatus.WAITING:
            begins, since = state.at.timestamp(), state.occurred_at.timestamp()
            ends = after.occurred_at.timestamp() if after else UNBOUNDED
            surely = UNBOUNDED if after is None else after.at.timestamp() if after.v == state.v + 1 else begins
            rank = state.turn == 1, came, chat.chat_id
            waits.append(Wait(chat.chat_id, state.department, rank, begins, since, surely, ends))
    return waits


def queue_violations(
    history: PublishedHistory, found: Mapping[str, ChatStates], slack: float = SLACK
) -> Iterator[Finding]:
    """Each order names no chat twice, has the order of the rule, and names exactly the chats that wait."""
    waits = {chat_id: spans for chat_id, chat in found.items() if (spans := waits_of(chat))}
    for event in (p.event for p in history):
        if isinstance(event, QueueChanged):
            reported = event.occurred_at.timestamp()
            # The revision, milliseconds since the epoch, is taken before the order is read, which may take a while.
            read_from = (
                min(reported - slack, event.revision / 1000 - CLOCK_SKEW)
                if event.revision > EPOCH_MS
                else reported - slack
            )
            for words in _order_violations(event, waits, read_from, reported):
                yield f"{event.department} revision {event.revision}", words


def _order_violations(
    event: QueueChanged, waits: Mapping[str, list[Wait]], begins: float, ends: float
) -> Iterator[str]:
    if len(set(event.order)) != len(event.order):
        yield "names a chat twice"
    ranks = []
    for chat_id in event.order:
        here = [
            w for w in waits.get(chat_id, []) if w.department == event.department and w.at_some_moment(begins, ends)
        ]
        if not here:
            yield f"{chat_id} stands in it and does not wait there"
        if len(here) == 1:
            ranks.append((chat_id, here[0].rank))
    for (a, first), (b, second) in pairwise(ranks):
        if second < first:
            yield f"{b} stands after {a}"
    named = set(event.order)
    for chat_id, spans in waits.items():
        must = any(w.department == event.department and w.all_the_time(begins, ends) for w in spans)
        if must and chat_id not in named:
            yield f"{chat_id} waits and does not stand in it"


class DepartmentQueues:
    """The queues as the states of the chats make them, for times of the recorder's clock."""

    def __init__(self, history: PublishedHistory, found: Mapping[str, ChatStates]) -> None:
        self._waits = [wait for chat in found.values() for wait in waits_of(chat)]
        # The event that took least on its way shows by how much the two clocks differ.
        self._offset = max((p.event.occurred_at.timestamp() - p.at for p in history), default=0.0)

    def possible(self, chat_id: str, begins: float, ends: float) -> tuple[int, int] | None:
        """The lowest and the highest position that the chat may have had in this span; None if it did not wait."""
        begins, ends = begins + self._offset, ends + self._offset
        there = [w for w in self._waits if w.at_some_moment(begins, ends)]
        mine = [w for w in there if w.chat_id == chat_id]
        lowest, highest = [], []
        for own in mine:
            ahead = [w for w in there if w.department == own.department and w.rank < own.rank]
            highest.append(len({w.chat_id for w in ahead}) + 1)
            lowest.append(sum(w.all_the_time(begins, ends) for w in ahead) + 1)
        return (min(lowest), max(highest)) if mine else None


@dataclass(frozen=True)
class PositionShown:
    """A position on a citizen's screen at some time, and how many seconds before it was true for the last time."""

    chat_id: str
    position: int
    at: float
    age: float
    possible: tuple[int, int] | None


def positions_shown(
    history: PublishedHistory, found: Mapping[str, ChatStates], visits: Sequence[Visit]
) -> Iterator[PositionShown]:
    """Each position as it was shown, and again when it went: until then it stood on the screen.

    What stood there while a connection was lost is left out.
    """
    queues = DepartmentQueues(history, found)
    for visit in visits:
        shown: tuple[float, int] | None = None
        for status in visit.statuses:
            if shown and not any(shown[0] - SLACK < lost < status.at for lost in visit.disconnects):
                yield _position(queues, visit.chat, shown[1], status.at)
            shown = None
            if isinstance(status, StatusShown) and status.dot == "grey" and status.position is not None:
                shown = status.at, status.position
                yield _position(queues, visit.chat, status.position, status.at)


def _position(queues: DepartmentQueues, chat_id: str, position: int, at: float) -> PositionShown:
    for age in AGES:
        possible = queues.possible(chat_id, at - age, at)
        if possible and possible[0] <= position <= possible[1]:
            return PositionShown(chat_id, position, at, age, possible)
    return PositionShown(chat_id, position, at, UNBOUNDED, queues.possible(chat_id, at - SLACK, at))
