"""RULES of the heartbeat failure detector: who is online, by the listener's own clock. No I/O.

A subject is absent while the listener receives its own echo (so its connection to the broker works) and no gateway
names the subject. Clocks of two machines are never compared. After a restart of the listener every subject has a full
grace period.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

ECHO_LATE = 5.0  # seconds without an echo after which the listener counts as disconnected, and time no longer counts
GATEWAY_LATE = 7.0  # seconds without a list after which a gateway counts as dead


@dataclass
class _Gateway:
    """The last list of one gateway."""

    counter: int
    received_at: float
    present: dict[str, float]  # subject → last sign of life, on the listener's clock


@dataclass
class FailureDetector:
    """The lists that one listener has received. All times are seconds of its own monotonic clock, passed in."""

    grace: float
    gateway_late: float = GATEWAY_LATE  # a gateway without a list for so long has no connections any more
    started: float | None = None
    _gateways: dict[str, _Gateway] = field(default_factory=dict)
    _last_seen: dict[str, float] = field(default_factory=dict)
    _echo_at: float | None = None
    _deaf: float = 0.0  # total time that does not count

    def echo(self, now: float) -> None:
        """Record the listener's own echo."""
        if self._echo_at is None:
            self.started = now
        elif now - self._echo_at > ECHO_LATE:
            self._deaf += now - self._echo_at
        self._echo_at = now

    def record(
        self, incarnation: str, counter: int, silent_for: Mapping[str, float], now: float, leaving: bool = False
    ) -> None:
        """Record a gateway's whole list.

        Args:
            incarnation: One run of the gateway's process.
            counter: Number of the list; an older one is ignored.
            silent_for: The connected subjects, with the seconds since each one's last sign of life.
            now: The present.
            leaving: Whether the gateway is about to end.
        """
        known = self._gateways.get(incarnation)
        if known and counter <= known.counter:
            return
        present = {who: self._effective(now) - silent for who, silent in silent_for.items()}
        for who, at in present.items():
            self._last_seen[who] = max(at, self._last_seen.get(who, at))
        self._gateways[incarnation] = _Gateway(counter, self._effective(now), {} if leaving else present)

    def receives(self, now: float) -> bool:
        """Return whether the listener receives its own echo. Only then may absence be judged."""
        return self._echo_at is not None and now - self._echo_at <= ECHO_LATE

    def present(self, now: float) -> set[str]:
        """Return every subject in the present list of a gateway."""
        at = self._effective(now)
        return {who for g in self._gateways.values() if at - g.received_at <= self.gateway_late for who in g.present}

    def named_since(self, who: Iterable[str], at: float, now: float) -> bool:
        """Return whether a gateway's present list that arrived at `at` or later names one of these subjects."""
        wanted, received_from = set(who), self._effective(at)
        live = (g for g in self._gateways.values() if self._effective(now) - g.received_at <= self.gateway_late)
        return any(g.received_at >= received_from and not wanted.isdisjoint(g.present) for g in live)

    def absent(self, known: Iterable[str], now: float) -> list[str]:
        """Return those of `known` who were in no list for the whole grace period, counted from their last sign of life.

        Time before the listener's start does not count. The result is empty while the listener does not receive its
        echo.
        """
        start = self.started
        if not self.receives(now) or start is None:
            return []
        at, present = self._effective(now), self.present(now)
        return [w for w in known if w not in present and at - max(start, self._last_seen.get(w, start)) >= self.grace]

    def forget_stale(self, now: float, after: float = 3600.0) -> None:
        """Forget gateways and subjects without a sign of life for an hour, to bound memory."""
        at = self._effective(now)
        self._gateways = {i: g for i, g in self._gateways.items() if at - g.received_at < after}
        self._last_seen = {w: t for w, t in self._last_seen.items() if at - t < after}

    def _effective(self, now: float) -> float:
        deaf = self._deaf
        if self._echo_at is not None and now - self._echo_at > ECHO_LATE:
            deaf += now - self._echo_at
        return now - deaf
