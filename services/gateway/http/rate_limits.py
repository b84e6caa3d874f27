"""RULES of rate limits: token buckets in memory, by key. No I/O. `docs/limits.md` lists them, with reasons."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """`burst` at once, and `per_second` on average after that."""

    burst: float
    per_second: float


CHATS_PER_ADDRESS = Limit(60, 30 / 60)
BARE_CHATS_PER_ADDRESS = Limit(20, 10 / 60)  # without an `Origin`: no browser sent them
UPLOADS_PER_CHAT = Limit(25, 1 / 5)
DOWNLOADS_PER_CHAT = Limit(60, 1)
ENDINGS_PER_CHAT = Limit(10, 1 / 5)
QUESTIONS_PER_CHAT = Limit(10, 1 / 30)
MESSAGES_PER_SENDER = Limit(100, 10)
BYTES_PER_SENDER = Limit(400_000, 40_000)  # as many messages of 4,000 characters of one byte
FRAMES_PER_PARTICIPANT = Limit(400, 60)
HELLOS_PER_PARTICIPANT = Limit(20, 1)
LOG_BYTES_PER_CITIZEN = Limit(16 * 2**20, 256 * 2**10)
BAD_FRAMES_PER_PARTICIPANT = Limit(20, 0.2)


class Bucket:
    """What is left of one limit for one key. `take` says how many seconds to wait: 0 when it was granted."""

    __slots__ = ("_at", "_left", "_limit")

    def __init__(self, limit: Limit, now: float) -> None:
        self._limit, self._left, self._at = limit, limit.burst, now

    def take(self, now: float, cost: float = 1.0) -> float:
        self._fill(now)
        if self._left >= cost:
            self._left -= cost
            return 0.0
        return (cost - self._left) / self._limit.per_second

    def spend(self, now: float, cost: float) -> None:
        """Takes what cannot be refused any more; what is left may be less than nothing, but no more than a burst."""
        self._fill(now)
        self._left = max(self._left - cost, -self._limit.burst)

    def is_full(self, now: float) -> bool:
        """Nothing is missing: it may be forgotten, a new one is the same."""
        self._fill(now)
        return self._left >= self._limit.burst

    def _fill(self, now: float) -> None:
        self._left = min(self._limit.burst, self._left + (now - self._at) * self._limit.per_second)
        self._at = now


class Buckets:
    """One limit for many keys. Full ones are forgotten; when there are too many, those not used for longest."""

    def __init__(self, limit: Limit, most: int = 50_000) -> None:
        self._limit, self._most = limit, most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def retry_after(self, key: str, now: float, cost: float = 1.0) -> int:
        """0 when granted, else the whole seconds after which it is worth trying again."""
        return math.ceil(self._of(key, now).take(now, cost))

    def spend(self, key: str, now: float, cost: float) -> None:
        """What cannot be refused any more counts all the same."""
        self._of(key, now).spend(now, cost)

    def _of(self, key: str, now: float) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            self._forget(now)
            bucket = self._buckets[key] = Bucket(self._limit, now)
        self._buckets.move_to_end(key)
        return bucket

    def _forget(self, now: float) -> None:
        """Room for one more: two looks at each new key keep up with those that fill."""
        for _ in range(2):
            oldest = next(iter(self._buckets), None)
            if oldest is None or not (self._buckets[oldest].is_full(now) or len(self._buckets) >= self._most):
                return
            del self._buckets[oldest]
