"""RULES of the abuse limits: token buckets in memory, by key. No I/O. `docs/limits.md` lists them, with reasons."""

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
MESSAGES_PER_CONNECTION = Limit(100, 10)
FRAMES_PER_CONNECTION = Limit(400, 60)
HELLOS_PER_CONNECTION = Limit(10, 1)
BAD_FRAMES_PER_CONNECTION = Limit(20, 0.2)


class Bucket:
    """What is left of one limit for one key. `take` says how many seconds to wait: 0 when it was granted."""

    __slots__ = ("_at", "_left", "_limit")

    def __init__(self, limit: Limit, now: float) -> None:
        self._limit, self._left, self._at = limit, limit.burst, now

    def take(self, now: float) -> float:
        self._left = min(self._limit.burst, self._left + (now - self._at) * self._limit.per_second)
        self._at = now
        if self._left >= 1:
            self._left -= 1
            return 0.0
        return (1 - self._left) / self._limit.per_second


class Buckets:
    """One limit for many keys; the keys not used for longest are forgotten when there are too many."""

    def __init__(self, limit: Limit, most: int = 50_000) -> None:
        self._limit, self._most = limit, most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def retry_after(self, key: str, now: float) -> int:
        """0 when granted, else the whole seconds after which it is worth trying again."""
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = Bucket(self._limit, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
        self._buckets.move_to_end(key)
        return math.ceil(bucket.take(now))
