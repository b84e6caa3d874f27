"""RULES of the frames that browsers are sent, and close codes. No I/O. What browsers send is in `parser.py`."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import Any

import orjson

from services.common.events.types import Attachment, ChatStatus, Entry, Note
from services.common.internal_api.presence import AgentView
from services.common.internal_api.routing import ChatView


class Close(IntEnum):
    """Close codes; `web/lib/close-codes.js` says which of them a browser tries again after."""

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
    """A frame as it goes to a browser (JSON in UTF-8)."""
    return orjson.dumps({"type": kind, **members})


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-23T08:00:00.123Z`."""
    return at.isoformat(timespec="milliseconds")[:23] + "Z"


def message(entry: Entry, chat_id: str | None = None) -> bytes:
    """An entry as participants are shown it; an agent's frame names the chat."""
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
    """What a system entry is about, from which a console makes its own words; members without a value left out."""
    told = entry.about.model_dump(exclude={"turn"}, exclude_none=True) if entry.about else {}
    return {**told, "reason": entry.reason.value} if entry.reason else told


def attachment(file: Attachment) -> dict[str, Any]:
    return {"id": file.id, "name": file.name, "size": file.size, "content_type": file.content_type}


def note(written: Note) -> bytes:
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
    """The colour of a citizen's dot. `offered`: an agent has the chat who has not accepted it."""
    return "grey" if offered else DOTS[state]


def status(
    state: ChatStatus, position: int | None, wait: int | None, agent_name: str | None, offered: bool = False
) -> bytes:
    """The dot, with position and wait (seconds, by recent history) while waiting and the agent while connected."""
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
    """The citizen is silent and the chat will be closed; warning 0: he is not, or no longer. `seconds`: until then."""
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
    """The frame was refused: `code` is stable, `message` says what to do."""
    shown: dict[str, Any] = {"type": "error", "code": code, "message": ERRORS[code]}
    if id_ is not None:
        shown["id"] = id_
    if chat_id is not None:
        shown["chat_id"] = chat_id
    return orjson.dumps({**shown, **members})


ADDED = ("active",)
"""Frames that this gateway takes from agents beyond version 1: a page sends them only to one that names them, for to a
gateway of an earlier release they are no frames of the protocol (4400)."""


def chat_for_agent(chat: ChatView, last_seq: int, now: datetime | None = None) -> dict[str, Any]:
    """Describe a chat as an agent gets it in `assigned` and `welcome`; `now`, to say how long it can be accepted."""
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
    """An agent as he sees himself."""
    return {
        "id": view.id,
        "name": view.name,
        "departments": view.departments,
        "capacity": view.capacity,
        "state": view.state.value,
    }
