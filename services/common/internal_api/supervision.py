"""Internal API of what supervisors see and do: agents and chats of their departments, closed intakes. No I/O."""

from __future__ import annotations

from datetime import datetime, timedelta

from pydantic import Field

from services.common.events.types import Intake, Record
from services.common.internal_api.queries import MAX_CHATS

# presence
INTAKES = "/internal/intakes"  # IntakesQuery → Intakes
INTAKE_CLOSE = "/internal/intakes/close"  # IntakeClose → ClosedIntake | 404 unknown_department | 422 invalid_until
INTAKE_OPEN = "/internal/intakes/open"  # IntakeOpen → 204; a repetition changes nothing
AGENT_PAUSE = "/internal/agents/pause"  # AgentAct → 204 | 403 forbidden | 404 no_such_agent | 409 not_online
AGENT_LOGOUT = "/internal/agents/log-out"  # AgentAct → 204 | 403 forbidden | 404 no_such_agent | 409 not_online
# routing
OPEN_CHATS = "/internal/chats/open"  # OpenChatsQuery → OpenChats
# transcripts
UNANSWERED = "/internal/unanswered"  # ChatsQuery → Unanswered
REASONS = ("crowded", "staff", "meeting", "technical", "other")
"""Why an intake is closed. Citizens read a text for each."""
LONGEST_CLOSED = timedelta(days=31)
MOST_DEPARTMENTS = 200
MOST_LISTED = 100  # waiting chats, running chats and agents of one department that a page lists
MOST_RUNNING = 500  # running chats of one department of which it is known who waits for an answer


class IntakesQuery(Record):
    """Request for the closed intakes and the hours of these departments."""

    departments: list[str] = Field(max_length=MOST_DEPARTMENTS)


class ClosedIntake(Intake):
    """A closed intake: who closed it, and since when."""

    department: str
    agent_id: str
    name: str
    at: datetime


class Intakes(Record):
    """The intakes that are closed now, and the opening hours of today by department, as `09:00-12:30`.

    A department that is always open has no entry in `hours`; one that is closed all day has an empty one.
    """

    intakes: list[ClosedIntake]
    hours: dict[str, list[str]] = Field(default_factory=dict)


class IntakeClose(Record):
    """Request of a supervisor to close the intake, or to change the reason or the end. The last request counts."""

    department: str
    reason: str = Field(pattern=f"^({'|'.join(REASONS)})$")
    until: datetime
    agent_id: str
    name: str


class IntakeOpen(Record):
    """Request of a supervisor to open the intake again."""

    department: str
    agent_id: str


class AgentAct(Record):
    """An act of a supervisor (`by`) of these departments on an agent, who must serve one of them."""

    agent_id: str
    by: str
    departments: list[str]


class OpenChatsQuery(Record):
    """Request for the open chats of departments, and for how many chats each of these agents has anywhere."""

    departments: list[str] = Field(max_length=MOST_DEPARTMENTS)
    agents: list[str] = Field(default_factory=list, max_length=MOST_DEPARTMENTS * MOST_LISTED)


class WaitingChat(Record):
    """A chat that waits for an agent, since then."""

    chat_id: str
    since: datetime
    locale: str = "nl"


class RunningChat(Record):
    """A chat that an agent has, since then. `accepted`: whether the agent has accepted it."""

    chat_id: str
    since: datetime
    agent_id: str
    agent_name: str
    locale: str = "nl"
    accepted: bool = False


class DepartmentChats(Record):
    """The open chats of a department: their numbers, and those that began first, at most `MOST_RUNNING` of each kind.

    `waiting_since`: since when the first one waits.
    """

    department: str
    waiting: int = 0
    waiting_since: datetime | None = None
    running: int = 0
    first_waiting: list[WaitingChat] = Field(default_factory=list)
    first_running: list[RunningChat] = Field(default_factory=list)


class OpenChats(Record):
    """The open chats of the departments, and the number of chats of each agent, of those that were asked for."""

    departments: list[DepartmentChats]
    of_agents: dict[str, int] = Field(default_factory=dict)


class Unanswered(Record):
    """Since when the citizens of these chats have been waiting for an answer of their agent. Others are left out."""

    since: dict[str, datetime] = Field(max_length=MAX_CHATS)
