"""Internal API of presence, as the gateway uses it: paths, requests and answers. No I/O.

All are POST with a JSON body and a signed service token, so that no id or token appears in an access log.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from services.common.events.agents import ButtonChanged
from services.common.events.types import AgentState, ButtonReason, Hold, Record, Whole

# presence
SESSION_OPEN = "/internal/sessions/open"  # Credentials → OpenSession | 401 bad_credentials | 429 rate_limited
SESSION_LOOKUP = "/internal/sessions/lookup"  # SessionToken → OpenSession | 401 unauthenticated
SESSION_END = "/internal/sessions/end"  # SessionEnd → 204
AGENTS = "/internal/agents"  # AgentsQuery → Agents
BUTTONS = "/internal/buttons"  # {} → Buttons
HOLD = "/internal/places/hold"  # HoldQuery → Held
RESERVE = "/internal/places/reserve"  # ReserveQuery → Reserved
RELEASE = "/internal/places/release"  # ReleaseQuery → 204


MOST_PASSWORD = 1_024  # bytes of a password, in UTF-8


def short_enough(password: str) -> str:
    """Return the password.

    Raises:
        ValueError: It is longer than any password that is hashed.
    """
    if len(password.encode("utf-8", "surrogatepass")) > MOST_PASSWORD:
        raise ValueError(f"must be at most {MOST_PASSWORD} bytes in UTF-8")
    return password


class Credentials(Record):
    """Credentials of a login. `address`: the key of the client's address. `device`: the browser's device cookie."""

    username: str = Field(max_length=100)
    password: Annotated[str, Field(max_length=500), AfterValidator(short_enough)]
    address: str = ""
    device: str = Field(default="", max_length=2_048)


class SessionToken(Record):
    """The token of a session."""

    token: str


class SessionEnd(SessionToken):
    """Request to end a session. `everywhere`: all sessions of its agent end."""

    everywhere: bool = False


class AgentView(Record):
    """An agent as colleagues and the gateway see them. `free`: slots that a chat could take now."""

    id: str
    name: str
    departments: list[str]
    capacity: Whole
    state: AgentState
    online: bool
    free: Whole
    supervisor: bool = False
    locales: list[str] = Field(default_factory=list)
    v: int = 0


class OpenSession(Record):
    """A live session. `token` and `device` (values of the two cookies) are set only in the answer to a login."""

    session_id: str
    token: str | None = None
    device: str | None = None
    expires_at: datetime
    agent: AgentView


class AgentsQuery(Record):
    """Request for agents: of a department, or with these ids, or all."""

    department: str | None = None
    ids: list[str] | None = None


class Agents(Record):
    """The agents that were requested."""

    agents: list[AgentView]


class Buttons(Record):
    """The buttons of all departments."""

    buttons: list[ButtonChanged]


class HoldQuery(Record):
    """A press: request for a slot for attempt 1 of a chat that is not opened yet.

    `again`: only ask what this press has already, a slot or a position in the queue; nothing is taken. `green`: the
    button was green at the gateway, so the press may wait wherever an agent is logged in.
    """

    chat_id: str
    department: str
    locale: str = "nl"
    again: bool = False
    green: bool = False


class ReserveQuery(Record):
    """A form that is open: request for a slot while it is filled in, or its renewal. Nothing is announced to routing.

    `seconds`: how long the slot is reserved from now on. `renew`: only where the form still has its slot.
    """

    chat_id: str
    department: str
    locale: str = "nl"
    seconds: float = Field(gt=0, le=600)
    renew: bool = False


class Reserved(Record):
    """Answer to `ReserveQuery`: for how many seconds the form has a slot; 0: it has none, and `reason` says why."""

    seconds: float = 0.0
    reason: ButtonReason = ButtonReason.AVAILABLE


class ReleaseQuery(Record):
    """The form was closed: its slot is free again, unless a chat was started with it."""

    chat_id: str


class Held(Record):
    """Answer to a press.

    `hold`: the agent who reserves a slot for this chat, the same when asked again. Without one, `may_wait` says whether
    the press was so close to another one that the chat may wait in the queue all the same, and `reason` says why there
    is no slot.
    """

    hold: Hold | None = None
    may_wait: bool = False
    reason: ButtonReason = ButtonReason.AVAILABLE
