"""Value types of events and requests: ids, enumerations, immutable records. No I/O.

Texts have no lone surrogates and integers fit in 64 bits, so that the database can store every value.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import NAMESPACE_OID, uuid5

from pydantic import BaseModel, ConfigDict, Field

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
Whole = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]  # the integers of BSON


def derived_id(*parts: object) -> str:
    """Return an id that depends on the parts only (RFC 9562, version 5).

    An event that is published twice therefore makes one entry.
    """
    return str(uuid5(NAMESPACE_OID, "eloket/" + "/".join(str(p) for p in parts)))


def is_id(text: object) -> bool:
    """Return whether this is a UUID in canonical lower-case text form."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


class Party(StrEnum):
    """The side of a participant, or the system."""

    CITIZEN = "citizen"
    AGENT = "agent"
    SYSTEM = "system"


class ChatStatus(StrEnum):
    """The state of a chat."""

    WAITING = "waiting"
    ASSIGNED = "assigned"
    CLOSED = "closed"


class Cause(StrEnum):
    """Why a chat came into its state. Causes that concern the citizen become system entries of that name."""

    OPENED = "opened"
    ASSIGNED = "assigned"
    AGENT_LEFT = "agent_left"
    TRANSFERRED = "transferred"
    CLOSED = "closed"


class CloseReason(StrEnum):
    """Why a chat was closed."""

    CITIZEN = "citizen"
    AGENT = "agent"
    INACTIVE = "inactive"
    NO_AGENT = "no_agent"


class Revocation(StrEnum):
    """Who has revoked the token of a chat. Since version 2.0."""

    CITIZEN = "citizen"  # they gave it up, on a computer that others use too
    AGENT = "agent"  # who ended the chat and blocked the citizen
    OFFICER = "officer"  # a supervisor or an administrator: others may know it


class Detail(StrEnum):
    """More about a change of a chat, for agents: why it was taken away, why it came back."""

    NOT_ACCEPTED = "not_accepted"  # the agent did not accept it in time
    REFUSED = "refused"  # the colleague to whom it was transferred refused it: it goes back
    UNANSWERED = "unanswered"  # no agent accepted the transferred chat in time: it goes back
    SILENT = "agent_silent"  # its agent left the citizen without an answer: another one takes it; since version 2.0
    OVERFLOW = "overflow"  # its own department was at capacity for too long: another one takes it


class AgentState(StrEnum):
    """The state that an agent chose, or that the system set."""

    AVAILABLE = "available"
    PAUSED = "paused"


class Record(BaseModel):
    """An immutable value."""

    # The length of the largest broker message is never reached; with a length, pydantic also rejects lone surrogates.
    model_config = ConfigDict(frozen=True, extra="ignore", use_enum_values=False, str_max_length=2**24)


class Form(Record):
    """The online form that the citizen had open.

    Attributes:
        id: Its id, as its web master calls it.
        title: Its title.
        url: Its address, http or https.
        step: The step of the form where the citizen was, as the page said. Since version 2.0, as the two below.
        field: The field.
        error: The error that the form showed.
    """

    id: str | None = None
    title: str | None = None
    url: str | None = None
    step: str | None = None
    field: str | None = None
    error: str | None = None


class ChoiceRule(StrEnum):
    """The first rule that distinguished the chosen agent from the next best one."""

    NAMED = "named"  # the chat was transferred to them, or goes back to them
    ONLY_ONE = "only_one"  # no other agent could have taken it
    LANGUAGE = "language"  # they speak the citizen's language
    FEWEST_CHATS = "fewest_chats"
    LONGEST_IDLE = "longest_idle"


class Choice(Record):
    """Why this agent got a chat; stored with each assignment. Times are in seconds, at the moment of the choice."""

    rule: ChoiceRule
    candidates: Whole = Field(description="agents who could have taken it, this one included")
    speaks: bool = Field(description="whether they speak the citizen's language")
    chats: Whole = Field(description="chats that they had already")
    idle_for: float = Field(ge=0, allow_inf_nan=False, description="since they last gave up a chat or came online")


class Hold(Record):
    """An agent with a slot for attempt 1 of a chat before it is opened."""

    agent_id: str
    agent_name: str
    choice: Choice | None = None


class Block(Record):
    """A block by an agent: the browser of a chat, and with `address` its network, may not start chats for a time."""

    minutes: int = Field(ge=1, le=24 * 60)
    reason: str = Field(min_length=1, max_length=200)
    address: bool = True


