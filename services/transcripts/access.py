"""RULES of who may reach a chat's files and transcript, by what is kept of the chat. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.tokens import Actor


@dataclass(frozen=True, slots=True)
class Chat:
    """What is kept of a chat beside its log. `participants`: agents who take or took part. `v`, `turn`: the highest
    of the states heard.

    `asked`: it was opened with a question. `watched`: it is looked at for the citizen's silence.
    """

    chat_id: str
    department: str
    locale: str
    opened_at: datetime
    name: str | None = None
    participants: frozenset[str] = frozenset()
    v: int = 0
    turn: int = 0
    closed_at: datetime | None = None
    asked: bool = False
    watched: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    code: str
    detail: str


def refusal(actor: Actor | None, chat_id: str, chat: Chat | None, now: datetime, life: timedelta) -> Refusal | None:
    """Why this actor may not, or None when he may.

    A citizen reaches his own chat alone, until `life` after its end; an agent those that he takes or took part in; a
    supervisor all.
    """
    if actor is None:
        return Refusal(401, "unauthenticated", "Say who asks.")
    if actor.party == "citizen" and actor.id != chat_id:
        return Refusal(403, "forbidden", "This token is for another conversation.")
    if chat is None:
        return Refusal(404, "no_such_chat", "There is no such conversation.")
    if actor.party == "citizen":
        expired = chat.closed_at is not None and now > chat.closed_at + life
        return Refusal(401, "unauthenticated", "The access to this conversation has expired.") if expired else None
    if actor.party == "agent" and (actor.supervisor or actor.id in chat.participants):
        return None
    return Refusal(403, "forbidden", "Only those who took part in this conversation may see it.")


def uploader_of(actor: Actor) -> str:
    """As whom this actor sends messages: `citizen`, or the agent's id."""
    return "citizen" if actor.party == "citizen" else actor.id
