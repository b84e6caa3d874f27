"""Internal API of routing, as the gateway uses it: paths, requests and answers. No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.common.events.types import Cause, ChatStatus, Choice, CloseReason, Detail, Form, Record, Revocation, Whole
from services.common.internal_api.presence import OfficerRole
from services.common.internal_api.queries import MAX_CHATS, ChatsQuery

# routing
CHATS = "/internal/chats"  # AlikeQuery → Chats
ADMIT = "/internal/chats/admit"  # AdmitQuery → Admitted
AGENT_CHATS = "/internal/chats/of-agent"  # AgentChatsQuery → Chats (open chats assigned to the agent)
TRANSFER = "/internal/transfers"  # Transfer → 204 | 403 not_yours | 404 no_such_chat | 409 unavailable
TOKEN_REVOKE = "/internal/chats/revoke-token"  # noqa: S105 - a path; TokenRevocation → 204, 403, 404
ASSIGNMENTS = "/internal/assignments"  # AssignmentsQuery → Assignments | 403 forbidden


_PREFIX = 18  # characters of a chat id: 60 bits beside the version


def prefix_of(chat_id: str) -> str:
    """Return the part that the ids of all chats share that were started with one `Idempotency-Key` from one address."""
    return chat_id[:_PREFIX]


class AlikeQuery(ChatsQuery):
    """Request for several chats. `prefixes`: also chats of the last hour whose ids begin like this (`prefix_of`)."""

    prefixes: list[Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}$")]] = Field(
        default_factory=list, max_length=MAX_CHATS
    )


class AdmitQuery(Record):
    """Request of a press to open this chat. `address`, `browser`: keyed digests of where it comes from.

    `reserves`: an open form reserves a slot for it, for so many seconds from now; it counts as a chat meanwhile.
    """

    chat_id: str
    reserves: float | None = Field(default=None, gt=0, le=600)
    address: str | None = Field(default=None, max_length=64)
    browser: str | None = Field(default=None, max_length=64)


class Admitted(Record):
    """Answer to a press: whole seconds until a new try; both None when the chat may be opened.

    `blocked_for`: an agent blocked the citizen. `full_for`: the address has as many open chats as it may.
    """

    blocked_for: int | None = None
    full_for: int | None = None


class AgentChatsQuery(Record):
    """Request for the open chats of an agent."""

    agent_id: str


class ChatView(Record):
    """A chat as routing stores it.

    `position` counts from 1 while waiting. `v`, `state`, `turn`, … as in `ChatState`.
    """

    chat_id: str
    v: int
    state: ChatStatus
    turn: int
    cause: Cause
    department: str
    locale: str = "nl"
    name: str | None = None
    question: str | None = None
    form: Form | None = None
    agent_id: str | None = None
    agent_name: str | None = None
    accepted: bool = False
    accept_by: datetime | None = None  # until when its agent can accept it, while it is assigned and not accepted
    tells_acceptance: bool = False  # this release of routing publishes `accepted` in `chat.state` too
    position: int | None = None
    wait: float | None = None  # estimated wait in seconds; None when it is not known
    detail: Detail | None = None
    returned: Detail | None = None  # why it came back to this agent after a transfer
    transferred: bool = False  # it came to this agent by a transfer, and they may still refuse it
    reason: CloseReason | None = None
    opened_at: datetime
    closed_at: datetime | None = None
    revoked_by: Revocation | None = None  # who has revoked the citizen's token


class Chats(Record):
    """The chats that are known. `spent`: ids that ended before they were opened; none of them can be opened."""

    chats: list[ChatView]
    spent: list[str] = Field(default_factory=list)


class Transfer(Record):
    """Request of an agent to transfer a chat to a department or a colleague."""

    chat_id: str
    agent_id: str
    to_department: str | None = None
    to_agent: str | None = None


class TokenRevocation(Record):
    """Request of a supervisor of the chat's department, or of an administrator, to revoke the citizen's token.

    `role`: that of an officer, who is no agent.
    """

    chat_id: str
    by: str
    role: OfficerRole | None = None


class AssignmentsQuery(Record):
    """Request for the assignments of one chat, or the latest ones, in these departments.

    Without `departments`, for those of a chat in any department (gateways before version 2.0 ask so).
    """

    chat_id: str | None = None
    departments: list[str] | None = None
    limit: int = Field(default=100, ge=1, le=500)


class Assignment(Record):
    """An attempt of a chat that ended with an agent. `waited`: seconds. `choice`: why this agent was chosen."""

    chat_id: str
    department: str
    turn: Whole
    agent_id: str
    agent_name: str
    at: datetime
    waited: float
    choice: Choice | None = None


class Assignments(Record):
    """Assignments, the latest first."""

    assignments: list[Assignment]
