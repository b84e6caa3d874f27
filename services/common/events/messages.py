"""Events of messages in a chat, and of typing, reading, presence and inactivity. No I/O.

Typing, reading and the citizen's presence go between gateways only and are never stored.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from services.common.events.event import Event
from services.common.events.types import Entry, Note, Party, RefusalCode, Sender, Whole


class MessagePosted(Event):
    """A participant sent a message, which is not stored yet. It has either `text` or `attachment_id`.

    `turn`: the agent who sent it has the chat in this attempt, and the gateway has not seen the `assigned` entry of the
    attempt yet. Sending a message accepts the chat, so that entry is stored before the message.
    """

    type: Literal["message.posted"] = "message.posted"
    chat_id: str
    id: str
    sender: Sender
    text: str | None = None
    attachment_id: str | None = None
    turn: Whole | None = None


class MessageStored(Event):
    """This entry is stored durably. Published again whenever the same id is posted again."""

    type: Literal["message.stored"] = "message.stored"
    chat_id: str
    entry: Entry


class MessagesPosted(Event):
    """Several `message.posted` of one gateway in one broker message, in order. `traces`: the traceparent of each.

    Published instead of single ones where `FACTS_TOGETHER` is on. Each counts as if it had come alone.
    """

    type: Literal["messages.posted"] = "messages.posted"
    posted: list[MessagePosted]
    traces: list[str]


class MessagesStored(Event):
    """Several `message.stored` in one broker message, those of a chat in the order of seq.

    `chat_id` is the first one's.

    Published instead of single ones where `FACTS_TOGETHER` is on. A gateway that gets it because of one of its chats
    ignores the others.
    """

    type: Literal["messages.stored"] = "messages.stored"
    chat_id: str
    entries: list[Entry]


class MessageRefused(Event):
    """This message (or close) of this sender is not in the log and never will be."""

    type: Literal["message.refused"] = "message.refused"
    chat_id: str
    id: str
    sender_id: str
    code: RefusalCode


class NotePosted(Event):
    """An agent wrote an internal note, which citizens never see."""

    type: Literal["note.posted"] = "note.posted"
    chat_id: str
    id: str
    agent_id: str
    agent_name: str
    text: str


class NoteStored(Event):
    """This internal note is stored."""

    type: Literal["note.stored"] = "note.stored"
    chat_id: str
    note: Note


class TypingShown(Event):
    """A participant started or stopped typing."""

    type: Literal["typing.shown"] = "typing.shown"
    chat_id: str
    party: Party
    sender_id: str
    active: bool


class ReadShown(Event):
    """A participant has read the log up to this sequence number."""

    type: Literal["read.shown"] = "read.shown"
    chat_id: str
    party: Party
    sender_id: str
    seq: Whole


class CitizenPresence(Event):
    """Whether a citizen has a connection to this gateway. `asked`: the gateway asks the others for the same.

    `name`: the citizen's name, as far as this gateway knows it. A consumer before version 2.0 ignores it.
    """

    type: Literal["citizen.presence"] = "citizen.presence"
    chat_id: str
    incarnation: str
    online: bool
    asked: bool = False
    name: str | None = Field(default=None, max_length=200)


class CitizenSilent(Event):
    """The citizen of an assigned chat is inactive: warning 1 or 2 before the chat is closed at `closes_at`.

    Published by transcripts, which has the log, and repeated while it holds. `since`: when the inactivity began.
    """

    type: Literal["citizen.silent"] = "citizen.silent"
    chat_id: str
    warning: Whole
    since: datetime
    closes_at: datetime


class CitizenStayed(Event):
    """The citizen asked to keep the chat open.

    Published by a gateway; handled by transcripts and the other gateways.
    """

    type: Literal["citizen.stayed"] = "citizen.stayed"
    chat_id: str
