"""RULES of a citizen's presence: which gateways have a connection of theirs. No I/O, no clock.

A gateway that dies takes nothing back, so what is not repeated expires: gateways that serve an agent of the chat ask
for it. Times are seconds of this process's own clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FORGET_AFTER = 40.0  # seconds without a word of a gateway that had the citizen; it is asked every 15 s


@dataclass(slots=True)
class Attendance:
    """The gateways (incarnations) that have the citizen of one chat."""

    _heard: dict[str, float] = field(default_factory=dict)

    @property
    def online(self) -> bool:
        """Whether any gateway has the citizen."""
        return bool(self._heard)

    def note(self, incarnation: str, online: bool, now: float) -> bool:
        """This gateway has the citizen, or has him no more. True when that changes whether he is online."""
        before = self.online
        if online:
            self._heard[incarnation] = now
        else:
            self._heard.pop(incarnation, None)
        return before != self.online

    def forget_silent(self, own: str, now: float) -> bool:
        """Gateways but `own` that were not heard for long do not count any more. True when he is offline by that."""
        before = self.online
        self._heard = {i: at for i, at in self._heard.items() if i == own or now - at < FORGET_AFTER}
        return before != self.online
