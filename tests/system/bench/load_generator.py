"""Pairs of clients that write to each other: at a steady rate, or as quickly as the other side has answered."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

TEXT_BYTES = 120
PATIENCE = 60.0  # seconds until what is not shown counts as lost
Heard = Callable[["Side", str], None]


class Side(ABC):
    """One end of a chat; a subclass knows how one system puts a text in a frame and takes it out."""

    def __init__(self) -> None:
        self.received: Heard = lambda _, __: None

    @abstractmethod
    def say(self, text: str) -> None:
        """Send this text to the other side."""


Pair = tuple[Side, Side]


@dataclass
class Result:
    """Of one phase: how many were sent and shown, and for each how many ms it took and how late it was sent."""

    sent: int = 0
    shown: int = 0
    seconds: float = 0.0
    counted: int = 0
    took: list[float] = field(default_factory=list)
    lag: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return self.counted / self.seconds if self.seconds else 0.0


def share(values: list[float], part: float) -> float:
    """The value that this part of them does not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))] if ordered else 0.0


class Load:
    """Drives pairs that are connected; one phase at a time."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        self._pairs, self._result, self._answering = pairs, Result(), False
        self._first = self._next = 0
        for side in (side for pair in pairs for side in pair):
            side.received = self._received

    async def steady(self, rate: float, seconds: float) -> Result:
        """An open loop: all pairs in turn, both directions, evenly spaced, whether or not anything comes back."""
        result = self._begin(answering=False)
        began = time.monotonic() + 0.05
        for number in range(int(rate * seconds)):
            due = began + number / rate
            if (early := due - time.monotonic()) > 0:
                await asyncio.sleep(early)
            result.lag.append((time.monotonic() - due) * 1000)
            self._say(self._pairs[number // 2 % len(self._pairs)][number % 2])
        result.seconds, result.counted = time.monotonic() - began, result.sent
        await self._settled()
        return result

    async def closed(self, seconds: float) -> Result:
        """A closed loop: each pair has one message under way, and answers as soon as it is shown."""
        self._begin(answering=True)
        for first, _ in self._pairs:
            self._say(first)
        await asyncio.sleep(min(1.0, seconds / 4))
        result, began, before = self._result, time.monotonic(), self._result.shown
        await asyncio.sleep(seconds)
        result.counted, result.seconds = result.shown - before, time.monotonic() - began
        self._answering = False
        await self._settled()
        return result

    def _begin(self, answering: bool) -> Result:
        self._result, self._answering, self._first = Result(), answering, self._next
        return self._result

    async def _settled(self) -> None:
        end = time.monotonic() + PATIENCE
        while self._result.shown < self._result.sent and time.monotonic() < end:
            await asyncio.sleep(0.02)

    def _say(self, side: Side) -> None:
        text = f"{self._next:010d} {time.monotonic_ns():020d} ".ljust(TEXT_BYTES, "x")
        self._next += 1
        self._result.sent += 1
        side.say(text)

    def _received(self, side: Side, text: str) -> None:
        if int(text[:10]) < self._first:
            return  # a late one of the phase before
        self._result.shown += 1
        self._result.took.append((time.monotonic_ns() - int(text[11:31])) / 1e6)
        if self._answering:
            self._say(side)
