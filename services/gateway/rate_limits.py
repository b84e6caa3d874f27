"""RULES of rate limits: token buckets in memory, by key. No I/O. `docs/limits.md` lists them with their reasons."""

from __future__ import annotations

import math
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """A limit: `burst` at once, and `per_second` on average after that."""

    burst: float
    per_second: float


CHATS_PER_ADDRESS = Limit(60, 30 / 60)
BARE_CHATS_PER_ADDRESS = Limit(20, 10 / 60)  # without an `Origin`: not sent by a browser
RESERVATIONS_PER_ADDRESS = Limit(60, 30 / 60)
RENEWALS_PER_RESERVATION = Limit(10, 1 / 5)
UPLOADS_PER_CHAT = Limit(25, 1 / 5)
DOWNLOADS_PER_CHAT = Limit(60, 1)
PREVIEWS_PER_CHAT = Limit(60, 1)
ENDINGS_PER_CHAT = Limit(10, 1 / 5)
QUESTIONS_PER_CHAT = Limit(10, 1 / 30)
QUESTIONS_PER_ADDRESS = Limit(20, 6 / 60)
BARE_QUESTIONS_PER_ADDRESS = Limit(10, 2 / 60)
RATINGS_PER_CHAT = Limit(10, 1 / 30)
CODES_PER_CHAT = Limit(10, 1 / 60)
CODE_USES_PER_ADDRESS = Limit(20, 1 / 30)  # 60 random bits are guessed by nobody; this bounds the work
IDENTIFICATIONS_PER_CHAT = Limit(20, 1 / 10)
IDENTIFICATIONS_PER_ADDRESS = Limit(60, 1)
VERIFICATIONS_PER_ADDRESS = Limit(20, 1 / 10)
CLIENT_TOKENS_PER_ADDRESS = Limit(20, 10 / 60)  # a secret of 256 random bits is guessed by nobody
READS_PER_CLIENT = Limit(60, 2)
MESSAGES_PER_SENDER = Limit(100, 10)
BYTES_PER_SENDER = Limit(400_000, 40_000)  # as many messages of 4,000 characters of one byte
FRAMES_PER_PARTICIPANT = Limit(400, 60)
HELLOS_PER_PARTICIPANT = Limit(20, 1)
LOG_BYTES_PER_CITIZEN = Limit(16 * 2**20, 256 * 2**10)
BAD_FRAMES_PER_PARTICIPANT = Limit(20, 0.2)


class Bucket:
    """The tokens that are left of one limit for one key."""

    __slots__ = ("_at", "_left", "_limit")

    def __init__(self, limit: Limit, now: float) -> None:
        self._limit, self._left, self._at = limit, limit.burst, now

    def take(self, now: float, cost: float = 1.0) -> float:
        """Take `cost` tokens. Return 0 when they were granted, else the seconds to wait."""
        self._fill(now)
        if self._left >= cost:
            self._left -= cost
            return 0.0
        return (cost - self._left) / self._limit.per_second

    def spend(self, now: float, cost: float) -> None:
        """Take tokens for something that cannot be refused any more.

        The rest may be negative, down to minus one burst.
        """
        self._fill(now)
        self._left = max(self._left - cost, -self._limit.burst)

    def is_full(self, now: float) -> bool:
        """Return whether no token is missing. A full bucket may be forgotten, because a new one is the same."""
        self._fill(now)
        return self._left >= self._limit.burst

    def _fill(self, now: float) -> None:
        self._left = min(self._limit.burst, self._left + (now - self._at) * self._limit.per_second)
        self._at = now


class Buckets:
    """One limit for many keys. Full buckets are forgotten; above `most`, the least recently used ones are too."""

    def __init__(self, limit: Limit, most: int = 50_000) -> None:
        self._limit, self._most = limit, most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()

    def __len__(self) -> int:
        """Return the number of keys that are remembered."""
        return len(self._buckets)

    def retry_after(self, key: str, now: float, cost: float = 1.0) -> int:
        """Take `cost` tokens. Return 0 when they were granted, else the whole seconds after which to try again."""
        return math.ceil(self._of(key, now).take(now, cost))

    def spend(self, key: str, now: float, cost: float) -> None:
        """Take tokens for something that cannot be refused any more."""
        self._of(key, now).spend(now, cost)

    def _of(self, key: str, now: float) -> Bucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            self._forget(now)
            bucket = self._buckets[key] = Bucket(self._limit, now)
        self._buckets.move_to_end(key)
        return bucket

    def _forget(self, now: float) -> None:
        """Make room for one more key. Two checks for each new key keep up with the buckets that fill."""
        for _ in range(2):
            oldest = next(iter(self._buckets), None)
            if oldest is None or not (self._buckets[oldest].is_full(now) or len(self._buckets) >= self._most):
                return
            del self._buckets[oldest]
