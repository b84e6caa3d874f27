"""The history of a run: what the participants did and were shown, and what the services published.

The workload writes the history, the checker reads it. Times are `time.monotonic()` of the one process that keeps the
history; the published events' own times are the wall clock of the machine that all processes share. Texts and files are
kept as digests.
"""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from services.common.events import event as events
from services.common.events.codec import decode
from services.common.events.types import Entry
from services.common.messaging import topology

CITIZEN = "citizen"
SYSTEM = "system"


def digest(content: object) -> str:
    """The same for the same bytes, or for the same value as JSON."""
    made = content if isinstance(content, bytes) else json.dumps(content, sort_keys=True).encode()
    return hashlib.sha256(made).hexdigest()[:24]


# ── what participants do and are shown ───────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Message:
    """A message as a participant received it.

    `content`: digest of its text or of its attachment's id; `whole`: digest of all members.
    """

    seq: int
    id: str
    party: str
    content: str
    whole: str
    event: str = ""
    attachment: str = ""
    at: float = 0.0
    """Seconds since the epoch, as the log has it."""


def message_of(given: Mapping[str, Any]) -> Message:
    """From a frame, or from a transcript."""
    members = {k: v for k, v in given.items() if k not in ("type", "chat_id", "seq", "about")}
    attachment = (given.get("attachment") or {}).get("id", "")
    content = digest(attachment or given.get("text"))
    at = datetime.fromisoformat(given["at"]).timestamp()
    event = given.get("event") or ""
    return Message(given["seq"], given["id"], given["from"], content, digest(members), event, attachment, at)


