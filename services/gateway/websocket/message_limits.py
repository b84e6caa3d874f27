"""Limits of what a participant may send, over all of their connections: a reconnect or another tab resets nothing.

The limits use this process's own clock and memory. Messages through another gateway count too, as far as their events
arrive here.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable

from services.common.events.types import Entry, Party
from services.gateway import rate_limits
from services.gateway.rate_limits import Buckets

REPEATED = 0.1  # cost of a repeated message, as a part of a new one
REMEMBERED = 64  # remembered ids of a sender in a chat; twice as many as may be without a receipt
MOST_SENDERS = 20_000  # whose ids are remembered
TURN_LIMIT = 6.0  # seconds that a hello waits at most
AT_A_TIME = 2  # hellos of one participant that are answered at a time


class MessageLimits:
    """The token buckets of all participants."""

    def __init__(self, limited: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        """Create full buckets.

        Args:
            limited: Whether the limits apply. Invalid frames are always limited.
            clock: A monotonic clock, in seconds.
        """
        self._limited, self._clock = limited, clock
        self._frames = Buckets(rate_limits.FRAMES_PER_PARTICIPANT)
        self._bad = Buckets(rate_limits.BAD_FRAMES_PER_PARTICIPANT)
        self._hellos = Buckets(rate_limits.HELLOS_PER_PARTICIPANT)
        self._logs = Buckets(rate_limits.LOG_BYTES_PER_CITIZEN)
        self._messages = Buckets(rate_limits.MESSAGES_PER_SENDER)
        self._bytes = Buckets(rate_limits.BYTES_PER_SENDER)
        self._counted: OrderedDict[str, deque[str]] = OrderedDict()
        self._turns: dict[str, tuple[asyncio.Semaphore, int]] = {}

    @property
    def answering(self) -> int:
        """The number of participants with a hello that is being answered or waits."""
        return len(self._turns)

    def frame(self, participant: str) -> bool:
        """Return whether one more frame of this participant is accepted."""
        return not (self._limited and self._frames.retry_after(participant, self._clock()))

    def bad_frame(self, participant: str) -> bool:
        """Return whether one more invalid frame of this participant is tolerated."""
        return not self._bad.retry_after(participant, self._clock())

    def hello(self, participant: str) -> bool:
        """Return whether one more hello is answered.

        A participant who was sent many bytes of logs waits for a while.
        """
        if not self._limited:
            return True
        now = self._clock()
        return not (self._hellos.retry_after(participant, now) or self._logs.retry_after(participant, now, 0.0))

    def showed(self, participant: str, size: int) -> None:
        """Count the bytes of a log that were the answer to a hello."""
        if self._limited:
            self._logs.spend(participant, self._clock(), size)

    def message(self, chat_id: str, sender_id: str, id_: str, size: int) -> bool:
        """Return whether this sender may send one more message of this size in this chat. Each id counts once."""
        if not self._limited:
            return True
        key, now = f"{chat_id}/{sender_id}", self._clock()
        if id_ in self._counted.get(key, ()):
            return not self._messages.retry_after(key, now, REPEATED)
        if self._bytes.retry_after(key, now, 0.0) or self._messages.retry_after(key, now):
            return False
        self._bytes.spend(key, now, size)
        self._count(key, id_)
        return True

    def stored(self, entry: Entry) -> None:
        """Count an entry that arrived for the first time, when it came through another gateway."""
        if not self._limited or entry.party is Party.SYSTEM:
            return
        key, now = f"{entry.chat_id}/{entry.sender_id}", self._clock()
        if entry.id not in self._counted.get(key, ()):
            self._messages.spend(key, now, 1.0)
            self._bytes.spend(key, now, len((entry.text or "").encode()))
            self._count(key, entry.id)

    @contextlib.asynccontextmanager
    async def turn(self, participant: str) -> AsyncIterator[None]:
        """Wait for one of the `AT_A_TIME` hellos of this participant that are answered at a time, in order of arrival.

        Raises:
            TimeoutError: None was free within `TURN_LIMIT` seconds.
        """
        semaphore, users = self._turns.get(participant) or (asyncio.Semaphore(AT_A_TIME), 0)
        self._turns[participant] = semaphore, users + 1
        try:
            async with asyncio.timeout(TURN_LIMIT):
                await semaphore.acquire()
            try:
                yield
            finally:
                semaphore.release()
        finally:
            semaphore, users = self._turns[participant]
            if users > 1:
                self._turns[participant] = semaphore, users - 1
            else:
                del self._turns[participant]

    def _count(self, key: str, id_: str) -> None:
        self._counted.setdefault(key, deque(maxlen=REMEMBERED)).append(id_)
        self._counted.move_to_end(key)
        if len(self._counted) > MOST_SENDERS:
            self._counted.popitem(last=False)
