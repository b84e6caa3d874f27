"""RULES of a chat's log in this gateway: entries are passed on in the order of their sequence numbers. No I/O.

Entries ahead of the cursor are held (at most `MOST_HELD`) until the gap has been read from transcripts. Entries behind
it were shown already. Events of state carry a version; older ones are dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from services.common.events.chats import ChatState
from services.common.events.types import Cause, ChatStatus, CloseReason, Detail, Entry
from services.common.internal_api.routing import ChatView
from services.gateway.chats.queue_positions import NOWHERE, Place, whole

MOST_HELD = 64


@dataclass(slots=True)
class Position:
    """How far this gateway has passed on a chat's log.

    Attributes:
        last: Sequence number of the last entry that was passed on; None until the log has been read for the first
            time.
        heard: The highest sequence number that is known to exist.
    """

    last: int | None = None
    heard: int = 0
    _held: dict[int, Entry] = field(default_factory=dict)

    def take(self, entry: Entry) -> list[Entry]:
        """Take an entry of a live event. Return the entries that can be passed on now, in order.

        The list is empty when the entry is behind the position, or ahead of it.
        """
        self.heard = max(self.heard, entry.seq)
        if self.last is not None and entry.seq <= self.last:
            return []
        if len(self._held) < MOST_HELD or entry.seq - 1 == self.last:
            self._held.setdefault(entry.seq, entry)
        return self._release()

    def read(self, entries: Iterable[Entry]) -> list[Entry]:
        """Take entries that were read from transcripts. Return the entries that can be passed on now, in order."""
        passed: list[Entry] = []
        for entry in entries:
            self.heard = max(self.heard, entry.seq)
            if self.last is not None and entry.seq == self.last + 1:
                self.last = entry.seq
                self._held.pop(entry.seq, None)
                passed.append(entry)
        return passed + self._release()

    def begin(self, last: int) -> list[Entry]:
        """Set the position after the log was read up to `last` for the first time.

        Return the held entries that follow.
        """
        if self.last is None:
            self.last = last
            self.heard = max(self.heard, last)
        self._held = {seq: e for seq, e in self._held.items() if seq > self.last}
        return self._release()

    @property
    def behind(self) -> bool:
        """True while an entry is known to exist that was not passed on."""
        return self.last is not None and self.heard > self.last

    def _release(self) -> list[Entry]:
        passed: list[Entry] = []
        while self.last is not None and (entry := self._held.pop(self.last + 1, None)):
            self.last = entry.seq
            passed.append(entry)
        return passed


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
