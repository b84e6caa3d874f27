"""RULES of access to a chat's files and transcript. No I/O."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.common.events.types import Revocation
from services.common.http.tokens import Actor
from services.transcripts.access.participation import Participation


@dataclass(frozen=True, slots=True)
class Chat:
    """What is stored of a chat beside its log.

    Attributes:
        chat_id: The chat.
        department: The department in which it was opened.
        locale: The language of the citizen.
        opened_at: When it was opened.
        name: The citizen's name.
        participants: Agents who have or had the chat.
        v: The highest version of the states that were received.
        turn: The highest attempt of these states.
        closed_at: When the log was sealed.
        asked: Whether it was opened with a question.
        watched: Whether it is checked for the citizen's inactivity.
        departments: All departments that it is or was in.
        in_department: The department in which it is, or was at its end.
        participation: Who has and had it; None when no state was received since version 2.0.
        revoked_by: Who has revoked the citizen's token: `citizen`, `agent` or `officer`.
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
    in_department: str = ""
    participation: Participation | None = None
    revoked_by: str | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an actor may not do something: the status, code and detail of the problem document."""

    status: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Reach:
    """What an actor may do with a chat's transcript, files and notes.

    Attributes:
        former: The agent left the chat. They read the log up to the entry `left`.
        left: The id of that entry; None when it is not known: then up to the agent's own last entry.
        adds: Whether the actor may upload files.
        claimed: The agent deals or dealt with the question that was left in the chat.
    """

    former: bool = False
    left: str | None = None
    adds: bool = False
    claimed: bool = False


def reach(
    actor: Actor | None, chat_id: str, chat: Chat | None, now: datetime, life: timedelta, former: timedelta
) -> Reach | Refusal:
    """Return what this actor may do, or why they may not do anything.

    - A citizen has access to their own chat only, until `life` after its end or until the token is revoked. With a
      download code they read it for as long as the code is valid, unless an officer has revoked the token: the code may
      have been made with a token that leaked.
    - The agent who has the chat reads and adds; after its end they read for `former`.
    - A supervisor reads the chats of their departments: those that the chat is in or was in.
    - An agent who had the chat reads it up to where they left; `is_over` says for how long.
    - A client of the read API reads the chats of its departments that have ended.
    """
    if actor is None:
        return Refusal(401, "unauthenticated", "Say who asks.")
    if actor.party == "citizen" and actor.id != chat_id:
        return Refusal(403, "forbidden", "This token is for another conversation.")
    if chat is None:
        return Refusal(404, "no_such_chat", "There is no such conversation.")
    if actor.party == "citizen":
        if chat.revoked_by and (not actor.by_code or chat.revoked_by == Revocation.OFFICER):
            return Refusal(401, "unauthenticated", "The access to this conversation was ended.")
        if actor.by_code:
            return Reach()
        if chat.closed_at is not None and now > chat.closed_at + life:
            return Refusal(401, "unauthenticated", "The access to this conversation has expired.")
        return Reach(adds=True)
    if actor.party == "agent":
        if _has(actor, chat) and not is_over(chat.closed_at, now, former):
            return Reach(adds=True)
        if actor.supervisor and (actor.departments is None or not chat.departments.isdisjoint(actor.departments)):
            return Reach()
        if actor.id in chat.participants and not _has(actor, chat):
            return Reach(former=True, left=chat.participation.left.get(actor.id) if chat.participation else None)
    if actor.party == "client":
        if chat.departments.isdisjoint(actor.departments or ()):
            return Refusal(404, "no_such_chat", "There is no such conversation in the departments of this client.")
        if chat.closed_at is None:
            return Refusal(409, "not_ended", "This conversation has not ended yet. Ask again when it has.")
        return Reach()
    return Refusal(403, "forbidden", "Only those who took part in this conversation may see it.")


def needs_reason(actor: Actor, chat: Chat, found: Reach, asks: Collection[str]) -> bool:
    """Return whether this actor has to say why they read the chat.

    Those who have the chat, had it at its end, or deal with its question need none: it is their work.

    Args:
        actor: Who reads.
        chat: The chat.
        found: What they may do with it.
        asks: What the departments of the chat say in `ask_reason`.
    """
    if actor.party != "agent" or found.adds or found.claimed or _has(actor, chat):
        return False
    return "former" in asks or ("others" in asks and actor.id not in chat.participants)


def _has(actor: Actor, chat: Chat) -> bool:
    """Return whether the agent has the chat, or had it at its end.

    For a chat from before version 2.0 every participant counts as such.
    """
    return actor.id in chat.participants if chat.participation is None else chat.participation.holder == actor.id


def is_over(since: datetime | None, now: datetime, former: timedelta) -> bool:
    """Return whether a former participant may no longer read what they saw until `since`."""
    return since is not None and now > since + former


def uploader_of(actor: Actor) -> str:
    """Return the sender id of this actor: `citizen`, or the agent's id."""
    return "citizen" if actor.party == "citizen" else actor.id
