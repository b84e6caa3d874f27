"""What the services exchange: the facts, the values in them, and how a fact becomes a message and back. No I/O.

Unknown members are ignored; an unknown type is a dead letter.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from services.facts import (
    AcceptOverdue,
    AgentChanged,
    ButtonChanged,
    ChatAccepted,
    ChatOpened,
    ChatState,
    CitizenArrived,
    CloseRequested,
    Fact,
    GatewayConnections,
    ListenerEcho,
    PlaceClaimed,
    PlaceReleased,
    PlacesChanged,
    PlaceWanted,
    QueueChanged,
    SessionEnded,
    StateRequested,
    TransferRefused,
)
from services.said import (
    CitizenPresence,
    CitizenSilent,
    CitizenStayed,
    MessagePosted,
    MessageRefused,
    MessagesPosted,
    MessagesStored,
    MessageStored,
    NotePosted,
    NoteStored,
    ReadShown,
    TypingShown,
)
from services.values import (
    About,
    AgentConnection,
    AgentState,
    Attachment,
    Block,
    ButtonColour,
    ButtonReason,
    Cause,
    ChatStatus,
    Choice,
    ChoiceRule,
    CloseReason,
    Detail,
    Entry,
    Form,
    Hold,
    Note,
    Party,
    Record,
    RefusalCode,
    ReleaseReason,
    Sender,
    Whole,
    derived_id,
    is_id,
)

__all__ = [
    "About",
    "AcceptOverdue",
    "AgentChanged",
    "AgentConnection",
    "AgentState",
    "AnyFact",
    "Attachment",
    "Block",
    "ButtonChanged",
    "ButtonColour",
    "ButtonReason",
    "Cause",
    "ChatAccepted",
    "ChatOpened",
    "ChatState",
    "ChatStatus",
    "Choice",
    "ChoiceRule",
    "CitizenArrived",
    "CitizenPresence",
    "CitizenSilent",
    "CitizenStayed",
    "CloseReason",
    "CloseRequested",
    "Detail",
    "Entry",
    "Fact",
    "Form",
    "GatewayConnections",
    "Hold",
    "ListenerEcho",
    "MessagePosted",
    "MessageRefused",
    "MessageStored",
    "MessagesPosted",
    "MessagesStored",
    "Note",
    "NotePosted",
    "NoteStored",
    "Party",
    "PlaceClaimed",
    "PlaceReleased",
    "PlaceWanted",
    "PlacesChanged",
    "QueueChanged",
    "ReadShown",
    "Record",
    "RefusalCode",
    "ReleaseReason",
    "Sender",
    "SessionEnded",
    "StateRequested",
    "TransferRefused",
    "TypingShown",
    "Whole",
    "decode",
    "derived_id",
    "encode",
    "is_id",
]

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
    | MessagesPosted
    | MessagesStored
    | MessageRefused
    | NotePosted
    | NoteStored
    | TypingShown
    | ReadShown
    | CitizenPresence
    | CitizenSilent
    | CitizenStayed
    | TransferRefused,
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
