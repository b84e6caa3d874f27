"""What this gateway knows of one chat that it follows for its participants."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime

from services.common.events.types import Party
from services.gateway.chats.chat_state import State
from services.gateway.chats.citizen_presence import Attendance
from services.gateway.chats.log_cursor import LogCursor
from services.gateway.participants.sessions import Session
from services.gateway.websocket.frames import server

LONG_AGO = datetime.min.replace(tzinfo=UTC)


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
    introduced: int = 0  # the latest attempt whose entry "connected with ..." is known
