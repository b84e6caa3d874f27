"""RULES of the browser's protocol: frames in, frames out, close codes. No I/O.

Frames from a browser are rebuilt from the fields that are known here; nothing else travels on. orjson refuses what JSON
does not allow and lone surrogates besides, which could not be stored (RFC 8259 §8.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum
from typing import Any, Literal

import orjson

from services.contracts import AgentState, Attachment, ChatStatus, Entry, Note, is_id
from services.gateway.verbs import (
    Accept,
    End,
    Frame,
    Hello,
    Malformed,
    Post,
    Read,
    Refused,
    SetState,
    TransferChat,
    Typing,
    WriteNote,
)
from services.internal import AgentView, ChatView

MAX_TEXT = 4_000  # Unicode code points
MAX_CHATS_IN_HELLO = 100
MAX_SEQ = 2**31


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


CITIZEN_FRAMES = frozenset({"hello", "message", "typing", "read", "close"})
AGENT_FRAMES = CITIZEN_FRAMES | {"accept", "state", "transfer", "note"}


def parse(data: str | bytes, party: Literal["citizen", "agent"]) -> Frame | Refused:
    """The frame in this text. `Refused` for a known frame with wrong values; raises `Malformed` for anything else."""
    try:
        raw = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise Malformed from error
    if not isinstance(raw, dict):
        raise Malformed
    kind = raw.get("type")
    if not isinstance(kind, str) or kind not in (CITIZEN_FRAMES if party == "citizen" else AGENT_FRAMES):
        raise Malformed
    if kind == "hello":
        return _hello(raw, party)
    chat_id = raw.get("chat_id") if party == "agent" else None
    if party == "agent" and kind != "state" and not is_id(chat_id):
        return Refused("invalid", _given_id(raw))
    return _BUILDERS[kind](raw, chat_id)


def _given_id(raw: Mapping[str, Any]) -> str | None:
    given = raw.get("id")
    return given if isinstance(given, str) and len(given) <= 100 else None


def _hello(raw: Mapping[str, Any], party: str) -> Frame | Refused:
    if party == "citizen":
        token, after = raw.get("token"), raw.get("after", 0)
        if not _is_seq(after):
            return Refused("invalid")
        return Hello(token=token if isinstance(token, str) and len(token) <= 2_000 else "", after=after)
    chats = raw.get("chats", {})
    if not isinstance(chats, dict) or len(chats) > MAX_CHATS_IN_HELLO:
        return Refused("invalid")
    if not all(is_id(c) and _is_seq(after) for c, after in chats.items()):
        return Refused("invalid")
    return Hello(chats=chats)


def _is_seq(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SEQ


def text_problem(text: object) -> str | None:
    """Why this cannot be a text, as an error code; None when it can. 1 to 4,000 code points, kept unchanged."""
    if not isinstance(text, str) or not text or "\0" in text:
        return "invalid"
    return "too_long" if len(text) > MAX_TEXT else None


def _message(raw: Mapping[str, Any], chat_id: str | None) -> Frame | Refused:
    given = _given_id(raw)
    id_ = given.lower() if given else None
    if not is_id(id_) or ("text" in raw) == ("attachment" in raw):
        return Refused("invalid", given, chat_id)
    assert id_ is not None
    if "attachment" in raw:
        attachment = raw["attachment"]
        if not isinstance(attachment, str) or not is_id(attachment.lower()):
            return Refused("unknown_attachment" if isinstance(attachment, str) else "invalid", given, chat_id)
        return Post(id_, attachment=attachment.lower(), chat_id=chat_id)
    problem = text_problem(raw["text"])
    return Refused(problem, given, chat_id) if problem else Post(id_, text=raw["text"], chat_id=chat_id)


def _note(raw: Mapping[str, Any], chat_id: str | None) -> Frame | Refused:
    given = _given_id(raw)
    id_ = given.lower() if given else None
    problem = text_problem(raw.get("text"))
    if not is_id(id_) or chat_id is None or problem:
        return Refused(problem or "invalid", given, chat_id)
    assert id_ is not None
    return WriteNote(id_, raw["text"], chat_id)


def _typing(raw: Mapping[str, Any], chat_id: str | None) -> Frame | Refused:
    active = raw.get("active")
    return Typing(active, chat_id) if isinstance(active, bool) else Refused("invalid", None, chat_id)


def _read(raw: Mapping[str, Any], chat_id: str | None) -> Frame | Refused:
    seq = raw.get("seq")
    return Read(seq, chat_id) if isinstance(seq, int) and _is_seq(seq) else Refused("invalid", None, chat_id)


def _end(_: Mapping[str, Any], chat_id: str | None) -> Frame | Refused:
    return End(chat_id)


def _accept(_: Mapping[str, Any], chat_id: str | None) -> Frame | Refused:
    return Accept(chat_id) if chat_id else Refused("invalid")


def _state(raw: Mapping[str, Any], _: str | None) -> Frame | Refused:
    state = raw.get("state")
    return SetState(AgentState(state)) if state in ("available", "paused") else Refused("invalid")


def _transfer(raw: Mapping[str, Any], chat_id: str | None) -> Frame | Refused:
    to, note = raw.get("to"), raw.get("note")
    if chat_id is None or not isinstance(to, dict) or (note not in (None, "") and text_problem(note)):
        return Refused("invalid", None, chat_id)
    department, agent = to.get("department"), to.get("agent")
    if (isinstance(department, str)) == (isinstance(agent, str)):
        return Refused("invalid", None, chat_id)
    return TransferChat(chat_id, department, agent, note or None)


_BUILDERS = {
    "message": _message,
    "note": _note,
    "typing": _typing,
    "read": _read,
    "close": _end,
    "accept": _accept,
    "state": _state,
    "transfer": _transfer,
}


# ── frames out ───────────────────────────────────────────────────────────────────────────────────────────────────────


def frame(kind: str, **members: Any) -> bytes:
    """A frame as it goes to a browser (JSON in UTF-8)."""
    return orjson.dumps({"type": kind, **members})


def stamp(at: datetime) -> str:
    """RFC 3339 in UTC with milliseconds: `2026-11-23T08:00:00.123Z`."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


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
    shown["at"] = stamp(entry.at)
    return orjson.dumps(shown)


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


def status(state: ChatStatus, position: int | None, agent_name: str | None) -> bytes:
    """The dot, with the position while waiting and the agent while connected."""
    waiting, assigned = state is ChatStatus.WAITING, state is ChatStatus.ASSIGNED
    return frame(
        "status",
        dot=DOTS[state],
        position=position if waiting else None,
        agent={"name": agent_name} if assigned else None,
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


def chat_for_agent(chat: ChatView, last_seq: int) -> dict[str, Any]:
    """A chat as an agent gets it in `assigned` and `welcome`."""
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
