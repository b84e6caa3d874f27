"""RULES of access to a chat's files and transcript. No I/O."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from services.common.http.tokens import Actor
from services.transcripts.participation import Participation


@dataclass(frozen=True, slots=True)
class Chat:
    """What is kept of a chat beside its log. `participants`: agents who take or took part. `v`, `turn`: the highest
    of the states heard.

    `asked`: it was opened with a question. `watched`: it is looked at for the citizen's silence. `departments`: all
    that it is or was in. `tenure`: None for a chat of which no state was heard since version 1.2.
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
    departments: frozenset[str] = frozenset()
    tenure: Participation | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Reach:
    """What an actor may do with a chat's transcript, files and notes.

    `former`: they left the chat, and read what is in its log up to the entry `left` (None: that is not known, up to
    what they said last). `adds`: they may upload files.
    """

    former: bool = False
    left: str | None = None
    adds: bool = False


def reach(
    actor: Actor | None, chat_id: str, chat: Chat | None, now: datetime, life: timedelta, former: timedelta
) -> Reach | Refusal:
    """What this actor may do, or why they may not do anything.

    - A citizen reaches the own chat alone, until `life` after its end.
    - The agent who has the chat reads and adds; after its end they read for `former`.
    - A supervisor reads the chats of their departments: those that the chat is in or was in.
    - An agent who had the chat reads it up to where they left; for how long, `is_over` tells.
    """
    if actor is None:
        return Refusal(401, "unauthenticated", "Say who asks.")
    if actor.party == "citizen" and actor.id != chat_id:
        return Refusal(403, "forbidden", "This token is for another conversation.")
    if chat is None:
        return Refusal(404, "no_such_chat", "There is no such conversation.")
    if actor.party == "citizen":
        if chat.closed_at is not None and now > chat.closed_at + life:
            return Refusal(401, "unauthenticated", "The access to this conversation has expired.")
        return Reach(adds=True)
    if actor.party == "agent":
        if _has(actor, chat) and not is_over(chat.closed_at, now, former):
            return Reach(adds=True)
        if actor.supervisor and (actor.departments is None or not chat.departments.isdisjoint(actor.departments)):
            return Reach()
        if actor.id in chat.participants and not _has(actor, chat):
            return Reach(former=True, left=chat.tenure.left.get(actor.id) if chat.tenure else None)
    return Refusal(403, "forbidden", "Only those who took part in this conversation may see it.")


def _has(actor: Actor, chat: Chat) -> bool:
    """Whether the chat is this agent's, or was at its end. Of a chat of before 1.2 all who took part count as such."""
    return actor.id in chat.participants if chat.tenure is None else chat.tenure.holder == actor.id


def is_over(since: datetime | None, now: datetime, former: timedelta) -> bool:
    """Whether the time is over for which somebody who took part may read what they were told until `since`."""
    return since is not None and now > since + former


def uploader_of(actor: Actor) -> str:
    """As whom this actor sends messages: `citizen`, or the agent's id."""
    return "citizen" if actor.party == "citizen" else actor.id
