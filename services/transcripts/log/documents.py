"""RULES of the documents of chats and entries. No I/O.

- chats: {_id: chat_id, department, locale, name, opened_at, asked, participants, v, turn, files, bytes, closed_at,
  silence_at, silence, stayed_at, unanswered, departments, holder, left}; `participation.py` explains the last two.
- entries: {_id: <chat_id>:<id>, chat_id, seq, id, party, sender_id, at} and the optional members of an entry.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import bson
from bson.errors import BSONError

from services.common.events.chats import ChatOpened
from services.common.events.types import About, Attachment, Cause, CloseReason, Entry, Party
from services.transcripts.access import Chat
from services.transcripts.inactivity.rules import Inactivity, Last, Watched
from services.transcripts.participation import participation_of

MAX_ENTRY = 256 * 1024  # bytes of one document; what gateways accept needs less than a tenth


def document(entry: Entry) -> dict[str, Any]:
    """Return an entry as it is stored, without the members that it does not have."""
    made: dict[str, Any] = {
        "_id": f"{entry.chat_id}:{entry.id}",
        "chat_id": entry.chat_id,
        "seq": entry.seq,
        "id": entry.id,
        "party": entry.party.value,
        "sender_id": entry.sender_id,
        "at": entry.at,
    }
    if entry.name is not None:
        made["name"] = entry.name
    if entry.text is not None:
        made["text"] = entry.text
    if entry.attachment is not None:
        made["attachment"] = entry.attachment.model_dump()
    if entry.event is not None:
        made["event"] = entry.event.value
    if entry.reason is not None:
        made["reason"] = entry.reason.value
    if entry.about is not None:
        made["about"] = entry.about.model_dump(exclude_none=True)
    return made


def entry_of(found: dict[str, Any]) -> Entry:
    """Return the entry in a stored document. It is trusted and not validated again."""
    attachment, event, reason = found.get("attachment"), found.get("event"), found.get("reason")
    about = found.get("about")
    return Entry.model_construct(
        chat_id=found["chat_id"],
        seq=found["seq"],
        id=found["id"],
        party=Party(found["party"]),
        sender_id=found["sender_id"],
        name=found.get("name"),
        text=found.get("text"),
        attachment=Attachment.model_construct(**attachment) if attachment else None,
        event=Cause(event) if event else None,
        reason=CloseReason(reason) if reason else None,
        about=About.model_validate(about) if about else None,
        at=found["at"],
    )


def encodable(entry: Entry) -> bool:
    """Return whether BSON can hold the entry. One that it cannot hold would fail the whole write."""
    try:
        return len(bson.encode(document(entry))) <= MAX_ENTRY
    except (BSONError, ValueError, OverflowError):
        return False


def last_after(last: Last | None, entry: dict[str, Any]) -> Last:
    """Return how a log ends after one more entry."""
    party, event, at = Party(entry["party"]), entry.get("event"), entry["at"]
    if party is Party.SYSTEM:
        return Last(last.party if last else party, Cause(event) if event else None, at)
    return Last(party, last.event if last else None, at)


def chat_document(opened: ChatOpened) -> dict[str, Any]:
    """Return the first version of a chat's document, without `_id`."""
    return {
        "department": opened.department,
        "locale": opened.locale,
        "name": opened.name,
        "opened_at": opened.opened_at,
        "asked": bool(opened.question),
        "participants": [],
        "v": 0,
        "files": 0,
        "bytes": 0,
        "closed_at": None,
        "unanswered": True,
    }


def state_noted(v: int, agent: str | None, check_at: datetime | None, turn: int = 0) -> dict[str, Any]:
    """Return the update that records a state.

    Args:
        v: Version of the state.
        agent: The agent who has the chat, if any.
        check_at: When to check for inactivity; None: unchanged.
        turn: The attempt; 0: unchanged.
    """
    change: dict[str, Any] = {"$max": {"v": v, "turn": turn} if turn else {"v": v}}
    if check_at:
        change["$set"] = {"silence_at": check_at}
    if agent:
        change["$addToSet"] = {"participants": agent}
    return change


def chat_of(found: dict[str, Any]) -> Chat:
    """Return the chat in a stored document."""
    return Chat(
        chat_id=found["_id"],
        department=found["department"],
        locale=found["locale"],
        opened_at=found["opened_at"],
        name=found.get("name"),
        participants=frozenset(found.get("participants", ())),
        v=found.get("v", 0),
        turn=found.get("turn", 0),
        closed_at=found.get("closed_at"),
        asked=found.get("asked", False),
        watched="silence_at" in found,
        departments=frozenset((found["department"], *found.get("departments", ()))),
        participation=participation_of(found),
    )


def watched_of(found: dict[str, Any]) -> Watched:
    """Return what a stored chat says of inactivity."""
    stored = found.get("silence")
    return Watched(found["_id"], found["silence_at"], found.get("stayed_at"), Inactivity(**stored) if stored else None)
