"""Every fact and request that the services exchange, defined once. No I/O.

A fact is a frozen statement in the past tense with an `event_id`, the time it occurred and its `type`; the `type` is
also the beginning of its routing key (`services/topology.py`). Facts change only by adding optional members: one golden
sample of each is kept in `tests/golden/` and never edited. Unknown members are ignored; an unknown type is a dead
letter. Texts have no lone surrogates and whole numbers fit in 64 bits, so that every fact can be kept by the database.
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal
from uuid import NAMESPACE_OID, UUID, uuid4, uuid5

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

Whole = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]  # what BSON can hold


def derived_id(*parts: object) -> str:
    """The same parts always give the same id, so that a fact told twice makes one entry (RFC 9562, version 5)."""
    return str(uuid5(NAMESPACE_OID, "eloket/" + "/".join(str(p) for p in parts)))


def is_id(text: object) -> bool:
    """True for a UUID in its canonical lower-case text form."""
    if not isinstance(text, str) or len(text) != 36:
        return False
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False


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


class AgentState(StrEnum):
    AVAILABLE = "available"
    PAUSED = "paused"


class Record(BaseModel):
    """A value that never changes after it was made."""

    # The length, that of the largest message of a broker, is never met: with one, pydantic refuses lone surrogates too.
    model_config = ConfigDict(frozen=True, extra="ignore", use_enum_values=False, str_max_length=2**24)


class Fact(Record):
    type: str
    event_id: str = Field(default_factory=lambda: str(uuid4()))
    occurred_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


# ── chats ────────────────────────────────────────────────────────────────────────────────────────────────────────────


class Form(Record):
    """The online form that the citizen had open."""

    id: str | None = None
    title: str | None = None
    url: str | None = None


class ChatOpened(Fact):
    """A citizen pressed a green button. Told by a gateway; heard by routing and transcripts."""

    type: Literal["chat.opened"] = "chat.opened"
    chat_id: str
    department: str
    locale: str
    name: str | None = None
    question: str | None = None
    form: Form | None = None
    opened_at: datetime


class CitizenArrived(Fact):
    """The citizen of this chat has said hello. Told by a gateway; heard by routing."""

    type: Literal["citizen.arrived"] = "citizen.arrived"
    chat_id: str


class CloseRequested(Fact):
    """A participant ended the chat. `agent_id` is that of the agent when `by` is `agent`."""

    type: Literal["close.requested"] = "close.requested"
    chat_id: str
    by: CloseReason
    agent_id: str | None = None


class ChatAccepted(Fact):
    """A person has seen the chat that was assigned to him."""

    type: Literal["chat.accepted"] = "chat.accepted"
    chat_id: str
    agent_id: str


class ChatState(Fact):
    """The state of a chat, told by routing after each change and in answer to each claim or release, changed or not.

    `v` grows with every change of the chat: older ones are dropped. `cause` is what brought this state about and is the
    same each time the same `v` is told. Also sent to the agents concerned (`services/topology.py`, copies).
    """

    type: Literal["chat.state"] = "chat.state"
    chat_id: str
    v: Whole
    state: ChatStatus
    turn: Whole
    department: str
    cause: Cause
    agent_id: str | None = None
    agent_name: str | None = None
    reason: CloseReason | None = None
    former_agent_id: str | None = None
    at: datetime


class QueueChanged(Fact):
    """Who waits in a department, the first in line first. `revision` grows with every change."""

    type: Literal["queue.changed"] = "queue.changed"
    department: str
    revision: Whole
    order: list[str]


# ── places ───────────────────────────────────────────────────────────────────────────────────────────────────────────


class PlaceWanted(Fact):
    """A waiting chat asks for an agent. `agent_id`: only this one will do (a transfer to a colleague)."""

    type: Literal["place.wanted"] = "place.wanted"
    chat_id: str
    turn: Whole
    department: str
    locale: str = "nl"
    agent_id: str | None = None


class PlaceClaimed(Fact):
    """An agent holds a seat for this turn of this chat."""

    type: Literal["place.claimed"] = "place.claimed"
    chat_id: str
    turn: Whole
    agent_id: str
    agent_name: str


class ReleaseReason(StrEnum):
    AGENT_GONE = "agent_gone"
    LOGGED_OUT = "logged_out"
    NO_SEAT = "no_seat"


class PlaceReleased(Fact):
    """An agent does not, or no longer, hold this turn of this chat."""

    type: Literal["place.released"] = "place.released"
    chat_id: str
    turn: Whole
    agent_id: str
    reason: ReleaseReason


class PlacesChanged(Fact):
    """How many places are free in a department. Repeated, so it is the wake-up call of the queue too."""

    type: Literal["places.changed"] = "places.changed"
    department: str
    free: Whole
    revision: Whole


class AcceptOverdue(Fact):
    """The agent did not accept the chat in time: he is to be paused. Told by routing; heard by presence."""

    type: Literal["accept.overdue"] = "accept.overdue"
    chat_id: str
    turn: Whole
    agent_id: str


# ── agents and the button ────────────────────────────────────────────────────────────────────────────────────────────


class StateRequested(Fact):
    """An agent made himself available or paused."""

    type: Literal["state.requested"] = "state.requested"
    agent_id: str
    state: AgentState


class AgentChanged(Fact):
    """An agent's state as presence holds it; older `v` are dropped.

    `cause`: `request`, `accept_overdue`, `login`, `gone`, `back`.
    """

    type: Literal["agent.changed"] = "agent.changed"
    agent_id: str
    v: Whole
    online: bool
    state: AgentState
    cause: str


class SessionEnded(Fact):
    """An agent's session is over (logged out, disabled, expired): its sockets close."""

    type: Literal["session.ended"] = "session.ended"
    agent_id: str
    session_id: str


