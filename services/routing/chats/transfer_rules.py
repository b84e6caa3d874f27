"""RULES of transfers: to a colleague, to a department, by overflow, and back when nobody accepts.

Until it is accepted, a transferred chat knows where it came from. All of it is one wait of the citizen: the limit of
waiting counts from the transfer, however often the chat goes to and fro.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.common.events.types import Cause, Detail
from services.routing.chats.chat import Chat, Limits, Origin
from services.routing.chats.turns import marked, requeued


def transferred(
    chat: Chat, agent_id: str, department: str | None, to_agent: str | None, now: datetime, limits: Limits
) -> Chat:
    """Its agent handed it on: at the head of the department, or for a while in a line of its own for one colleague."""
    if not chat.assigned or chat.agent_id != agent_id:
        return chat
    there = department or chat.department or ""
    by = now + min(limits.named, limits.patience(there) / 2)  # with little patience it must still come back in time
    origin = Origin(agent_id, chat.department or "", department, to_agent, by)
    return marked(
        requeued(
            replace(chat, department=there, origin=origin),
            now,
            Cause.TRANSFERRED,
            agent_id,
            wanted_agent=to_agent,
            wanted_until=by if to_agent else None,
        ),
        now,
    )


def is_repeated(chat: Chat, agent_id: str, department: str | None, to_agent: str | None) -> bool:
    """True when this agent has transferred the chat there already: the answer to his first request was lost."""
    origin = chat.origin
    if origin is None or origin.agent_id != agent_id or chat.agent_id == agent_id:
        return False
    return (origin.to_department, origin.to_agent) == (department, to_agent)


def refused(chat: Chat, agent_id: str, refusal: str, now: datetime, limits: Limits) -> Chat:
    """Who got it by a transfer and has not accepted it gives it back. `refusal`: the id of his refusal."""
    if not chat.refusable or chat.agent_id != agent_id or chat.refusal == refusal:
        return chat
    return replace(given_back(chat, Detail.REFUSED, now, limits), refusal=refusal)


def given_back(chat: Chat, why: Detail, now: datetime, limits: Limits, **changes: Any) -> Chat:
    """Back where it came from: for a few seconds for its former agent alone, then at the head of his department.

    A chat that overflowed takes up its old place in its own line.
    """
    origin = chat.origin
    if origin is None or not origin.answer_by:
        return chat
    back: dict[str, Any] = {"detail": why, "waiting_since": chat.waiting_since}
    if origin.agent_id is None:
        back |= {"head": chat.head}
    else:
        back |= {"returned": why, "returned_to": origin.agent_id}
        back |= {"wanted_agent": origin.agent_id, "wanted_until": now + limits.returning}
    former = chat.agent_id or chat.wanted_agent
    home = replace(settled(chat), department=origin.department)
    return requeued(home, now, Cause.TRANSFERRED, former, **back, **changes)


def settled(chat: Chat) -> Chat:
    """It stays where it is: a transfer that was made is remembered, but the chat does not go back any more."""
    if chat.origin is None or chat.origin.answer_by is None:
        return chat
    return replace(chat, origin=replace(chat.origin, answer_by=None))


def claimed_by(chat: Chat, agent_id: str) -> Chat:
    """What the transfer means for whoever has got the chat: who handed it on himself gets it back as unanswered."""
    origin = chat.origin if chat.origin and chat.origin.answer_by else None
    if origin and origin.agent_id == agent_id:
        chat = replace(settled(chat), returned=Detail.UNANSWERED, returned_to=agent_id)
    elif origin and origin.agent_id is None:
        chat = settled(chat)
    if chat.returned_to != agent_id:
        chat = replace(chat, returned=None, returned_to=None)
    return replace(chat, overflowed=False)


def may_overflow(chat: Chat, to: str, now: datetime, limits: Limits) -> bool:
    """True when it has waited for so long that a place in the department `to` is better than none. Once in each wait;

    not while it waits for one colleague, or to be taken after a transfer.
    """
    line = limits.queues.get(chat.department or "")
    rule = line.overflow if line else None
    if rule is None or rule.to != to or not chat.waits or chat.overflowed or chat.wanted_agent or chat.untold_since:
        return False
    if chat.origin and chat.origin.answer_by:
        return False
    return chat.waiting_since is not None and chat.waiting_since + timedelta(seconds=rule.after) <= now


def overflowed(chat: Chat, to: str, now: datetime, limits: Limits) -> Chat:
    """In the line of the other department with its own time; it comes back when it finds no agent there after all."""
    if not may_overflow(chat, to, now, limits):
        return chat
    origin = Origin(None, chat.department or "", to, None, now + limits.overflown)
    moved = replace(chat, department=to, origin=origin, overflowed=True)
    return marked(
        requeued(moved, now, Cause.TRANSFERRED, None, head=chat.head, detail=Detail.OVERFLOW),
        now,
    )
