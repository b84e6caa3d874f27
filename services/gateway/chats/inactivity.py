"""Inactivity of a citizen: citizen and agent are shown each warning once, and its end.

Transcripts decides by the log and repeats its warnings while they hold. A message, a citizen who keeps the chat open
and a chat that leaves its agent end a warning here at once.
"""

from __future__ import annotations

from collections.abc import Callable

from services.common.events.messages import CitizenSilent
from services.common.events.types import Entry, Party
from services.gateway.chats.chat import LiveChat, Warned
from services.gateway.participants.sessions import Session
from services.gateway.websocket.frames import server

LASTS = 60.0  # seconds for which a warning holds without being repeated


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
            for session in channel.members:
                self.show(session, channel)

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

    def show(self, session: Session, channel: LiveChat) -> None:
        """Send the warning that holds, if any, to this session."""
        if warned := channel.quiet.warned:
            of_citizen = session.party is Party.CITIZEN
            session.connection.send(warned.frame(self._clock(), None if of_citizen else channel.chat_id))

    def _end(self, channel: LiveChat) -> None:
        if channel.quiet.warned is None:
            return
        channel.quiet.warned = None
        for session in channel.members:
            of_citizen = session.party is Party.CITIZEN
            session.connection.send(server.inactive(0, None, None, None if of_citizen else channel.chat_id))
