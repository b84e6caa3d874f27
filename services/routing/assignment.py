"""RULES of a chat: whose turn it is. Each gives the chat as it is afterwards; the same chat when its condition fails.

A turn is one attempt to give the chat an agent and only grows; whatever speaks of another turn than the present one is
over for good. So the order, the repetition and the age of facts do not matter. Closed is for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.contracts import Cause, ChatOpened, ChatStatus, CloseReason
from services.routing.chat import Chat, Limits


def opened(chat: Chat, fact: ChatOpened, now: datetime) -> Chat:
    """A new chat waits, turn 1. One that was closed before its opening was heard stays closed and gets its data."""
    if chat.opened_at is not None:
        return chat
    known = replace(
        chat, department=fact.department, locale=fact.locale, opened_at=fact.opened_at, known_since=now, expire_at=None
    )
    if chat.closed:
        return replace(known, v=chat.v + 1)
    return _changed(
        replace(known, name=fact.name, question=fact.question, form=fact.form),
        now,
        Cause.OPENED,
        state=ChatStatus.WAITING,
        turn=1,
        waiting_since=now,
    )


def arrived(chat: Chat) -> Chat:
    """The citizen has said hello (perhaps before the opening was heard)."""
    return chat if chat.greeted or chat.closed else replace(chat, greeted=True)


def accepted(chat: Chat, agent_id: str) -> Chat:
    """Its agent has seen it; nobody else can accept it."""
    if not chat.assigned or chat.agent_id != agent_id or chat.accepted:
        return chat
    return replace(chat, accepted=True)


def claimed(chat: Chat, turn: int, agent_id: str, agent_name: str, now: datetime) -> Chat:
    """Waiting and its turn: assigned. A chat that is not known here is told closed, so that the seat comes free."""
    if chat.state is None:
        return closed(replace(chat, turn=turn, department=""), CloseReason.INACTIVE, now)
    if not chat.waits or chat.turn != turn:
        return chat
    return _changed(
        chat,
        now,
        Cause.ASSIGNED,
        state=ChatStatus.ASSIGNED,
        agent_id=agent_id,
        agent_name=agent_name,
        assigned_at=now,
        accepted=False,
        wanted_agent=None,
        wanted_until=None,
    )


def released(chat: Chat, turn: int, agent_id: str, now: datetime) -> Chat:
    """The agent left: back at the head with the next turn, also when his claim has not been heard yet."""
    if chat.turn != turn or not (chat.waits or (chat.assigned and chat.agent_id == agent_id)):
        return chat
    return _requeued(chat, now, Cause.AGENT_LEFT, agent_id)


def transferred(
    chat: Chat, agent_id: str, department: str | None, to_agent: str | None, now: datetime, limits: Limits
) -> Chat:
    """Its agent handed it on: at the head of the department, or for a while in a line of its own for one colleague."""
    if not chat.assigned or chat.agent_id != agent_id:
        return chat
    return _marked(
        _requeued(
            replace(chat, department=department or chat.department),
            now,
            Cause.TRANSFERRED,
            agent_id,
            wanted_agent=to_agent,
            wanted_until=now + limits.named if to_agent else None,
        ),
        now,
    )


def closed(chat: Chat, reason: CloseReason, now: datetime) -> Chat:
    """Closed for ever, known here or not; what the citizen told of himself is not kept (transcripts have it)."""
    if chat.closed:
        return chat
    return _changed(
        chat,
        now,
        Cause.CLOSED,
        state=ChatStatus.CLOSED,
        reason=reason,
        closed_at=now,
        name=None,
        question=None,
        form=None,
        wanted_agent=None,
        wanted_until=None,
    )


def closed_by_agent(chat: Chat, agent_id: str | None, now: datetime) -> Chat:
    """Closed when this agent has it; another agent's close is ignored."""
    if not chat.assigned or chat.agent_id != agent_id:
        return chat
    return closed(chat, CloseReason.AGENT, now)


