"""RULES of what this gateway knows of a chat: its log's cursor, its state, its position, and its citizen's presence.

No I/O, no clock. Each source of a state or a queue carries a version, and older ones are dropped.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from services.common.events.chats import ChatState, QueueChanged
from services.common.events.types import Cause, ChatStatus, CloseReason, Detail, Entry, Revocation
from services.common.internal_api.routing import ChatView

MOST_HELD = 64
Place = tuple[int | None, int | None]  # the position, counted from 1, and the estimated wait in whole seconds
NOWHERE: Place = (None, None)
FORGET_AFTER = 40.0  # seconds without an announcement by a gateway that had the citizen; it is asked every 15 s


@dataclass(slots=True)
class LogCursor:
    """How far this gateway has passed on a chat's log.

    Entries ahead of the cursor are held, at most `MOST_HELD`, until the gap has been read from transcripts. Entries
    behind it were shown already.

    Attributes:
        last: Sequence number of the last entry that was passed on; None until the log has been read for the first
            time.
        highest: The highest sequence number that is known to exist.
    """

    last: int | None = None
    highest: int = 0
    _held: dict[int, Entry] = field(default_factory=dict)

    def take(self, entry: Entry) -> list[Entry]:
        """Take an entry of a live event. Return the entries that can be passed on now, in order.

        The list is empty when the entry is behind the cursor, or ahead of it.
        """
        self.highest = max(self.highest, entry.seq)
        if self.last is not None and entry.seq <= self.last:
            return []
        if len(self._held) < MOST_HELD or entry.seq - 1 == self.last:
            self._held.setdefault(entry.seq, entry)
        return self._release()

    def read(self, entries: Iterable[Entry]) -> list[Entry]:
        """Take entries that were read from transcripts. Return the entries that can be passed on now, in order."""
        passed: list[Entry] = []
        for entry in entries:
            self.highest = max(self.highest, entry.seq)
            if self.last is not None and entry.seq == self.last + 1:
                self.last = entry.seq
                self._held.pop(entry.seq, None)
                passed.append(entry)
        return passed + self._release()

    def begin(self, last: int) -> list[Entry]:
        """Set the cursor after the log was read up to `last` for the first time.

        Return the held entries that follow.
        """
        if self.last is None:
            self.last = last
            self.highest = max(self.highest, last)
        self._held = {seq: e for seq, e in self._held.items() if seq > self.last}
        return self._release()

    @property
    def behind(self) -> bool:
        """True while an entry is known to exist that was not passed on."""
        return self.last is not None and self.highest > self.last

    def _release(self) -> list[Entry]:
        passed: list[Entry] = []
        while self.last is not None and (entry := self._held.pop(self.last + 1, None)):
            self.last = entry.seq
            passed.append(entry)
        return passed


@dataclass(frozen=True, slots=True)
class DepartmentQueue:
    """The queue of one department.

    Attributes:
        revision: Version of the queue; it grows.
        positions: Position by chat, counted from 1.
        pace: Seconds in which the queue moves up by one position; None when that is not known.
    """

    revision: int
    positions: dict[str, int] = field(default_factory=dict)
    pace: float | None = None

    def place(self, chat_id: str) -> Place:
        """Return position and estimated wait of a chat; both are None for a chat that is not in the queue."""
        position = self.positions.get(chat_id)
        return (position, wait_of(position, self.pace)) if position is not None else NOWHERE


class DepartmentQueues:
    """The queues of all departments. An older revision is dropped."""

    def __init__(self) -> None:
        self._of: dict[str, DepartmentQueue] = {}

    def take(self, event: QueueChanged) -> Iterable[tuple[str, Place]]:
        """Take a published queue. Return each waiting chat with its position; nothing when the event is not newer."""
        known = self._of.get(event.department)
        if known is not None and event.revision <= known.revision:
            return ()
        queue = DepartmentQueue(event.revision, {chat_id: i for i, chat_id in enumerate(event.order, 1)}, event.pace)
        self._of[event.department] = queue
        return ((chat_id, queue.place(chat_id)) for chat_id in event.order)

    def place(self, department: str, chat_id: str) -> Place:
        """Return position and estimated wait of a chat in this department's queue."""
        queue = self._of.get(department)
        return queue.place(chat_id) if queue else NOWHERE


def wait_of(position: int, pace: float | None) -> int | None:
    """Return the seconds, rounded up, until the chat at this position is assigned."""
    return whole(None if pace is None else position * pace)


