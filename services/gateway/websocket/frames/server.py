"""RULES of the frames that browsers receive, and close codes. No I/O. `parser.py` has the frames that browsers send."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import Any

import orjson

from services.common.events.types import Attachment, ChatStatus, Entry, Note
from services.common.internal_api.presence import AgentView
from services.common.internal_api.routing import ChatView


class Close(IntEnum):
    """Close codes. `web/shared/close-codes.js` says after which of them a browser reconnects."""

    ENDED = 1000
    TOO_BIG = 1009
    RESTART = 1012
    BAD_FRAME = 4400
    UNAUTHENTICATED = 4401
    FORBIDDEN_ORIGIN = 4403
    NO_SUCH_CHAT = 4404
    TOO_MANY_CONNECTIONS = 4409
    TOO_MANY_FRAMES = 4429
    TOO_SLOW = 4430


def frame(kind: str, **members: Any) -> bytes:
    """Return a frame for a browser (JSON in UTF-8)."""
    return orjson.dumps({"type": kind, **members})


def stamp(at: datetime) -> str:
    """Return a time as RFC 3339 in UTC with milliseconds: `2026-11-23T08:00:00.123Z`."""
    return at.isoformat(timespec="milliseconds")[:23] + "Z"


def message(entry: Entry, chat_id: str | None = None) -> bytes:
    """Return the `message` frame of an entry. A frame for an agent names the chat."""
    shown: dict[str, Any] = {"type": "message"}
    if chat_id:
        shown["chat_id"] = chat_id
    shown |= {"seq": entry.seq, "id": entry.id, "from": entry.party.value}
    if entry.name is not None:
        shown["name"] = entry.name
    if entry.attachment is not None:
        shown["attachment"] = attachment(entry.attachment)
    else:
        shown["text"] = entry.text
    if entry.event is not None:
        shown["event"] = entry.event.value
        if chat_id:
            shown["about"] = about(entry)
    shown["at"] = stamp(entry.at)
    return orjson.dumps(shown)


def about(entry: Entry) -> dict[str, Any]:
    """Return what a system entry is about, from which the console makes its text.

    Members without a value are left out.
    """
    told = entry.about.model_dump(exclude={"turn"}, exclude_none=True) if entry.about else {}
    return {**told, "reason": entry.reason.value} if entry.reason else told


def attachment(file: Attachment) -> dict[str, Any]:
    """Return an attachment as frames describe it."""
    return {"id": file.id, "name": file.name, "size": file.size, "content_type": file.content_type}


def note(written: Note) -> bytes:
    """Return the `note` frame of an internal note."""
    return frame(
        "note",
        chat_id=written.chat_id,
        id=written.id,
        agent_id=written.agent_id,
        name=written.name,
        text=written.text,
        at=stamp(written.at),
    )


DOTS = {ChatStatus.WAITING: "grey", ChatStatus.ASSIGNED: "green", ChatStatus.CLOSED: "red"}


def dot(state: ChatStatus, offered: bool) -> str:
    """Return the colour of a citizen's dot. `offered`: the chat is with an agent who has not accepted it."""
    return "grey" if offered else DOTS[state]


def status(
    state: ChatStatus, position: int | None, wait: int | None, agent_name: str | None, offered: bool = False
) -> bytes:
    """Return the `status` frame: the dot, position and wait while waiting, the agent while connected.

    The wait is in seconds, estimated from recent history.
    """
    waiting, connected = state is ChatStatus.WAITING, state is ChatStatus.ASSIGNED and not offered
    return frame(
        "status",
        dot=dot(state, offered),
        position=position if waiting else None,
        wait=wait if waiting else None,
        agent={"name": agent_name} if connected else None,
        **({"assigned": True} if offered else {}),
    )


def inactive(warning: int, closes_at: datetime | None, seconds: int | None, chat_id: str | None = None) -> bytes:
    """Return the `inactive` frame.

    Args:
        warning: 1 or 2; 0 when the citizen is active (again).
        closes_at: When the chat will be closed.
        seconds: Seconds until then.
        chat_id: The chat, in a frame for an agent.
    """
    named = {"chat_id": chat_id} if chat_id else {}
    return frame(
        "inactive", **named, warning=warning, closes_at=stamp(closes_at) if closes_at else None, seconds=seconds
    )


ERRORS = {
    "invalid": "This frame is not as documented; mend it before sending it again.",
    "too_long": "A text has at most 4,000 characters; send it in parts.",
    "unknown_attachment": "There is no such attachment in this chat; upload the file again.",
    "chat_closed": "The chat has ended; nothing can be added to it.",
    "not_yours": "This chat is not, or no longer, yours.",
    "rate_limited": "Too much at once; wait a few seconds, then send this message again.",
    "unavailable": "It could not be done just now; try again in a few seconds.",
}


def error(code: str, id_: str | None = None, chat_id: str | None = None, **members: Any) -> bytes:
    """Return the `error` frame of a refused frame. `code` is stable; `message` says what to do."""
    shown: dict[str, Any] = {"type": "error", "code": code, "message": ERRORS[code]}
    if id_ is not None:
        shown["id"] = id_
    if chat_id is not None:
        shown["chat_id"] = chat_id
    return orjson.dumps({**shown, **members})


ADDED = ("active",)
"""Frames of agents that this gateway accepts beyond version 1.

A page sends them only to a gateway that names them: an earlier release closes the connection with 4400.
"""


def chat_for_agent(chat: ChatView, last_seq: int, now: datetime | None = None) -> dict[str, Any]:
    """Return a chat as `assigned` and `welcome` describe it. `now` is used for the seconds left to accept it."""
    left = (chat.accept_by - now).total_seconds() if chat.accept_by and now else None
    return {
        "chat_id": chat.chat_id,
        "department": chat.department,
        "locale": chat.locale,
        "name": chat.name,
        "question": chat.question,
        "form": chat.form.model_dump() if chat.form else None,
        "opened_at": stamp(chat.opened_at),
        "last_seq": last_seq,
        "accepted": chat.accepted,
        "accept_seconds": None if left is None else max(0, round(left)),
        "transferred": chat.transferred,
        "returned": chat.returned.value if chat.returned else None,
    }


def agent(view: AgentView) -> dict[str, Any]:
    """Return an agent as their own page sees them."""
    return {
        "id": view.id,
        "name": view.name,
        "departments": view.departments,
        "capacity": view.capacity,
        "state": view.state.value,
    }
