"""Encoding of events as broker messages (JSON in UTF-8), and decoding. No I/O.

Unknown members are ignored. A message of an unknown type cannot be decoded; its consumer dead-letters it.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, TypeAdapter

from services.common.events.agents import (
    AgentChanged,
    ButtonChanged,
    PauseEnded,
    SessionEnded,
    StateRequested,
    WrapUpDone,
    WrapUpEnded,
)
from services.common.events.chats import (
    AcceptOverdue,
    AnswerOverdue,
    ChatAccepted,
    ChatOpened,
    ChatState,
    CitizenArrived,
    CloseRequested,
    QueueChanged,
    TransferRefused,
)
from services.common.events.configuration import ConfigurationVersion, ConfigurationWanted
from services.common.events.event import Event
from services.common.events.identification import IdentificationAsked, IdentificationDeclined, IdentificationEnded
from services.common.events.messages import (
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
from services.common.events.places import PlaceClaimed, PlaceReleased, PlacesChanged, PlaceWanted
from services.common.events.presence import GatewayConnections, ListenerEcho

AnyEvent = Annotated[
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
    | AnswerOverdue
    | StateRequested
    | AgentChanged
    | SessionEnded
    | WrapUpDone
    | WrapUpEnded
    | PauseEnded
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
    | TransferRefused
    | IdentificationAsked
    | IdentificationDeclined
    | IdentificationEnded
    | ConfigurationVersion
    | ConfigurationWanted,
    Field(discriminator="type"),
]

_ANY: TypeAdapter[Any] = TypeAdapter(AnyEvent)


def decode(body: bytes) -> Event:
    """Return the event in the body of a broker message.

    Raises:
        pydantic.ValidationError: The body is not a known event.
    """
    event: Event = _ANY.validate_json(body)
    return event


def encode(event: Event) -> bytes:
    """Return the body of the broker message of this event (JSON in UTF-8)."""
    return event.model_dump_json().encode()
