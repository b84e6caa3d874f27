"""Clock for all judgements of time: the database's time, continued by this process's monotonic clock.

The clocks of machines differ and jump, and one replica judges times that another one wrote. Services with a database
therefore read its clock (`mongo.client.follow_time`); gateways take it from each repeated button event of presence.
Between two readings only the monotonic clock counts, so a jump of the machine's clock changes nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

MOST_DOUBT = 0.5  # seconds: a less certain reading is not used
LEAST_STEP = 0.01  # seconds: smaller differences are ignored
WINDOW = 20.0  # seconds; of the times received within it the least delayed one counts
LEAST_TOLD_STEP = 0.5  # seconds: a received time was delayed on its way
BEFORE_GOING_BACK = 10.0  # seconds of received times: the first ones may come from a backlog


class Clock:
    """A time that was read once, plus the time that has passed since. The first reading is the machine's own clock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._ahead = wall() - monotonic()  # seconds since 1970, less those of the monotonic clock
        self._shown: deque[tuple[float, float]] = deque()

    def now(self) -> datetime:
        """Return the present (UTC, with a time zone)."""
        return datetime.fromtimestamp(self._monotonic() + self._ahead, UTC)

    def read(self, shown: datetime, asked: float, answered: float) -> float:
        """Set this clock by a reading of another clock.

        Args:
            shown: The time that the other clock showed.
            asked: When the reading was requested, on the monotonic clock.
            answered: When the answer arrived, on the monotonic clock.

        Returns:
            The seconds by which this clock was set; 0.0 when it was right or the reading too uncertain.
        """
        doubt = (answered - asked) / 2
        off = shown.timestamp() - (asked + doubt) - self._ahead
        if doubt > MOST_DOUBT or abs(off) <= doubt + LEAST_STEP:
            return 0.0
        self._ahead += off
        return off

    def set_by(self, shown: datetime) -> float:
        """Set this clock by a time that a process with a correct clock has published.

        The least delayed time of the last 20 s counts: at once when it is ahead of this clock, after 10 s when this
        clock must go back.

        Returns:
            The seconds by which this clock was set.
        """
        now = self._monotonic()
        self._shown.append((now, shown.timestamp() - now))
        while self._shown[0][0] < now - WINDOW:
            self._shown.popleft()
        off = max(ahead for _, ahead in self._shown) - self._ahead
        hasty = off < 0 and now - self._shown[0][0] < BEFORE_GOING_BACK
        if abs(off) <= LEAST_TOLD_STEP or hasty:
            return 0.0
        self._ahead += off
        return off


CLOCK = Clock()
"""This process's clock."""


def utcnow() -> datetime:
    """Return the present, with a time zone."""
    return CLOCK.now()
