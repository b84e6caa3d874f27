"""RULES of parsing: a text becomes a frame, a refusal, or is malformed. No I/O.

Frames are rebuilt from known members; nothing else is passed on. orjson rejects what JSON does not allow, and lone
surrogates, which could not be stored (RFC 8259 §8.2).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import orjson
from pydantic import ValidationError

from services.common.events.types import AgentState, Block, is_id
from services.gateway.websocket.frames.client import (
    Accept,
    Active,
    End,
    Extend,
    Frame,
    Hello,
    Malformed,
    Post,
    Read,
    Refuse,
    Refused,
    SetState,
    TransferChat,
    Typing,
    WriteNote,
)

MAX_TEXT = 4_000  # Unicode code points
MAX_CHATS_IN_HELLO = 100
MAX_SEQ = 2**31
_BOTH = frozenset({"hello", "message", "typing", "read", "close"})
CITIZEN_FRAMES = _BOTH | {"extend"}
AGENT_FRAMES = _BOTH | {"accept", "active", "refuse", "state", "transfer", "note"}
_WITHOUT_CHAT = frozenset({"state", "active"})


def parse(data: str | bytes, party: Literal["citizen", "agent"]) -> Frame | Refused:
    """Return the frame in this text, or `Refused` for a known frame with wrong values.

    Raises:
        Malformed: The text is not a frame of the protocol.
    """
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
    if party == "agent" and kind not in _WITHOUT_CHAT and not is_id(chat_id):
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
    """Return the error code of an invalid text; None for a valid one: 1 to 4,000 code points, kept unchanged."""
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


def _end(raw: Mapping[str, Any], chat_id: str | None) -> Frame | Refused:
    given = raw.get("block") if chat_id else None
    if given is None:
        return End(chat_id)
    try:
        block = Block.model_validate(given, strict=True)
    except ValidationError:
        return Refused("invalid", None, chat_id)
    reason = block.reason.strip()
    return Refused("invalid", None, chat_id) if not reason or "\0" in reason else End(chat_id, block)


def _extend(_: Mapping[str, Any], __: str | None) -> Frame | Refused:
    return Extend()


def _accept(_: Mapping[str, Any], chat_id: str | None) -> Frame | Refused:
    return Accept(chat_id) if chat_id else Refused("invalid")


def _active(_: Mapping[str, Any], __: str | None) -> Frame | Refused:
    return Active()


def _refuse(_: Mapping[str, Any], chat_id: str | None) -> Frame | Refused:
    return Refuse(chat_id) if chat_id else Refused("invalid")


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
    "extend": _extend,
    "accept": _accept,
    "active": _active,
    "refuse": _refuse,
    "state": _state,
    "transfer": _transfer,
}
