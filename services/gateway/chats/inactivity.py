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

    def warn(self, chat: LiveChat, event: CitizenSilent) -> None:
        """Handle a warning.

        One that is older than the last entry, or than the citizen's answer, is late and dropped.
        """
        quiet = chat.quiet
        if event.since < quiet.spoken_at or (quiet.answered and event.since <= quiet.answered):
            return
        if chat.state and not chat.state.connected:
            return
        before = quiet.warned
        left = (event.closes_at - event.occurred_at).total_seconds()  # both times are by the publisher's clock
        quiet.warned = Warned(event.warning, event.since, event.closes_at, left, self._clock())
        if before is None or before.shown != quiet.warned.shown:
            for session in chat.members:
                self.show(session, chat)

    def stayed(self, chat: LiveChat) -> None:
        """Handle the citizen's wish to keep the chat open."""
        quiet = chat.quiet
        quiet.answered = quiet.warned.since if quiet.warned else max(quiet.spoken_at, quiet.answered or quiet.spoken_at)
        self._end(chat)

    def spoke(self, chat: LiveChat, entry: Entry) -> None:
        """Handle a new entry: it ends a warning, and inactivity counts from it."""
        chat.quiet.spoken_at = max(chat.quiet.spoken_at, entry.at)
        self._end(chat)

    def moved(self, chat: LiveChat) -> None:
        """Handle a new state: inactivity counts only while the citizen is connected with an agent."""
        if chat.state and not chat.state.connected:
            self._end(chat)

    def end_old(self, chat: LiveChat) -> None:
        """End a warning that is not repeated any more."""
        warned = chat.quiet.warned
        if warned and self._clock() - warned.received_at > LASTS:
            self._end(chat)

    def show(self, session: Session, chat: LiveChat) -> None:
        """Send the warning that holds, if any, to this session."""
        if warned := chat.quiet.warned:
            of_citizen = session.party is Party.CITIZEN
            session.connection.send(warned.frame(self._clock(), None if of_citizen else chat.chat_id))

    def _end(self, chat: LiveChat) -> None:
        if chat.quiet.warned is None:
            return
        chat.quiet.warned = None
        for session in chat.members:
            of_citizen = session.party is Party.CITIZEN
            session.connection.send(server.inactive(0, None, None, None if of_citizen else chat.chat_id))
