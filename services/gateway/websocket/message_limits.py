"""Limits of what a participant may send, over all of their connections: a reconnect or another tab resets nothing.

By this process's own clock and memory. Messages by way of another gateway count too, as far as this one hears of them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable

from services.common.events.types import Entry, Party
from services.gateway.http import rate_limits
from services.gateway.http.rate_limits import Buckets

REPEATED = 0.1  # of a message: an id that was counted is said once more
REMEMBERED = 64  # ids of a sender in a chat that are counted; twice as many as may be without a receipt
MOST_SENDERS = 20_000  # of whom ids are remembered
TURN_LIMIT = 6.0  # seconds that a hello waits for its turn
AT_A_TIME = 2  # hellos of one participant that are answered at a time


class MessageLimits:
    """The buckets of all participants. `limited`: whether they refuse anything; bad frames always count."""

    def __init__(self, limited: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        self._limited, self._clock = limited, clock
        self._frames = Buckets(rate_limits.FRAMES_PER_PARTICIPANT)
        self._bad = Buckets(rate_limits.BAD_FRAMES_PER_PARTICIPANT)
        self._hellos = Buckets(rate_limits.HELLOS_PER_PARTICIPANT)
        self._logs = Buckets(rate_limits.LOG_BYTES_PER_CITIZEN)
        self._messages = Buckets(rate_limits.MESSAGES_PER_SENDER)
        self._bytes = Buckets(rate_limits.BYTES_PER_SENDER)
        self._counted: OrderedDict[str, deque[str]] = OrderedDict()
        self._turns: dict[str, tuple[asyncio.Semaphore, int]] = {}

    def frame(self, participant: str) -> bool:
        """Whether one more frame of this participant is taken."""
        return not (self._limited and self._frames.retry_after(participant, self._clock()))

    def bad_frame(self, participant: str) -> bool:
        """Whether one more refused frame is put up with."""
        return not self._bad.retry_after(participant, self._clock())

    def hello(self, participant: str) -> bool:
        """Whether one more hello is answered. Who was shown much is not shown it again for a while."""
        if not self._limited:
            return True
        now = self._clock()
        return not (self._hellos.retry_after(participant, now) or self._logs.retry_after(participant, now, 0.0))

    def showed(self, participant: str, size: int) -> None:
        """So many bytes of a log were the answer to a hello."""
        if self._limited:
            self._logs.spend(participant, self._clock(), size)

    def message(self, chat_id: str, sender_id: str, id_: str, size: int) -> bool:
        """Whether this sender may say one more thing of this size in this chat. An id is counted once."""
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
        """An entry was heard of for the first time; it counts when it came by way of another gateway."""
        if not self._limited or entry.party is Party.SYSTEM:
            return
        key, now = f"{entry.chat_id}/{entry.sender_id}", self._clock()
        if entry.id not in self._counted.get(key, ()):
            self._messages.spend(key, now, 1.0)
            self._bytes.spend(key, now, len((entry.text or "").encode()))
            self._count(key, entry.id)

    @contextlib.asynccontextmanager
    async def turn(self, participant: str) -> AsyncIterator[None]:
        """One of the `AT_A_TIME` in which a hello of this participant is answered; those before go first.

        Raises `TimeoutError` when it is not had within `TURN_LIMIT` seconds.
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
