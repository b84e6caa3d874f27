"""Inactivity of a citizen: citizen and agent are shown each warning once, and its end.

Transcripts decides by the log and repeats its warnings while they hold. A message, a citizen who keeps the chat open
and a chat that leaves its agent end a warning here at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from services.common.events.messages import CitizenSilent
from services.common.events.types import Entry, Party
from services.gateway.websocket.connection import Connection
from services.gateway.websocket.frames import server

if TYPE_CHECKING:
    from services.gateway.chats.event_router import LiveChat

LONG_AGO = datetime.min.replace(tzinfo=UTC)
LASTS = 60.0  # seconds for which a warning holds without being repeated


@dataclass(frozen=True, slots=True)
class Warned:
    """The warning that holds in a chat.

    Attributes:
        number: 1 or 2, the first or the second warning.
        since: When the citizen's inactivity began, by the log.
        closes_at: When the chat will be closed.
        seconds: Seconds that were left until then at `heard_at`.
        heard_at: When the warning was received, by this process's own clock.
    """

    number: int
    since: datetime
    closes_at: datetime
    seconds: float
    received_at: float

    @property
    def shown(self) -> tuple[int, datetime]:
        """What the frame depends on; an equal value needs no new frame."""
        return self.number, self.closes_at

    def frame(self, now: float, chat_id: str | None = None) -> bytes:
        """Return the `inactive` frame for a browser. A frame for an agent names the chat."""
        left = max(0, round(self.seconds - (now - self.received_at)))
        return server.inactive(self.number, self.closes_at, left, chat_id)


@dataclass(slots=True)
class Quiet:
    """What is known of the inactivity in one chat. All times are those of the log.

    Attributes:
        spoken_at: Time of the last entry.
        answered: The last `since` of a warning that the citizen answered by keeping the chat open.
        warned: The warning that holds, if any.
    """

    spoken_at: datetime = LONG_AGO
    answered: datetime | None = None
    warned: Warned | None = None


class InactivityWarnings:
    """Warnings of the chats that are followed here."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Create the tracker.

        Args:
            clock: A monotonic clock, in seconds.
        """
        self._clock = clock

    def warn(self, channel: LiveChat, event: CitizenSilent) -> None:
        """Handle a warning.

        One that is older than the last entry, or than the citizen's answer, is late and dropped.
        """
        quiet = channel.quiet
        if event.since < quiet.spoken_at or (quiet.answered and event.since <= quiet.answered):
            return
        if channel.state and not channel.state.connected:
            return
        before = quiet.warned
        left = (event.closes_at - event.occurred_at).total_seconds()  # both times are by the publisher's clock
        quiet.warned = Warned(event.warning, event.since, event.closes_at, left, self._clock())
        if before is None or before.shown != quiet.warned.shown:
            for connection in channel.members:
                self.show(connection, channel)

    def stayed(self, channel: LiveChat) -> None:
        """Handle the citizen's wish to keep the chat open."""
        quiet = channel.quiet
        quiet.answered = quiet.warned.since if quiet.warned else max(quiet.spoken_at, quiet.answered or quiet.spoken_at)
        self._end(channel)

    def spoke(self, channel: LiveChat, entry: Entry) -> None:
        """Handle a new entry: it ends a warning, and inactivity counts from it."""
        channel.quiet.spoken_at = max(channel.quiet.spoken_at, entry.at)
        self._end(channel)

    def moved(self, channel: LiveChat) -> None:
        """Handle a new state: inactivity counts only while the citizen is connected with an agent."""
        if channel.state and not channel.state.connected:
            self._end(channel)

    def end_old(self, channel: LiveChat) -> None:
        """End a warning that is not repeated any more."""
        warned = channel.quiet.warned
        if warned and self._clock() - warned.received_at > LASTS:
            self._end(channel)

    def show(self, connection: Connection, channel: LiveChat) -> None:
        """Send the warning that holds, if any, to this connection."""
        if warned := channel.quiet.warned:
            of_citizen = connection.party is Party.CITIZEN
            connection.send(warned.frame(self._clock(), None if of_citizen else channel.chat_id))

    def _end(self, channel: LiveChat) -> None:
        if channel.quiet.warned is None:
            return
        channel.quiet.warned = None
        for connection in channel.members:
            of_citizen = connection.party is Party.CITIZEN
            connection.send(server.inactive(0, None, None, None if of_citizen else channel.chat_id))
