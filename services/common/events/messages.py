"""Events of what is said in a chat, and of typing, reading and inactivity. No I/O.

Typing, reading and the citizen's presence go between gateways only and are never stored.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from services.common.events.event import Event
from services.common.events.types import Entry, Note, Party, RefusalCode, Sender, Whole


class MessagePosted(Event):
    """A participant said something; not stored yet. Either `text` or `attachment_id` is there.

    `turn`: an agent said it who has the chat in this turn, and the gateway has not seen the `assigned` entry of that
    turn yet: to say something is to accept, so the entry goes before the message.
    """

    type: Literal["message.posted"] = "message.posted"
    chat_id: str
    id: str
    sender: Sender
    text: str | None = None
    attachment_id: str | None = None
    turn: Whole | None = None


class MessageStored(Event):
    """This entry is stored durably; told again whenever the same id is posted again."""

    type: Literal["message.stored"] = "message.stored"
    chat_id: str
    entry: Entry


class MessagesPosted(Event):
    """Several `message.posted` of one gateway in one broker message, in their order. `traces`: the traceparent of each.

    Told instead of single ones where `FACTS_TOGETHER` is on; each counts as if it had come alone.
    """

    type: Literal["messages.posted"] = "messages.posted"
    posted: list[MessagePosted]
    traces: list[str]


class MessagesStored(Event):
    """Several `message.stored` in one broker message, those of a chat in the order of seq; `chat_id` is of the first.

    Told instead of single ones where `FACTS_TOGETHER` is on. A gateway gets it for the sake of any of its chats and
    leaves the others alone.
    """

    type: Literal["messages.stored"] = "messages.stored"
    chat_id: str
    entries: list[Entry]


class MessageRefused(Event):
    """This message (or close) of this sender is not, and will never be, in the log."""

    type: Literal["message.refused"] = "message.refused"
    chat_id: str
    id: str
    sender_id: str
    code: RefusalCode


class NotePosted(Event):
    """An agent wrote an internal note; never for the citizen."""

    type: Literal["note.posted"] = "note.posted"
    chat_id: str
    id: str
    agent_id: str
    agent_name: str
    text: str


class NoteStored(Event):
    type: Literal["note.stored"] = "note.stored"
    chat_id: str
    note: Note


class TypingShown(Event):
    type: Literal["typing.shown"] = "typing.shown"
    chat_id: str
    party: Party
    sender_id: str
    active: bool


class ReadShown(Event):
    type: Literal["read.shown"] = "read.shown"
    chat_id: str
    party: Party
    sender_id: str
    seq: Whole


class CitizenPresence(Event):
    """Whether a citizen has a connection to this gateway. With `asked`, a gateway wants to be told."""

    type: Literal["citizen.presence"] = "citizen.presence"
    chat_id: str
    incarnation: str
    online: bool
    asked: bool = False


class CitizenSilent(Event):
    """The citizen of an assigned chat has said nothing for long: warning 1 or 2 before it is closed at `closes_at`.

    Told by transcripts, which knows the log; told again while it holds. `since`: when the citizen was last spoken to.
    """

    type: Literal["citizen.silent"] = "citizen.silent"
    chat_id: str
    warning: Whole
    since: datetime
    closes_at: datetime


class CitizenStayed(Event):
    """The citizen asked to keep the chat open. Told by a gateway; heard by transcripts and the other gateways."""

    type: Literal["citizen.stayed"] = "citizen.stayed"
    chat_id: str
