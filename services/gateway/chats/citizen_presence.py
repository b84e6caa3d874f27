"""RULES of a citizen's presence: which gateways have a connection of the citizen. No I/O, no clock.

A gateway that crashes does not announce that its citizens are offline. An announcement therefore expires unless it is
repeated; gateways that serve an agent of the chat ask for the repetition. Times are seconds of this process's own
clock.
"""

from __future__ import annotations

from dataclasses import dataclass, field

FORGET_AFTER = 40.0  # seconds without an announcement by a gateway that had the citizen; it is asked every 15 s


@dataclass(slots=True)
class Attendance:
    """The gateways (incarnations) that have a connection of the citizen of one chat."""

    _listed: dict[str, float] = field(default_factory=dict)

    @property
    def online(self) -> bool:
        """Whether any gateway has a connection of the citizen."""
        return bool(self._listed)

    @property
    def gateways(self) -> frozenset[str]:
        """The gateways that have a connection of the citizen."""
        return frozenset(self._listed)

    def note(self, incarnation: str, online: bool, now: float) -> bool:
        """Record that a gateway has a connection of the citizen, or has none any more.

        Returns:
            True when this changes whether the citizen is online.
        """
        before = self.online
        if online:
            self._listed[incarnation] = now
        else:
            self._listed.pop(incarnation, None)
        return before != self.online

    def forget_silent(self, own: str, now: float) -> bool:
        """Forget the gateways, except `own`, that have not announced the citizen for `FORGET_AFTER` seconds.

        Returns:
            True when the citizen is offline because of that.
        """
        before = self.online
        self._listed = {i: at for i, at in self._listed.items() if i == own or now - at < FORGET_AFTER}
        return before != self.online
