"""RULES of assignment. Each returns the chat as it is afterwards, or the same chat when its condition fails.

The attempt (`turn`) to give the chat an agent only grows, and an event of another attempt than the present one has no
effect. Order, repetition and age of events therefore do not matter. A closed chat stays closed.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from services.common.events.chats import ChatOpened
from services.common.events.types import Cause, ChatStatus, Choice, CloseReason, Detail, Revocation
from services.common.internal_api.routing import Assignment
from services.routing.chats.chat import REMEMBERED, Chat


def changed(chat: Chat, now: datetime, cause: Cause, **changes: Any) -> Chat:
    """Return the next version of the chat, with its cause. `detail` belongs to this change only."""
    return replace(chat, v=chat.v + 1, cause=cause, changed_at=now, **({"detail": None} | changes))


def requeued(chat: Chat, now: datetime, cause: Cause, agent_id: str | None, **changes: Any) -> Chat:
    """Put the chat at the head of the queue in the next attempt, without an agent. `agent_id`: who had it.

    A chat that was waiting already stays in the same wait and in the same return from a transfer. A chat whose agent
    had not accepted it was waiting too, from the citizen's point of view.
    """
    in_wait = chat.waits or (chat.assigned and not chat.accepted)
    own: dict[str, Any] = {
        "state": ChatStatus.WAITING,
        "turn": chat.turn + 1,
        "head": True,
        "waiting_since": chat.waiting_since if in_wait else now,
        "wanted_agent": None,
        "wanted_until": None,
        "unwanted_agent": None,
        "agent_id": None,
        "agent_name": None,
        "assigned_at": None,
        "accepted": False,
        "accepted_at": None,
        "former_agent_id": agent_id,
        "former_agent_name": chat.agent_name if agent_id == chat.agent_id else None,
        "returned": chat.returned if chat.waits else None,
        "returned_to": chat.returned_to if chat.waits else None,
    }
    return changed(chat, now, cause, **(own | changes))


def marked(chat: Chat, now: datetime) -> Chat:
    """Mark that this change may be unpublished."""
    return replace(chat, untold_since=now)


def opened(chat: Chat, event: ChatOpened, now: datetime, automatic: Collection[str] = ()) -> Chat:
    """Open a chat: it waits in attempt 1, or is assigned at once when a slot was reserved for it.

    A chat that was closed before its opening was received stays closed and gets its data. `automatic`: as for
    `assigned`.
    """
    chat, slot = _opened(chat, event, now), event.held
    return assigned(chat, 1, slot.agent_id, slot.agent_name, now, slot.choice, automatic) if slot else chat


def _opened(chat: Chat, event: ChatOpened, now: datetime) -> Chat:
    if chat.opened_at is not None:
        return chat
    known = replace(
        chat,
        department=event.department,
        locale=event.locale,
        opened_at=event.opened_at,
        known_since=now,
        claimed_since=None,
        expire_at=None,
    )
    if chat.closed:
        return replace(known, v=chat.v + 1)
    return changed(
        replace(known, name=chat.name or event.name, question=event.question, form=event.form),
        now,
        Cause.OPENED,
        state=ChatStatus.WAITING,
        turn=1,
        waiting_since=now,
    )


def arrived(chat: Chat, name: str | None = None) -> Chat:
    """Record the hello of the citizen, which may arrive before the opening, and the name that they gave since.

    The name is no part of the published state, so the version stays. A closed chat keeps no name.
    """
    if chat.closed or (chat.greeted and name in (None, chat.name)):
        return chat
    return replace(chat, greeted=True, name=name or chat.name)


def accepted(chat: Chat, agent_id: str, now: datetime, turn: int | None = None) -> Chat:
    """Record that the chat's agent has seen it. Another agent cannot accept it. The citizen is connected from here on.

    A chat that an earlier release has accepted without publishing it (`accepted_at` None) is accepted again, so that it
    is published. `accepted_at` of a chat that is not accepted belongs to an earlier attempt: an earlier release, which
    does not know it, left it there.

    Args:
        chat: The chat.
        agent_id: The agent.
        now: The present.
        turn: The attempt that was accepted; None when it is not known.
    """
    is_published = chat.accepted and chat.accepted_at is not None
    if not chat.assigned or chat.agent_id != agent_id or is_published or turn not in (None, chat.turn):
        return chat
    return staying(changed(chat, now, Cause.ASSIGNED, accepted=True, accepted_at=now))


def accepted_silently(chat: Chat, now: datetime) -> Chat:
    """Mark an acceptance that an earlier release has stored without publishing it, until it is published."""
    if not (chat.assigned and chat.agent_id and chat.accepted and chat.accepted_at is None):
        return chat
    return marked(accepted(chat, chat.agent_id, now), now)


def assigned(
    chat: Chat,
    turn: int,
    agent_id: str,
    agent_name: str,
    now: datetime,
    choice: Choice | None = None,
    automatic: Collection[str] = (),
) -> Chat:
    """Assign a chat that waits in this attempt.

    A chat that is not known is closed and published so, which frees the slot. `automatic`: departments in which
    assignments are accepted automatically.
    """
    if chat.state is None:
        return _unopened(chat, turn, now)
    if not chat.waits or chat.turn != turn:
        return chat
    at_once = chat.department in automatic
    taken = _taken_by(chat, agent_id)
    return changed(
        staying(taken) if at_once else taken,
        now,
        Cause.ASSIGNED,
        state=ChatStatus.ASSIGNED,
        agent_id=agent_id,
        agent_name=agent_name,
        assigned_at=now,
        accepted=at_once,
        accepted_at=now if at_once else None,
        wanted_agent=None,
        wanted_until=None,
        unwanted_agent=None,
        assignments=(*chat.assignments, _recorded(chat, agent_id, agent_name, now, choice))[-REMEMBERED:],
    )


def staying(chat: Chat) -> Chat:
    """Keep the chat where it is. The transfer is remembered, but the chat does not go back any more."""
    if chat.origin is None or chat.origin.answer_by is None:
        return chat
    return replace(chat, origin=replace(chat.origin, answer_by=None))


def _taken_by(chat: Chat, agent_id: str) -> Chat:
    """Apply what the transfer means for the agent who got the chat.

    The agent who transferred it themselves gets it back as unanswered.
    """
    origin = chat.origin if chat.origin and chat.origin.answer_by else None
    if origin and origin.agent_id == agent_id:
        chat = replace(staying(chat), returned=Detail.UNANSWERED, returned_to=agent_id)
    elif origin and origin.agent_id is None:
        chat = staying(chat)
    if chat.returned_to != agent_id:
        chat = replace(chat, returned=None, returned_to=None)
    return replace(chat, overflowed=False)


def _unopened(chat: Chat, turn: int, now: datetime) -> Chat:
    """Handle an event about a chat without an opening.

    In attempt 1 the slot may be reserved for an opening that is late; the chat is closed only when that does not
    arrive.
    """
    if turn == 1:
        return chat if chat.claimed_since else replace(chat, claimed_since=now)
    return never_opened(chat, turn, now)


def never_opened(chat: Chat, turn: int, now: datetime) -> Chat:
    """Close a chat whose opening did not come, in the attempt for which a slot is reserved, to free the slot."""
    return closed(replace(chat, turn=turn, department="", claimed_since=None), CloseReason.INACTIVE, now)


def _recorded(chat: Chat, agent_id: str, agent_name: str, now: datetime, choice: Choice | None) -> Assignment:
    waited = (now - chat.waiting_since).total_seconds() if chat.waiting_since else 0.0
    return Assignment(
        chat_id=chat.id,
        department=chat.department or "",
        turn=chat.turn,
        agent_id=agent_id,
        agent_name=agent_name,
        at=now,
        waited=max(0.0, waited),
        choice=choice,
    )


def released(chat: Chat, turn: int, agent_id: str, now: datetime) -> Chat:
    """Put the chat back at the head of the queue in the next attempt, because the agent left.

    This also applies before the reservation was received. The citizen then never had the agent and has nothing to
    read: the chat waits as after the opening. The cause stays only when the change of the attempt before is still
    unpublished.
    """
    if chat.state is None:
        return _unopened(chat, turn, now)
    if chat.turn != turn or not (chat.waits or (chat.assigned and chat.agent_id == agent_id)):
        return chat
    if chat.assigned:  # an agent who never accepted the chat cannot leave it
        return requeued(chat, now, Cause.AGENT_LEFT, agent_id, detail=None if chat.accepted else Detail.NOT_ACCEPTED)
    if chat.untold_since and chat.cause:
        return requeued(chat, now, chat.cause, agent_id, detail=chat.detail)
    return requeued(chat, now, Cause.OPENED, agent_id)


def closed(chat: Chat, reason: CloseReason, now: datetime) -> Chat:
    """Close the chat for good, known here or not. The citizen's data are deleted here (transcripts has them)."""
    if chat.closed:
        return chat
    return changed(
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
        unwanted_agent=None,
    )


