"""Start of consumers one queue at a time, so that a message that crashes the process affects no other queue.

The broker counts a delivery of everything that a dead process had in hand, and dead-letters what was delivered too
often. A process that starts consumes the first queue alone until it is past what a dead process had in hand, then the
next.
"""

from __future__ import annotations

import asyncio
import contextlib

QUIET = 0.1  # seconds without a delivery: nothing waits there
LONGEST = 3.0  # seconds; days may be bad, and what waits for something else is no reason to wait for it


class SlowStart:
    """What one queue has brought since this process began it."""

    def __init__(self) -> None:
        self._in_hand = 0
        self._fresh = False  # something was done that nobody had in hand before
        self._begun, self._news = asyncio.Event(), asyncio.Event()

    def begun(self) -> None:
        """Its deliveries come from now on."""
        self._begun.set()

    def took(self) -> None:
        """A delivery came."""
        self._in_hand += 1
        self._news.set()

    def done(self, redelivered: bool) -> None:
        """A delivery was finished, however."""
        self._in_hand -= 1
        self._fresh |= not redelivered
        self._news.set()

    def lost(self) -> None:
        """The link is gone, and with it what was in hand."""
        self._in_hand = 0

    async def past(self) -> None:
        """Returns when the next queue may be begun: something fresh was done, or nothing comes, or after `LONGEST`."""
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