def away(chat: Chat, now: datetime) -> Chat:
    """The citizen was gone for too long."""
    if not (chat.waits or chat.assigned) or not chat.greeted:
        return chat
    return _marked(closed(chat, CloseReason.INACTIVE, now), now)


def overdue(chat: Chat, here: bool, now: datetime, limits: Limits) -> Chat:
    """What the passing of time alone does. `here`: some gateway has a connection of the citizen."""
    if chat.closed or chat.known_since is None:
        return chat
    if not chat.greeted and here:
        return arrived(chat)
    if not chat.greeted and chat.known_since + limits.hello <= now:
        return _marked(closed(chat, CloseReason.INACTIVE, now), now)
    if chat.waits and chat.waiting_since and chat.waiting_since + limits.waiting <= now:
        return _marked(closed(chat, CloseReason.NO_AGENT, now), now)
    if chat.waits and chat.wanted_until and chat.wanted_until <= now:
        return replace(chat, wanted_agent=None, wanted_until=None)
    if chat.assigned and not chat.accepted and chat.assigned_at and chat.assigned_at + limits.accept <= now:
        late = {"overdue_agent": chat.agent_id, "overdue_turn": chat.turn}
        return _marked(_requeued(chat, now, Cause.AGENT_LEFT, chat.agent_id, **late), now)
    return chat


def told(chat: Chat) -> Chat:
    """Everything about this chat has been told: its mark goes."""
    return replace(chat, untold_since=None, overdue_agent=None, overdue_turn=None)


def due_at(chat: Chat, limits: Limits) -> datetime | None:
    """When time alone will do something with this chat: the only thing that timers look for."""
    times = [chat.untold_since + limits.retell] if chat.untold_since else []
    if (chat.waits or chat.assigned) and chat.known_since and not chat.greeted:
        times.append(chat.known_since + limits.hello)
    if chat.waits and chat.waiting_since:
        times.append(chat.waiting_since + limits.waiting)
        times += [chat.wanted_until] if chat.wanted_until else []
    if chat.assigned and not chat.accepted and chat.assigned_at:
        times.append(chat.assigned_at + limits.accept)
    return min(times, default=None)


def stamped(chat: Chat, now: datetime, limits: Limits) -> Chat:
    """The chat as it is written: one revision on, with when it is due and when it may be forgotten."""
    over = chat.closed or chat.state is None
    return replace(
        chat,
        rev=chat.rev + 1,
        due_at=due_at(chat, limits),
        expire_at=(chat.expire_at or now + limits.kept) if over else None,
    )


def who_asks(line: Sequence[Chat], free: int) -> list[Chat]:
    """Of a department's waiting chats in order: the first max(1, `free`), and those that wait for one colleague.

    If all asked, a younger one might be served first. A chat whose last change is not told yet does not ask.
    """
    known = [chat for chat in line if chat.untold_since is None]
    named = [chat for chat in known if chat.wanted_agent]
    return named + [chat for chat in known if not chat.wanted_agent][: max(1, free)]


def _changed(chat: Chat, now: datetime, cause: Cause, **changes: Any) -> Chat:
    return replace(chat, v=chat.v + 1, cause=cause, changed_at=now, **changes)


def _requeued(chat: Chat, now: datetime, cause: Cause, agent_id: str | None, **changes: Any) -> Chat:
    own: dict[str, Any] = {
        "state": ChatStatus.WAITING,
        "turn": chat.turn + 1,
        "head": True,
        "waiting_since": chat.waiting_since if chat.waits else now,
        "wanted_agent": None,
        "wanted_until": None,
        "agent_id": None,
        "agent_name": None,
        "assigned_at": None,
        "accepted": False,
        "former_agent_id": agent_id,
    }
    return _changed(chat, now, cause, **(own | changes))


def _marked(chat: Chat, now: datetime) -> Chat:
    return replace(chat, untold_since=now)
