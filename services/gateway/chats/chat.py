"""A chat that this gateway follows for its participants, and the warnings of its citizen's inactivity.

Transcripts decides about inactivity by the log and repeats its warnings while they hold. A message, a citizen who keeps
the chat open and a chat that leaves its agent end a warning here at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.common.events.messages import CitizenSilent
from services.common.events.types import Entry, Party
from services.gateway.chats.chat_state import Attendance, LogCursor, State
from services.gateway.participants.sessions import Session
from services.gateway.websocket.frames import server

LONG_AGO = datetime.min.replace(tzinfo=UTC)
LASTS = 60.0  # seconds for which a warning holds without being repeated


@dataclass(frozen=True, slots=True)
class Warned:
    """The warning of inactivity that holds in a chat.

    Attributes:
        number: 1 or 2, the first or the second warning.
        since: When the citizen's inactivity began, by the log.
        closes_at: When the chat will be closed.
        seconds: Seconds that were left until then at `received_at`.
        received_at: When the warning was received, by this process's own clock.
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


@dataclass(slots=True)
class LiveChat:
    """A chat that is followed here: how far its log was passed on, its state, and the sessions that receive it live."""

    chat_id: str
    cursor: LogCursor = field(default_factory=LogCursor)
    state: State | None = None
    members: list[Session] = field(default_factory=list)
    users: int = 0
    citizen_at: Attendance = field(default_factory=Attendance)
    quiet: Quiet = field(default_factory=Quiet)
    read: dict[Party, int] = field(default_factory=dict)
    gap_read_due: bool = False
    refusable_by: str | None = None  # the agent to whom it was transferred and who has not accepted it
    citizen_name: str | None = None
    introduced: int = 0  # the latest attempt whose entry "connected with ..." is known


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
