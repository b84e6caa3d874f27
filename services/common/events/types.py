"""Value types of events and requests: ids, enumerations, records that never change. No I/O.

Texts have no lone surrogates and whole numbers fit in 64 bits, so that the database can keep every value.
"""

from __future__ import annotations

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated
from uuid import NAMESPACE_OID, uuid5

from pydantic import BaseModel, ConfigDict, Field

_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
Whole = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]  # what BSON can hold


def derived_id(*parts: object) -> str:
    """The same parts always give the same id, so that an event told twice makes one entry (RFC 9562, version 5)."""
    return str(uuid5(NAMESPACE_OID, "eloket/" + "/".join(str(p) for p in parts)))


def is_id(text: object) -> bool:
    """True for a UUID in its canonical lower-case text form."""
    return isinstance(text, str) and _ID.fullmatch(text) is not None


class Party(StrEnum):
    CITIZEN = "citizen"
    AGENT = "agent"
    SYSTEM = "system"


class ChatStatus(StrEnum):
    WAITING = "waiting"
    ASSIGNED = "assigned"
    CLOSED = "closed"


class Cause(StrEnum):
    """Why a chat came into its state; those a citizen should read become system messages of that name."""

    OPENED = "opened"
    ASSIGNED = "assigned"
    AGENT_LEFT = "agent_left"
    TRANSFERRED = "transferred"
    CLOSED = "closed"


class CloseReason(StrEnum):
    CITIZEN = "citizen"
    AGENT = "agent"
    INACTIVE = "inactive"
    NO_AGENT = "no_agent"


class Detail(StrEnum):
    """What stands behind a change of a chat, for agents: why it was taken away, why it came back."""

    NOT_ACCEPTED = "not_accepted"  # the agent did not accept it in time
    REFUSED = "refused"  # the colleague to whom it was transferred did not want it: it goes back
    UNANSWERED = "unanswered"  # nobody took the transferred chat in time: it goes back
    OVERFLOW = "overflow"  # its own department was full for too long: another one takes it


class AgentState(StrEnum):
    AVAILABLE = "available"
    PAUSED = "paused"


class Record(BaseModel):
    """A value that never changes after it was made."""

    # The length, that of the largest message of a broker, is never met: with one, pydantic refuses lone surrogates too.
    model_config = ConfigDict(frozen=True, extra="ignore", use_enum_values=False, str_max_length=2**24)


class Form(Record):
    """The online form that the citizen had open."""

    id: str | None = None
    title: str | None = None
    url: str | None = None


class ChoiceRule(StrEnum):
    """The first rule that set the chosen agent apart from the next best one."""

    NAMED = "named"  # the chat was transferred to him, or goes back to him
    ONLY_ONE = "only_one"  # nobody else could have taken it
    LANGUAGE = "language"  # he speaks the citizen's language
    FEWEST_CHATS = "fewest_chats"
    LONGEST_IDLE = "longest_idle"


class Choice(Record):
    """Why this agent got a chat: kept with each assignment. Times in seconds, at the moment of choosing."""

    rule: ChoiceRule
    candidates: Whole = Field(description="agents who could have taken it, this one included")
    speaks: bool = Field(description="whether he speaks the citizen's language")
    chats: Whole = Field(description="chats that he had already")
    idle_for: float = Field(ge=0, allow_inf_nan=False, description="since he last gave up a chat or came")


class Hold(Record):
    """An agent who has a seat for turn 1 of a chat before it is opened."""

    agent_id: str
    agent_name: str
    choice: Choice | None = None


class Block(Record):
    """An agent keeps the browser of a chat, and with `address` all of its network, from starting chats for a time."""

    minutes: int = Field(ge=1, le=24 * 60)
    reason: str = Field(min_length=1, max_length=200)
    address: bool = True


class ReleaseReason(StrEnum):
    AGENT_GONE = "agent_gone"
    LOGGED_OUT = "logged_out"
    NO_SEAT = "no_seat"


class ButtonColour(StrEnum):
    GREEN = "green"
    BLUE = "blue"


class ButtonReason(StrEnum):
    AVAILABLE = "available"
    CLOSED = "closed"
    BUSY = "busy"
    NO_AGENTS = "no_agents"
    UNKNOWN = "unknown"


class AgentConnection(Record):
    agent_id: str
    silent_for: float = Field(
        ge=0, allow_inf_nan=False, description="seconds since the best of his connections was last heard"
    )
    sessions: list[str] | None = Field(
        default=None, description="sessions with an open websocket; None: told by a gateway of before 1.2"
    )


class Attachment(Record):
    """What is told of a file in a conversation: size in bytes, type judged by content."""

    id: str
    name: str
    size: Whole
    content_type: str


class Sender(Record):
    """Who said it: `id` is `citizen` for the citizen, the agent's id for an agent."""

    party: Party
    id: str
    name: str | None = None


class About(Record):
    """What a system entry is about, for agents' own words. `turn`: the turn of the chat in which it happened.

    `agent_id`, `agent`: who accepted, is gone, transferred the chat, or ended it. `department`: the id of the chat's
    department at that moment.
    """

    turn: Whole | None = None
    agent_id: str | None = None
    agent: str | None = None
    department: str | None = None
    detail: str | None = None


class Entry(Record):
    """One entry of a chat's log: a message as every participant is shown it. A `closed` event is the seal: the last."""

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
    posted_at: datetime | None = None  # when its sender's gateway took it; told once, when it was stored, and not kept

    @property
    def is_seal(self) -> bool:
        return self.event is Cause.CLOSED


class RefusalCode(StrEnum):
    CHAT_CLOSED = "chat_closed"
    UNKNOWN_ATTACHMENT = "unknown_attachment"
    INVALID = "invalid"
    NOT_YOURS = "not_yours"
    UNAVAILABLE = "unavailable"


class Note(Record):
    chat_id: str
    id: str
    agent_id: str
    name: str
    text: str
    at: datetime