class ReleaseReason(StrEnum):
    """Why an agent does not have the chat any more."""

    AGENT_GONE = "agent_gone"
    LOGGED_OUT = "logged_out"
    NO_SLOT = "no_seat"


class ButtonColour(StrEnum):
    """The colour of a button."""

    GREEN = "green"
    BLUE = "blue"


class ButtonReason(StrEnum):
    """Why a button has its colour."""

    AVAILABLE = "available"
    CLOSED = "closed"
    BUSY = "busy"
    NO_AGENTS = "no_agents"
    UNKNOWN = "unknown"


class Intake(Record):
    """A closed intake: a supervisor has closed the department to new chats until then.

    `reason`: one of `REASONS` of `internal_api/supervision.py`; a consumer shows one that it does not know as `other`.
    """

    reason: str
    until: datetime


class AgentConnection(Record):
    """An agent with a connection to a gateway."""

    agent_id: str
    silent_for: float = Field(
        ge=0, allow_inf_nan=False, description="seconds since the most recent sign of life of their connections"
    )
    sessions: list[str] | None = Field(
        default=None, description="sessions with an open websocket; None: sent by a gateway before version 2.0"
    )


class Attachment(Record):
    """A file in a conversation: size in bytes, type judged by its content."""

    id: str
    name: str
    size: Whole
    content_type: str


class Sender(Record):
    """The sender of a message. `id` is `citizen` for the citizen, the agent's id for an agent."""

    party: Party
    id: str
    name: str | None = None


IDENTIFICATION = "identification"
"""What participants see as the `event` of an entry about the identification of the citizen."""


class IdentificationStep(StrEnum):
    """What an entry about the identification of a citizen says."""

    ASKED = "asked"  # an agent asks the citizen to identify
    IDENTIFIED = "identified"  # the citizen has logged in at the citizens' issuer
    DECLINED = "declined"  # the citizen prefers not to
    FAILED = "failed"  # the login at the issuer was cancelled, or not accepted


class AssuranceLevel(StrEnum):
    """How certain an identity is: the assurance levels of Regulation (EU) No 910/2014 (eIDAS), article 8."""

    LOW = "low"
    SUBSTANTIAL = "substantial"
    HIGH = "high"


class Identification(Record):
    """A step in the identification of a citizen. Only transcripts writes entries with it.

    Attributes:
        id: The request of an agent; all its entries have the same.
        step: What has happened.
        name: The name that the issuer gives the citizen who has identified.
        level: The assurance level of that login.
        issuer: The name of the issuer, in the language of the chat.
    """

    id: str
    step: IdentificationStep
    name: str | None = None
    level: AssuranceLevel | None = None
    issuer: str | None = None


class About(Record):
    """What a system entry is about, from which the console makes its text.

    `turn`: the attempt in which it happened. `agent_id`, `agent`: the agent who accepted, left, transferred or ended
    the chat, or asks the citizen to identify. `department`: the chat's department at that moment. `identification`: a
    step in the identification of the citizen; such an entry has no `event`, which a release before 2.0 could not read.
    """

    turn: Whole | None = None
    agent_id: str | None = None
    agent: str | None = None
    department: str | None = None
    detail: str | None = None
    identification: Identification | None = None


class Entry(Record):
    """An entry of a chat's log, as every participant sees it.

    An entry with the event `closed` is the seal, the last one.
    """

    chat_id: str
    seq: Whole
    id: str
    party: Party
    sender_id: str
    name: str | None = None
    text: str | None = None
    attachment: Attachment | None = None
    event: Cause | None = None
    reason: CloseReason | None = None
    about: About | None = None  # of a system entry
    at: datetime
    posted_at: datetime | None = None  # when the sender's gateway took it; published once, not stored

    @property
    def is_seal(self) -> bool:
        """Whether this is the last entry of the log."""
        return self.event is Cause.CLOSED

    @property
    def identification(self) -> Identification | None:
        """The step in the identification of the citizen that this entry of the system is about."""
        return self.about.identification if self.about and self.party is Party.SYSTEM else None


class RefusalCode(StrEnum):
    """Why a message is refused."""

    CHAT_CLOSED = "chat_closed"
    UNKNOWN_ATTACHMENT = "unknown_attachment"
    INVALID = "invalid"
    NOT_YOURS = "not_yours"
    UNAVAILABLE = "unavailable"


class Note(Record):
    """An internal note of an agent."""

    chat_id: str
    id: str
    agent_id: str
    name: str
    text: str
    at: datetime
