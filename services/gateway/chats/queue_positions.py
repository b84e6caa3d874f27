"""RULES of department queues as routing publishes them: position and estimated wait of each waiting chat. No I/O."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

from services.common.events.chats import QueueChanged

Place = tuple[int | None, int | None]  # the position, counted from 1, and the estimated wait in whole seconds
NOWHERE: Place = (None, None)


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