def message_of_entry(entry: Entry) -> Message:
    """From an entry of a log. `posted_at` is left out: it is published once and not stored."""
    whole = digest(entry.model_dump(mode="json", exclude={"posted_at"}))
    event = entry.event.value if entry.event else ""
    return Message(entry.seq, entry.id, entry.party, digest(entry.text), whole, event, "", entry.at.timestamp())


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a participant (`citizen`, or an agent's username) in a chat; `chat` is empty outside of one."""

    chat: str
    who: str
    at: float = field(default_factory=time.monotonic, kw_only=True)


@dataclass(frozen=True, slots=True)
class Pressed(Event):
    """A citizen pressed the button at `began`; `status` of the answer, 0 when none came. The chat that began, if any.

    `key`: the Idempotency-Key. Presses with the same key are one visit of one citizen. `question`: digest of the
    question that came with the press, the first message of the chat.
    """

    key: str
    began: float
    status: int
    question: str = ""


@dataclass(frozen=True, slots=True)
class Sent(Event):
    """Wrote a message, which is sent until it has a receipt or is refused."""

    id: str
    content: str


@dataclass(frozen=True, slots=True)
class Shown(Event):
    """Was shown a message, on this connection. To its sender this is the receipt."""

    connection: int
    message: Message


@dataclass(frozen=True, slots=True)
class ErrorShown(Event):
    """Received the frame `error` about this message, or about no message."""

    id: str
    code: str


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """A message was rejected for good."""

    id: str
    code: str


@dataclass(frozen=True, slots=True)
class Connected(Event):
    """Received the welcome of a new connection."""

    connection: int


@dataclass(frozen=True, slots=True)
class Disconnected(Event):
    """The connection ended, with this close code if there was one."""

    connection: int
    code: int | None


@dataclass(frozen=True, slots=True)
class StatusShown(Event):
    """Was shown this dot, this agent's name, and this position in the department queue."""

    dot: str
    agent: str
    position: int | None = None


@dataclass(frozen=True, slots=True)
class Unassigned(Event):
    """The chat went from this agent to another one or back to the queue, or the agent left it."""


@dataclass(frozen=True, slots=True)
class CloseRequested(Event):
    """Asked for the end of the chat."""


@dataclass(frozen=True, slots=True)
class Closed(Event):
    """Got the end of the chat."""

    reason: str


@dataclass(frozen=True, slots=True)
class Downloaded(Event):
    """Received the transcript that was requested at `asked`; `final`: after the run, when every chat has ended."""

    asked: float
    messages: tuple[Message, ...]
    closed: bool
    final: bool = False


@dataclass(frozen=True, slots=True)
class Uploaded(Event):
    """An attachment was stored, under this id."""

    attachment: str
    digest: str


@dataclass(frozen=True, slots=True)
class Fetched(Event):
    """Received an attachment's bytes; `digest` is empty when they could not be had."""

    attachment: str
    digest: str


@dataclass(frozen=True, slots=True)
class Answered(Event):
    """An HTTP request that began at `began` was answered with this status, 0 when no answer came."""

    request: str
    began: float
    status: int


@dataclass(frozen=True, slots=True)
class ButtonShown(Event):
    """A page was shown the button in this colour."""

    colour: str


History = Sequence[Event]


class Recorder:
    """The participants' history while it is being made. `keeps`: whether it is kept; a run of an hour needs none."""

    def __init__(self, keeps: bool = True) -> None:
        self.events: list[Event] = []
        self._keeps = keeps
        self._connections = 0

    def record(self, event: Event) -> None:
        if self._keeps:
            self.events.append(event)

    def new_connection(self) -> int:
        """The number of a new connection."""
        self._connections += 1
        return self._connections


def write(history: History, file: Path) -> None:
    """One event a line, as JSON, in the order in which they happened."""
    with file.open("w") as lines:
        for event in history:
            lines.write(json.dumps({"what": type(event).__name__.lower(), **dataclasses.asdict(event)}) + "\n")


@dataclass
class Visit:
    """A citizen from their first press: the chat that began, and what was shown of it."""

    presses: list[Pressed] = field(default_factory=list)
    chat: str = ""
    statuses: list[StatusShown | Closed] = field(default_factory=list)
    disconnects: list[float] = field(default_factory=list)

    @property
    def served_at(self) -> float | None:
        """When the dot was green for the first time."""
        return next((s.at for s in self.statuses if isinstance(s, StatusShown) and s.dot == "green"), None)

    @property
    def closed(self) -> Closed | None:
        """The end of the chat, as the citizen got it."""
        return next((s for s in self.statuses if isinstance(s, Closed)), None)

    @property
    def lost_agent(self) -> bool:
        """Whether the dot was grey again after it had been green."""
        dots = [s.dot for s in self.statuses if isinstance(s, StatusShown)]
        return "green" in dots and "grey" in dots[dots.index("green") :]


def visits(history: History) -> list[Visit]:
    """The visits of the citizens, in the order of their first presses."""
    found: dict[str, Visit] = {}
    chats: dict[str, Visit] = {}
    for event in history:
        if isinstance(event, Pressed):
            visit = found.setdefault(event.key, Visit())
            visit.presses.append(event)
            if event.chat:
                visit.chat = event.chat
                chats[event.chat] = visit
        elif event.who == CITIZEN and (visited := chats.get(event.chat)):
            if isinstance(event, StatusShown | Closed):
                visited.statuses.append(event)
            elif isinstance(event, Disconnected) and not visited.closed:
                visited.disconnects.append(event.at)
    return list(found.values())


# ── what the services publish ────────────────────────────────────────────────────────────────────────────────────────

KEYS = (
    "chat.opened",
    "chat.state.*",
    "chat.accepted",
    "close.requested",
    "citizen.arrived",
    "place.*",
    "places.changed",
    "queue.changed.*",
    "button.changed.*",
    "agent.changed.*",
    "accept.overdue",
    "transfer.refused",
)
"""Routing keys of the events about chats, slots, agents and buttons."""


@dataclass(frozen=True)
class Published:
    """An event, and when the recorder received it."""

    at: float
    event: events.Event


PublishedHistory = Sequence[Published]


class EventRecorder:
    """Receives every event about chats, slots, agents and buttons, in the order in which the broker delivers it."""

    def __init__(self) -> None:
        self.published: list[Published] = []
        self._offset = time.time() - time.monotonic()

    async def handle(self, message: AbstractIncomingMessage) -> None:
        self.published.append(Published(time.monotonic(), decode(message.body)))

    @property
    def clock_step(self) -> float:
        """Seconds by which the wall clock was moved since the beginning: the events' own times are good to this."""
        return abs(time.time() - time.monotonic() - self._offset)

    async def quiet(self, seconds: float = 1.0, wait: float = 60.0) -> None:
        """Returns when no chat's state has changed for so long."""
        end = time.monotonic() + wait
        while time.monotonic() < end:
            last = next((p.at for p in reversed(self.published) if p.event.type == "chat.state"), 0.0)
            if time.monotonic() - last >= seconds:
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def recording_events(url: str) -> AsyncIterator[EventRecorder]:
    """A recorder on a connection and a queue of its own while the context is open; the exchange must be there."""
    recorder = EventRecorder()
    connection = await aio_pika.connect(url, client_properties={"connection_name": "recorder"})
    async with connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        for key in KEYS:
            await queue.bind(topology.EXCHANGE, key)
        await queue.consume(recorder.handle, no_ack=True)
        yield recorder
