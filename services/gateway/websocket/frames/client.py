"""Frames that browsers send, as values. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from services.common.events.types import AgentState, Block


class Malformed(Exception):
    """Not JSON, or not a frame of this protocol: the connection closes with 4400."""


@dataclass(frozen=True, slots=True)
class Refused:
    """A frame that is understood but not accepted: it becomes an `error` frame and the connection stays."""

    code: str
    id: str | None = None
    chat_id: str | None = None


@dataclass(frozen=True, slots=True)
class Hello:
    token: str = ""
    after: int = 0
    chats: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Post:
    id: str
    text: str | None = None
    attachment: str | None = None
    chat_id: str | None = None


@dataclass(frozen=True, slots=True)
class WriteNote:
    id: str
    text: str
    chat_id: str


@dataclass(frozen=True, slots=True)
class Typing:
    active: bool
    chat_id: str | None = None


@dataclass(frozen=True, slots=True)
class Read:
    seq: int
    chat_id: str | None = None


@dataclass(frozen=True, slots=True)
class End:
    """`block`: of an agent alone."""

    chat_id: str | None = None
    block: Block | None = None


@dataclass(frozen=True, slots=True)
class Extend:
    """A silent citizen who was warned keeps his chat open."""


@dataclass(frozen=True, slots=True)
class Accept:
    chat_id: str


@dataclass(frozen=True, slots=True)
class Active:
    """The agent uses the keyboard or the pointer in the console while a chat waits for their acceptance."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """The agent does not want the chat that was transferred to him."""

    chat_id: str


@dataclass(frozen=True, slots=True)
class SetState:
    state: AgentState


@dataclass(frozen=True, slots=True)
class TransferChat:
    chat_id: str
    department: str | None
    agent: str | None
    note: str | None


Frame = Hello | Post | WriteNote | Typing | Read | End | Extend | Accept | Active | Refuse | SetState | TransferChat
