"""Requests that need an answer at once, between services over HTTP with a signed service token. No I/O.

Paths and shapes, defined once for the service that answers and the gateway that asks. All are POST with a JSON body, so
that no id or token stands in an access log.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from services.contracts import (
    AgentState,
    ButtonChanged,
    ButtonReason,
    Cause,
    ChatStatus,
    Choice,
    CloseReason,
    Detail,
    Entry,
    Form,
    Hold,
    Note,
    Record,
    Whole,
)

# presence
SESSION_OPEN = "/internal/sessions/open"  # Credentials → OpenSession | 401 bad_credentials | 429 rate_limited
SESSION_LOOKUP = "/internal/sessions/lookup"  # SessionToken → OpenSession | 401 unauthenticated
SESSION_END = "/internal/sessions/end"  # SessionEnd → 204
AGENTS = "/internal/agents"  # AgentsQuery → Agents
BUTTONS = "/internal/buttons"  # {} → Buttons
HOLD = "/internal/places/hold"  # HoldQuery → Held
# routing
CHATS = "/internal/chats"  # AlikeQuery → Chats
ADMIT = "/internal/chats/admit"  # AdmitQuery → Admitted
AGENT_CHATS = "/internal/chats/of-agent"  # AgentChatsQuery → Chats (open chats assigned to the agent)
TRANSFER = "/internal/transfers"  # Transfer → 204 | 403 not_yours | 404 no_such_chat | 409 unavailable
ASSIGNMENTS = "/internal/assignments"  # AssignmentsQuery → Assignments | 403 forbidden
# transcripts
HISTORY = "/internal/history"  # HistoryQuery → History
TAILS = "/internal/tails"  # TailsQuery → Tails
QUESTION_LEAVE = "/internal/questions/leave"  # LeftQuestion → 204; the first one of a chat stands
QUESTIONS = "/internal/questions"  # QuestionsQuery → Questions
QUESTION_DONE = "/internal/questions/done"  # QuestionDone → 204 | 404 no_such_question | 409 claimed
QUESTION_CLAIM = "/internal/questions/claim"  # QuestionClaim → LeftQuestion | 404 no_such_question | 409 claimed
QUESTION_UNCLAIM = "/internal/questions/unclaim"  # QuestionClaim → 204 | 403 not_yours | 404 no_such_question

MAX_CHATS = 200  # in one request
PAGE = 500  # entries of one chat in one answer


MOST_PASSWORD = 1_024  # bytes of a password, in UTF-8


def short_enough(password: str) -> str:
    """The password; raises `ValueError` when it is longer than anything that is hashed."""
    if len(password.encode("utf-8", "surrogatepass")) > MOST_PASSWORD:
        raise ValueError(f"must be at most {MOST_PASSWORD} bytes in UTF-8")
    return password


class Credentials(Record):
    """What an agent logs in with. `address`: the key of the client's address. `device`: the browser's device cookie."""

    username: str = Field(max_length=100)
    password: Annotated[str, Field(max_length=500), AfterValidator(short_enough)]
    address: str = ""
    device: str = Field(default="", max_length=2_048)


class SessionToken(Record):
    token: str


class SessionEnd(SessionToken):
    """`everywhere`: all sessions of its agent end."""

    everywhere: bool = False


class AgentView(Record):
    """An agent as colleagues and the gateway see him. `free`: seats that a chat could take now."""

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
    """`token` and `device` (values of the two cookies) only in the answer to a login."""

    session_id: str
    token: str | None = None
    device: str | None = None
    expires_at: datetime
    agent: AgentView


class AgentsQuery(Record):
    department: str | None = None
    ids: list[str] | None = None


class Agents(Record):
    agents: list[AgentView]


class Buttons(Record):
    buttons: list[ButtonChanged]


class HoldQuery(Record):
    """A press: an agent for turn 1 of a chat that is not opened yet.

    `again`: only what this press has already is asked for, a place or one in the line; nothing is taken.
    """

    chat_id: str
    department: str
    locale: str = "nl"
    again: bool = False


class Held(Record):
    """`hold`: an agent who keeps a place for this chat, the same when asked again. Without one `may_wait` says whether

    the press was so close to another one that the chat may still stand in the line; `reason` says why there is none.
    """

    hold: Hold | None = None
    may_wait: bool = False
    reason: ButtonReason = ButtonReason.AVAILABLE


class ChatsQuery(Record):
    chat_ids: list[str] = Field(max_length=MAX_CHATS)


_PREFIX = 18  # characters of a chat id: 60 bits beside the version


def prefix_of(chat_id: str) -> str:
    """What the ids of all chats have in common that were started with one `Idempotency-Key` from one address."""
    return chat_id[:_PREFIX]


class AlikeQuery(ChatsQuery):
    """`prefixes`: also chats of the last hour whose ids begin like this (`prefix_of`)."""

    prefixes: list[Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}$")]] = Field(
        default_factory=list, max_length=MAX_CHATS
    )


class AdmitQuery(Record):
    """A press: may this chat be opened? `address`, `browser`: keyed digests of where it comes from."""

    chat_id: str
    address: str | None = Field(default=None, max_length=64)
    browser: str | None = Field(default=None, max_length=64)


class Admitted(Record):
    """Whole seconds until it is worth trying again: an agent blocked it, or the address has enough chats open."""

    blocked_for: int | None = None
    full_for: int | None = None


class AgentChatsQuery(Record):
    agent_id: str


class ChatView(Record):
    """A chat as routing holds it. `position` counts from 1 while waiting. `v`, `state`, `turn`, … as in `ChatState`."""

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
    tells_acceptance: bool = False  # this version of routing tells `accepted` in `chat.state` too
    position: int | None = None
    wait: float | None = None  # seconds until its turn, by recent history; None when that is not known
    detail: Detail | None = None
    returned: Detail | None = None  # why it came back to this agent after a transfer
    transferred: bool = False  # it came to this agent by a transfer, and he may still refuse it
    reason: CloseReason | None = None
    opened_at: datetime
    closed_at: datetime | None = None


class Chats(Record):
    """Chats that are not known are left out. `spent`: ids that ended before they were opened; none can be opened."""

    chats: list[ChatView]
    spent: list[str] = Field(default_factory=list)


class Transfer(Record):
    chat_id: str
    agent_id: str
    to_department: str | None = None
    to_agent: str | None = None


class AssignmentsQuery(Record):
    """Those of one chat, or the latest ones, in these departments.

    Without `departments` those of a chat in any (gateways of before 1.2 ask so).
    """

    chat_id: str | None = None
    departments: list[str] | None = None
    limit: int = Field(default=100, ge=1, le=500)


class Assignment(Record):
    """One turn of a chat that ended with an agent. `waited`: seconds; `choice`: why this agent."""

    chat_id: str
    department: str
    turn: Whole
    agent_id: str
    agent_name: str
    at: datetime
    waited: float
    choice: Choice | None = None


class Assignments(Record):
    """The latest first."""

    assignments: list[Assignment]


class HistoryWanted(Record):
    """`at_least`: the highest seq that the asker has heard of; the answer waits up to 1 s for it."""

    chat_id: str
    after: int = Field(default=0, ge=0, le=2**63 - 1)
    at_least: int = Field(default=0, ge=0, le=2**63 - 1)


class HistoryQuery(Record):
    chats: list[HistoryWanted] = Field(max_length=MAX_CHATS)
    notes: bool = False


class ChatHistory(Record):
    """Entries after `after` in the order of seq, at most `PAGE`; `last_seq` is the chat's tail (majority, primary)."""

    chat_id: str
    last_seq: int
    entries: list[Entry]
    notes: list[Note] = Field(default_factory=list)
    sealed: bool = False
    closed_at: datetime | None = None


