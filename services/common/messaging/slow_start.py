"""Start of consumers one queue at a time, so that a message that crashes the process affects no other queue.

The broker counts a delivery of every message that a crashed process had, and dead-letters messages that were delivered
too often. A process therefore consumes the first queue alone until it is past the messages that a crashed process had,
then the next one.
"""

from __future__ import annotations

import asyncio
import contextlib

SLOW_START = 5  # first deliveries that are handled one at a time
QUIET = 0.1  # seconds without a delivery: no message waits there
LONGEST = 3.0  # seconds; messages that wait for a dependency must not delay the next queue


class SlowStart:
    """Progress of one queue since this process started to consume it."""

    def __init__(self) -> None:
        self._in_hand = 0
        self._fresh = False  # a message was done that no process had before
        self._begun, self._news = asyncio.Event(), asyncio.Event()

    def begun(self) -> None:
        """Record that deliveries arrive from now on."""
        self._begun.set()

    def took(self) -> None:
        """Record a delivery."""
        self._in_hand += 1
        self._news.set()

    def done(self, redelivered: bool) -> None:
        """Record the end of a delivery, whatever its result."""
        self._in_hand -= 1
        self._fresh |= not redelivered
        self._news.set()

    def lost(self) -> None:
        """Record the loss of the connection, and with it of the deliveries."""
        self._in_hand = 0

    async def past(self) -> None:
        """Return when the next queue may start.

        That is after a first delivery was done, or when no message arrives, or after `LONGEST` seconds.
        """
        await self._begun.wait()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LONGEST):
                while not self._fresh:
                    self._news.clear()
                    if not await self._heard() and not self._in_hand:
                        return

    async def _heard(self) -> bool:
        try:
            async with asyncio.timeout(QUIET):
                return await self._news.wait()
        except TimeoutError:
            return False
