"""Clock that all judgements of time use: the database's time, carried on by this process's monotonic clock.

The clocks of machines differ and jump, and one replica judges times that another one wrote. So services with a database
read its clock (`mongo.client.follow_time`); gateways take it from each repeated button event of presence. Between two
readings only the monotonic clock counts, so a jump of the machine's clock changes nothing.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

MOST_DOUBT = 0.5  # seconds: a reading that is less certain is not used
LEAST_STEP = 0.01  # seconds: smaller differences are left alone
WINDOW = 20.0  # seconds in which the least delayed of what was told counts
LEAST_TOLD_STEP = 0.5  # seconds: what is told was some time on the way
BEFORE_GOING_BACK = 10.0  # seconds of being told: the first words may come from a backlog


class Clock:
    """A time that was read once, and what has passed since. The first reading is the machine's own clock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic, wall: Callable[[], float] = time.time) -> None:
        self._monotonic = monotonic
        self._ahead = wall() - monotonic()  # seconds since 1970, less those of the monotonic clock
        self._told: deque[tuple[float, float]] = deque()

    def now(self) -> datetime:
        """The present time, aware (UTC)."""
        return datetime.fromtimestamp(self._monotonic() + self._ahead, UTC)

    def read(self, told: datetime, asked: float, answered: float) -> float:
        """A clock was asked: it showed `told` some time between these two monotonic times.

        The seconds by which this clock was set (0.0: it was right, or the reading too uncertain).
        """
        doubt = (answered - asked) / 2
        off = told.timestamp() - (asked + doubt) - self._ahead
        if doubt > MOST_DOUBT or abs(off) <= doubt + LEAST_STEP:
            return 0.0
        self._ahead += off
        return off

    def hear(self, told: datetime) -> float:
        """Somebody whose clock is right said what time it was when he spoke.

        The least delayed word of the last 20 s counts: at once if it is ahead of us, after 10 s if we are to go back.

        The seconds by which this clock was set.
        """
        now = self._monotonic()
        self._told.append((now, told.timestamp() - now))
        while self._told[0][0] < now - WINDOW:
            self._told.popleft()
        off = max(ahead for _, ahead in self._told) - self._ahead
        hasty = off < 0 and now - self._told[0][0] < BEFORE_GOING_BACK
        if abs(off) <= LEAST_TOLD_STEP or hasty:
            return 0.0
        self._ahead += off
        return off


CLOCK = Clock()
"""This process's clock."""


def utcnow() -> datetime:
    """The present time, aware."""
    return CLOCK.now()