class ButtonColour(StrEnum):
    GREEN = "green"
    BLUE = "blue"


class ButtonReason(StrEnum):
    AVAILABLE = "available"
    CLOSED = "closed"
    BUSY = "busy"
    NO_AGENTS = "no_agents"
    UNKNOWN = "unknown"


class ButtonChanged(Fact):
    """The button of a department: at each change, and repeated every `topology.BUTTON_INTERVAL` seconds."""

    type: Literal["button.changed"] = "button.changed"
    department: str
    colour: ButtonColour
    reason: ButtonReason
    opens_at: datetime | None = None
    revision: Whole


class AgentConnection(Record):
    agent_id: str
    silent_for: float = Field(
        ge=0, allow_inf_nan=False, description="seconds since the best of his connections was last heard"
    )


class GatewayConnections(Fact):
    """All agents with a connection to this gateway and all chats whose citizen has one, every 2 s and at each change.

    Transient and never backlogged. `counter` grows within an `incarnation` (one run of one gateway process); the
    highest wins. `chats` is None in those that speak of agents alone (most: the citizens' list is told every 6 s).
    """

    type: Literal["gateway.connections"] = "gateway.connections"
    incarnation: str
    counter: Whole
    agents: list[AgentConnection]
    chats: list[str] | None = None
    leaving: bool = False


class ListenerEcho(Fact):
    """A listener of `gateway.connections` hears itself: silence counts only while it does."""

    type: Literal["listener.echo"] = "listener.echo"
    listener: str
    counter: Whole


# ── what was said ────────────────────────────────────────────────────────────────────────────────────────────────────


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


class MessagePosted(Fact):
    """A participant said something; not stored yet. Either `text` or `attachment_id` is there."""

    type: Literal["message.posted"] = "message.posted"
    chat_id: str
    id: str
    sender: Sender
    text: str | None = None
    attachment_id: str | None = None


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
    at: datetime

    @property
    def is_seal(self) -> bool:
        return self.event is Cause.CLOSED


class MessageStored(Fact):
    """This entry is stored durably; told again whenever the same id is posted again."""

    type: Literal["message.stored"] = "message.stored"
    chat_id: str
    entry: Entry


class RefusalCode(StrEnum):
    CHAT_CLOSED = "chat_closed"
    UNKNOWN_ATTACHMENT = "unknown_attachment"
    INVALID = "invalid"
    NOT_YOURS = "not_yours"
    UNAVAILABLE = "unavailable"


class MessageRefused(Fact):
    """This message (or close) of this sender is not, and will never be, in the log."""

    type: Literal["message.refused"] = "message.refused"
    chat_id: str
    id: str
    sender_id: str
    code: RefusalCode


class NotePosted(Fact):
    """An agent wrote an internal note; never for the citizen."""

    type: Literal["note.posted"] = "note.posted"
    chat_id: str
    id: str
    agent_id: str
    agent_name: str
    text: str


class Note(Record):
    chat_id: str
    id: str
    agent_id: str
    name: str
    text: str
    at: datetime


class NoteStored(Fact):
    type: Literal["note.stored"] = "note.stored"
    chat_id: str
    note: Note


# ── between gateways only, transient ─────────────────────────────────────────────────────────────────────────────────


class TypingShown(Fact):
    type: Literal["typing.shown"] = "typing.shown"
    chat_id: str
    party: Party
    sender_id: str
    active: bool


class ReadShown(Fact):
    type: Literal["read.shown"] = "read.shown"
    chat_id: str
    party: Party
    sender_id: str
    seq: Whole


class CitizenPresence(Fact):
    """Whether a citizen has a connection to this gateway. With `asked`, a gateway wants to be told."""

    type: Literal["citizen.presence"] = "citizen.presence"
    chat_id: str
    incarnation: str
    online: bool
    asked: bool = False


AnyFact = Annotated[
    ChatOpened
    | CitizenArrived
    | CloseRequested
    | ChatAccepted
    | ChatState
    | QueueChanged
    | PlaceWanted
    | PlaceClaimed
    | PlaceReleased
    | PlacesChanged
    | AcceptOverdue
    | StateRequested
    | AgentChanged
    | SessionEnded
    | ButtonChanged
    | GatewayConnections
    | ListenerEcho
    | MessagePosted
    | MessageStored
    | MessageRefused
    | NotePosted
    | NoteStored
    | TypingShown
    | ReadShown
    | CitizenPresence,
    Field(discriminator="type"),
]

_ANY: TypeAdapter[Any] = TypeAdapter(AnyFact)


def decode(body: bytes) -> Fact:
    """The fact in a broker message's body. Raises `pydantic.ValidationError` on anything that is not a known fact."""
    fact: Fact = _ANY.validate_json(body)
    return fact


def encode(fact: Fact) -> bytes:
    """The body of the broker message that tells this fact (JSON in UTF-8)."""
    return fact.model_dump_json().encode()
