"""Frames that browsers send, as typed values. No I/O. `parser.py` creates them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.common.events.types import AgentState, Block


class Malformed(Exception):
    """Not JSON, or not a frame of this protocol: the connection closes with 4400."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame that is understood but not accepted.

    It is answered with an `error` frame, and the connection stays open.
    """

    code: str
    id: str | None = None
    chat_id: str | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of a connection: the citizen's token, and the last known sequence number of each log."""

    token: str = ""
    after: int = 0
    chats: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Post:
    """A message: a text, or the id of an uploaded attachment. Agents name the chat."""

    id: str
    text: str | None = None
    attachment: str | None = None
    chat_id: str | None = None


@dataclass(frozen=True, slots=True)
class WriteNote:
    """An internal note of an agent."""

    id: str
    text: str
    chat_id: str


@dataclass(frozen=True, slots=True)
class Typing:
    """The participant started or stopped typing."""

    active: bool
    chat_id: str | None = None


@dataclass(frozen=True, slots=True)
class Read:
    """The participant has read the log up to this sequence number."""

    seq: int
    chat_id: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """The participant ends the chat. `block`: a block of the citizen, from agents only."""

    chat_id: str | None = None
    block: Block | None = None


@dataclass(frozen=True, slots=True)
class Extend:
    """A citizen who was warned of inactivity keeps the chat open."""


@dataclass(frozen=True, slots=True)
class Accept:
    """The agent has seen an assigned chat."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class Active:
    """The agent uses the keyboard or the pointer in the console while a chat waits for their acceptance."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The agent does not want the chat that was transferred to them."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class SetState:
    """The agent becomes available or paused."""

    state: AgentState


@dataclass(frozen=True, slots=True)
class TransferChat:
    """The agent hands a chat to a department or to a colleague."""

    chat_id: str
    department: str | None
    agent: str | None
    note: str | None


Frame = Hello | Post | WriteNote | Typing | Read | End | Extend | Accept | Active | Refuse | SetState | TransferChat
