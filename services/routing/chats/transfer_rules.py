"""RULES of transfers: to a colleague, to a department, by overflow, and back when no agent accepts.

Until it is accepted, a transferred chat stores where it came from. All of this is one wait of the citizen: the waiting
limit counts from the first transfer, however often the chat moves.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from services.common.events.chats import AnswerOverdue
from services.common.events.types import Cause, Detail
from services.routing.chats.chat import Chat, Limits, Origin
from services.routing.chats.rules import marked, requeued, staying


def transferred(
    chat: Chat, agent_id: str, department: str | None, to_agent: str | None, now: datetime, limits: Limits
) -> Chat:
    """Transfer a chat of this agent: to the head of the department's queue, or for a while to one colleague only."""
    if not chat.assigned or chat.agent_id != agent_id:
        return chat
    there = department or chat.department or ""
    by = now + min(limits.named, limits.patience(there) / 2)  # it must come back before the waiting limit
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


def taken_from_silent(chat: Chat, event: AnswerOverdue, is_writing: bool, now: datetime, limits: Limits) -> Chat:
    """Take a chat from its agent, who has left the citizen without an answer, for another agent of the department.

    It is a transfer in the name of the agent, as a supervisor's is: the agent who gets it accepts it, or it comes back.
    This happens at most once until an agent answers, and never while the agent writes.

    Args:
        chat: The chat.
        event: What transcripts knows of its messages.
        is_writing: Whether the agent has typed in it within the last seconds.
        now: The present.
        limits: The times.
    """
    after = limits.reassign.get(chat.department or "")
    if after is None or not chat.assigned or not chat.accepted or chat.agent_id is None or chat.turn != event.turn:
        return chat
    if is_writing or event.since + after > now or chat.taken_after == event.answered:
        return chat
    moved = transferred(chat, chat.agent_id, chat.department, None, now, limits)
    return replace(moved, detail=Detail.SILENT, unwanted_agent=chat.agent_id, taken_after=event.answered)


def is_repeated(chat: Chat, agent_id: str, department: str | None, to_agent: str | None) -> bool:
    """Return whether this agent has made this transfer already: the answer to the first request was lost."""
    origin = chat.origin
    if origin is None or origin.agent_id != agent_id or chat.agent_id == agent_id:
        return False
    return (origin.to_department, origin.to_agent) == (department, to_agent)


def refused(chat: Chat, agent_id: str, refusal: str, now: datetime, limits: Limits) -> Chat:
    """Return a chat that its agent got by a transfer and has not accepted. `refusal`: the id of the refusal."""
    if not chat.refusable or chat.agent_id != agent_id or chat.refusal == refusal:
        return chat
    return replace(sent_back(chat, Detail.REFUSED, now, limits), refusal=refusal)


def sent_back(chat: Chat, why: Detail, now: datetime, limits: Limits, **changes: Any) -> Chat:
    """Return the chat to where it came from: for a few seconds to its former agent only, then to the head of the queue.

    A chat that overflowed gets its former position in its own queue.
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
    home = replace(staying(chat), department=origin.department)
    return requeued(home, now, Cause.TRANSFERRED, former, **back, **changes)


def may_overflow(chat: Chat, to: str, now: datetime, limits: Limits) -> bool:
    """Return whether the chat has waited so long that a slot in the department `to` is better than none.

    This happens once in each wait, and not while the chat waits for one colleague or for acceptance after a transfer.
    """
    own = limits.queues.get(chat.department or "")
    rule = own.overflow if own else None
    if rule is None or rule.to != to or not chat.waits or chat.overflowed or chat.wanted_agent or chat.untold_since:
        return False
    if chat.origin and chat.origin.answer_by:
        return False
    return chat.waiting_since is not None and chat.waiting_since + timedelta(seconds=rule.after) <= now


def overflowed(chat: Chat, to: str, now: datetime, limits: Limits) -> Chat:
    """Move the chat to the other department's queue, with its waiting time. Without an agent there it comes back."""
    if not may_overflow(chat, to, now, limits):
        return chat
    origin = Origin(None, chat.department or "", to, None, now + limits.overflown)
    moved = replace(chat, department=to, origin=origin, overflowed=True)
    return marked(
        requeued(moved, now, Cause.TRANSFERRED, None, head=chat.head, detail=Detail.OVERFLOW),
        now,
    )