class History(Record):
    """Chats that are not known yet are left out."""

    chats: list[ChatHistory]


class Notes(Record):
    """The internal notes of a chat, the oldest first."""

    notes: list[Note]


class TailsQuery(ChatsQuery):
    """`after`: the last seq that the asker has of each chat. Without it the last seqs themselves are answered."""

    after: dict[str, Whole] | None = Field(default=None, max_length=MAX_CHATS)


class Tails(Record):
    """To a question with `after`: only chats whose log goes on after it, with a seq beyond it that is there."""

    tails: dict[str, int]


class Claimed(Record):
    """The agent who is dealing with a left question, since `at`."""

    agent_id: str
    name: str
    at: datetime


class LeftQuestion(Record):
    """A question that a citizen left because no agent came, with how to reach them (a phone number or an address)."""

    chat_id: str
    department: str
    locale: str = "nl"
    name: str | None = None
    contact: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1, max_length=4_000)
    at: datetime
    claimed: Claimed | None = None


class QuestionsQuery(Record):
    departments: list[str]


class Questions(Record):
    """Those that nobody has dealt with, the oldest first (at most 200)."""

    questions: list[LeftQuestion]


class QuestionDone(Record):
    """`departments`: those of the agent; a question of another one is none of his."""

    chat_id: str
    agent_id: str
    departments: list[str]


class QuestionClaim(QuestionDone):
    """An agent deals with a question, or does not any more. `any_agent`: a colleague's claim may be ended."""

    agent_name: str
    any_agent: bool = False