def whole(seconds: float | None) -> int | None:
    """Return whole seconds, rounded up."""
    return None if seconds is None else math.ceil(seconds)


def is_news(before: Place, after: Place) -> bool:
    """Whether a citizen needs a new `status` frame: another position, or another number of minutes.

    Minutes are compared because the estimate in seconds changes all the time.
    """
    return before[0] != after[0] or _minutes(before[1]) != _minutes(after[1])


def _minutes(wait: int | None) -> int | None:
    return None if wait is None else math.ceil(wait / 60)


@dataclass(slots=True)
class State:
    """What is known of a chat's state. The version `v` decides which of two events is the newer one."""

    v: int
    status: ChatStatus
    department: str
    cause: Cause
    agent_id: str | None = None
    agent_name: str | None = None
    reason: CloseReason | None = None
    place: Place = NOWHERE  # position in the department queue, while waiting
    closed_at: datetime | None = None
    detail: Detail | None = None
    turn: int = 0
    accepted: bool | None = None  # None: not said, by an earlier release of routing
    revoked_by: Revocation | None = None  # who has revoked the citizen's token

    @classmethod
    def of_event(cls, event: ChatState) -> State:
        """Return the state that an event of routing carries."""
        return cls(
            event.v,
            event.state,
            event.department,
            event.cause,
            event.agent_id,
            event.agent_name,
            event.reason,
            detail=event.detail,
            turn=event.turn,
            accepted=event.accepted,
            revoked_by=event.revoked_by,
        )

    @classmethod
    def of_view(cls, view: ChatView) -> State:
        """Return the state in an answer of routing's internal API."""
        return cls(
            view.v,
            view.state,
            view.department,
            view.cause,
            view.agent_id,
            view.agent_name,
            view.reason,
            (view.position, whole(view.wait)),
            view.closed_at,
            view.detail,
            view.turn,
            view.accepted if view.tells_acceptance else None,
            view.revoked_by,
        )

    @property
    def connected(self) -> bool:
        """True while the chat is assigned and accepted.

        When routing does not say whether it is accepted, an assigned chat counts as accepted.
        """
        return self.status is ChatStatus.ASSIGNED and self.accepted is not False

    @property
    def offered(self) -> bool:
        """True while the chat is assigned to an agent who has not accepted it."""
        return self.status is ChatStatus.ASSIGNED and self.accepted is False

    @property
    def shown(self) -> tuple[ChatStatus, int | None, int | None, str | None, bool]:
        """The members of a citizen's `status` frame.

        Position and wait are set while the chat waits, the agent's name while the chat is connected.
        """
        position, wait = self.place if self.status is ChatStatus.WAITING else NOWHERE
        return self.status, position, wait, self.agent_name if self.connected else None, self.offered

    def learns(self, accepted: bool | None) -> bool:
        """Whether `accepted`, said by a source with the same `v`, is new. An acceptance is never taken back."""
        return accepted is not None and not self.accepted and accepted is not self.accepted


@dataclass(slots=True)
class Attendance:
    """The gateways (incarnations) that have a connection of the citizen of one chat.

    A gateway that crashes does not announce that its citizens are offline. An announcement therefore expires unless it
    is repeated; gateways that serve an agent of the chat ask for the repetition. Times are seconds of this process's
    own clock.
    """

    _listed: dict[str, float] = field(default_factory=dict)

    @property
    def online(self) -> bool:
        """Whether any gateway has a connection of the citizen."""
        return bool(self._listed)

    @property
    def gateways(self) -> frozenset[str]:
        """The gateways that have a connection of the citizen."""
        return frozenset(self._listed)

    def note(self, incarnation: str, online: bool, now: float) -> bool:
        """Record that a gateway has a connection of the citizen, or has none any more.

        Returns:
            True when this changes whether the citizen is online.
        """
        before = self.online
        if online:
            self._listed[incarnation] = now
        else:
            self._listed.pop(incarnation, None)
        return before != self.online

    def forget_silent(self, own: str, now: float) -> bool:
        """Forget the gateways, except `own`, that have not announced the citizen for `FORGET_AFTER` seconds.

        Returns:
            True when the citizen is offline because of that.
        """
        before = self.online
        self._listed = {i: at for i, at in self._listed.items() if i == own or now - at < FORGET_AFTER}
        return before != self.online
