"""What those who took part wrote down: what each tried, was shown, was refused and downloaded, and when.

Times are `time.monotonic()` of the one process that keeps the history. Texts and files are kept as digests.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CITIZEN = "citizen"
SYSTEM = "system"


def digest(content: object) -> str:
    """The same for the same bytes, or for the same value as JSON."""
    made = content if isinstance(content, bytes) else json.dumps(content, sort_keys=True).encode()
    return hashlib.sha256(made).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Message:
    """A message as somebody was given it. `said`: digest of its text or of its attachment's id; `whole`: of all."""

    seq: int
    id: str
    party: str
    said: str
    whole: str
    event: str = ""
    attachment: str = ""


def message_of(given: Mapping[str, Any]) -> Message:
    """From a frame, or from a transcript."""
    content = {k: v for k, v in given.items() if k not in ("type", "chat_id", "seq", "about")}
    attachment = (given.get("attachment") or {}).get("id", "")
    said = digest(attachment or given.get("text"))
    return Message(
        given["seq"], given["id"], given["from"], said, digest(content), given.get("event") or "", attachment
    )


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a chat to somebody: `citizen`, or an agent by their username."""

    chat: str
    who: str
    at: float = field(default_factory=time.monotonic, kw_only=True)


@dataclass(frozen=True, slots=True)
class Tried(Event):
    """Wrote a message, and will send it until it has a receipt or is refused."""

    id: str
    said: str


@dataclass(frozen=True, slots=True)
class Shown(Event):
    """Was shown a message, on this connection; their own: that is the receipt."""

    connection: int
    message: Message


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """Was told for good that the message was not taken."""

    id: str
    code: str


@dataclass(frozen=True, slots=True)
class Connected(Event):
    """Was welcomed."""

    connection: int


@dataclass(frozen=True, slots=True)
class Lost(Event):
    """The connection ended, with this close code if there was one."""

    connection: int
    code: int | None


@dataclass(frozen=True, slots=True)
class Dot(Event):
    """Was shown this colour, and this agent's name."""

    colour: str
    agent: str


@dataclass(frozen=True, slots=True)
class Left(Event):
    """The chat went from this agent to somebody else, or back to the queue."""


@dataclass(frozen=True, slots=True)
class Ending(Event):
    """Asked for the end of the chat."""


@dataclass(frozen=True, slots=True)
class Closed(Event):
    """Was told that the chat is over."""

    reason: str


@dataclass(frozen=True, slots=True)
class Downloaded(Event):
    """Was given the transcript that they asked for at `asked`; `final`: after the run, with everything over."""

    asked: float
    messages: tuple[Message, ...]
    closed: bool
    final: bool = False


@dataclass(frozen=True, slots=True)
class Uploaded(Event):
    """An attachment was taken, under this id."""

    attachment: str
    digest: str


@dataclass(frozen=True, slots=True)
class Fetched(Event):
    """Was given an attachment's bytes; `digest` empty: they could not get them."""

    attachment: str
    digest: str


History = Sequence[Event]


def write(history: History, file: Path) -> None:
    """One event a line, as JSON, in the order in which they happened."""
    with file.open("w") as lines:
        for event in history:
            lines.write(json.dumps({"what": type(event).__name__.lower(), **dataclasses.asdict(event)}) + "\n")