def revoked(chat: Chat, by: Revocation) -> Chat:
    """Record that the token of a closed chat is valid no more. The first who revoked it stays, before an officer.

    The cause and the time of the published state stay those of the end.
    """
    if not chat.closed or chat.revoked_by in (by, Revocation.OFFICER):
        return chat
    if chat.revoked_by is not None and by is not Revocation.OFFICER:
        return chat
    return replace(chat, v=chat.v + 1, revoked_by=by)


def given_up(chat: Chat, now: datetime) -> Chat:
    """Close the chat for its citizen, who gives up its token."""
    return revoked(closed(chat, CloseReason.CITIZEN, now), Revocation.CITIZEN)


def revoked_by_agent(chat: Chat, agent_id: str | None) -> Chat:
    """Revoke the token of a closed chat when this agent has or had it."""
    return revoked(chat, Revocation.AGENT) if agent_id in chat.agents else chat


def revoked_by_officer(chat: Chat, now: datetime) -> Chat:
    """Close the chat, whose citizen cannot come back, and revoke its token. The change is marked as unpublished."""
    after = revoked(closed(chat, CloseReason.AGENT, now), Revocation.OFFICER)
    return chat if after is chat else marked(after, now)


def erased(chat: Chat) -> Chat:
    """Remove from a closed chat who had it, and all that a citizen gave. Its times stay: they name no person.

    The chat stays closed, so that a late event cannot open it again, until it is deleted like every closed chat.
    """
    if not chat.closed:
        return chat
    return replace(
        chat,
        name=None,
        question=None,
        form=None,
        wanted_agent=None,
        unwanted_agent=None,
        agent_id=None,
        agent_name=None,
        former_agent_id=None,
        former_agent_name=None,
        overdue_agent=None,
        origin=None,
        returned_to=None,
        assignments=(),
    )


def closed_by_agent(chat: Chat, agent_id: str | None, now: datetime) -> Chat:
    """Close the chat when this agent has it; a close of another agent is ignored."""
    if not chat.assigned or chat.agent_id != agent_id:
        return chat
    return closed(chat, CloseReason.AGENT, now)


def closed_for_inactivity(chat: Chat, now: datetime) -> Chat:
    """Close the chat for inactivity when an agent has accepted it; before that a citizen cannot be inactive."""
    return closed(chat, CloseReason.INACTIVE, now) if chat.assigned and chat.accepted else chat


def closed_offline(chat: Chat, now: datetime) -> Chat:
    """Close the chat, because the citizen was offline for too long."""
    if not (chat.waits or chat.assigned) or not chat.greeted:
        return chat
    return marked(closed(chat, CloseReason.INACTIVE, now), now)


def published(chat: Chat) -> Chat:
    """Remove the mark of an unpublished change."""
    return replace(chat, untold_since=None, overdue_agent=None, overdue_turn=None)


def requesting(queue: Sequence[Chat], free: int) -> list[Chat]:
    """Return the waiting chats that request a slot: the first max(1, `free`), and those that wait for one colleague.

    If all of them did, a later chat might be served first. A chat with an unpublished change does not request one.
    `queue`: the waiting chats of a department in order.
    """
    known = [chat for chat in queue if chat.untold_since is None]
    named = [chat for chat in known if chat.wanted_agent]
    return named + [chat for chat in known if not chat.wanted_agent][: max(1, free)]
