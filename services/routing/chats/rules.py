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
from services.common.events.types import Cause, ChatStatus, Choice, CloseReason, Detail
from services.common.internal_api.routing import Assignment
from services.routing.chats import transfer_rules
from services.routing.chats.chat import REMEMBERED, Chat, Limits
from services.routing.chats.turns import changed, marked, requeued


def opened(chat: Chat, event: ChatOpened, now: datetime, automatic: Collection[str] = ()) -> Chat:
    """Open a chat: it waits in attempt 1. With a reserved slot it is assigned at once, as by a claim of attempt 1.

    A chat that was closed before its opening was received stays closed and gets its data. `automatic`: as for
    `claimed`.
    """
    held = event.held
    chat = _opened(chat, event, now)
    return claimed(chat, 1, held.agent_id, held.agent_name, now, held.choice, automatic) if held else chat


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
        replace(known, name=event.name, question=event.question, form=event.form),
        now,
        Cause.OPENED,
        state=ChatStatus.WAITING,
        turn=1,
        waiting_since=now,
    )


def arrived(chat: Chat) -> Chat:
    """Record the hello of the citizen, which may arrive before the opening."""
    return chat if chat.greeted or chat.closed else replace(chat, greeted=True)


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
    is_told = chat.accepted and chat.accepted_at is not None
    if not chat.assigned or chat.agent_id != agent_id or is_told or turn not in (None, chat.turn):
        return chat
    return transfer_rules.settled(changed(chat, now, Cause.ASSIGNED, accepted=True, accepted_at=now))


def accepted_silently(chat: Chat, now: datetime) -> Chat:
    """Mark an acceptance that an earlier release has stored without publishing it, until it is published."""
    if not (chat.assigned and chat.agent_id and chat.accepted and chat.accepted_at is None):
        return chat
    return marked(accepted(chat, chat.agent_id, now), now)


def claimed(
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
    taken = transfer_rules.claimed_by(chat, agent_id)
    return changed(
        transfer_rules.settled(taken) if at_once else taken,
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
        assignments=(*chat.assignments, _recorded(chat, agent_id, agent_name, now, choice))[-REMEMBERED:],
    )


def _unopened(chat: Chat, turn: int, now: datetime) -> Chat:
    """Handle an event about a chat without an opening.

    In attempt 1 the slot may be reserved for an opening that is late; the chat is closed only when that does not
    arrive.
    """
    if turn == 1:
        return chat if chat.claimed_since else replace(chat, claimed_since=now)
    return _never_opened(chat, turn, now)


def _never_opened(chat: Chat, turn: int, now: datetime) -> Chat:
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

    This also applies before the agent's claim was received. The citizen then never had the agent and has nothing to
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
    )


def closed_by_agent(chat: Chat, agent_id: str | None, now: datetime) -> Chat:
    """Close the chat when this agent has it; a close of another agent is ignored."""
    if not chat.assigned or chat.agent_id != agent_id:
        return chat
    return closed(chat, CloseReason.AGENT, now)


def closed_for_inactivity(chat: Chat, now: datetime) -> Chat:
    """Close the chat for inactivity when an agent has accepted it; before that a citizen cannot be inactive."""
    return closed(chat, CloseReason.INACTIVE, now) if chat.assigned and chat.accepted else chat


def away(chat: Chat, now: datetime) -> Chat:
    """Close the chat, because the citizen was offline for too long."""
    if not (chat.waits or chat.assigned) or not chat.greeted:
        return chat
    return marked(closed(chat, CloseReason.INACTIVE, now), now)


def overdue(chat: Chat, here: bool, now: datetime, limits: Limits) -> Chat:
    """Apply what the passing of time requires. `here`: a gateway has a connection of the citizen."""
    if chat.state is None and chat.claimed_since and chat.claimed_since + limits.unopened <= now:
        return marked(_never_opened(chat, 1, now), now)
    if chat.closed or chat.known_since is None:
        return chat
    if not chat.greeted and here:
        return arrived(chat)
    if not chat.greeted and chat.known_since + limits.hello <= now:
        return marked(closed(chat, CloseReason.INACTIVE, now), now)
    if chat.waits and chat.waiting_since and chat.waiting_since + limits.patience(chat.department) <= now:
        return marked(closed(chat, CloseReason.NO_AGENT, now), now)
    if chat.waits and chat.origin and chat.origin.answer_by and chat.origin.answer_by <= now:
        return marked(transfer_rules.given_back(chat, Detail.UNANSWERED, now, limits), now)
    if chat.waits and chat.wanted_until and chat.wanted_until <= now:
        return replace(chat, wanted_agent=None, wanted_until=None)
    if chat.assigned and not chat.accepted and chat.assigned_at and chat.assigned_at + limits.accept <= now:
        return marked(_not_accepted(chat, now, limits), now)
    return chat


def _not_accepted(chat: Chat, now: datetime, limits: Limits) -> Chat:
    late: dict[str, Any] = {"overdue_agent": chat.agent_id, "overdue_turn": chat.turn}
    if chat.refusable:
        return transfer_rules.given_back(chat, Detail.UNANSWERED, now, limits, **late)
    return requeued(chat, now, Cause.AGENT_LEFT, chat.agent_id, detail=Detail.NOT_ACCEPTED, **late)


def told(chat: Chat) -> Chat:
    """Remove the mark of an unpublished change."""
    return replace(chat, untold_since=None, overdue_agent=None, overdue_turn=None)


def due_at(chat: Chat, limits: Limits) -> datetime | None:
    """Return when time requires something of this chat. Timers search by this time only."""
    times = [chat.untold_since + limits.retell] if chat.untold_since else []
    times += [chat.claimed_since + limits.unopened] if chat.state is None and chat.claimed_since else []
    if (chat.waits or chat.assigned) and chat.known_since and not chat.greeted:
        times.append(chat.known_since + limits.hello)
    if chat.waits and chat.waiting_since:
        times.append(chat.waiting_since + limits.patience(chat.department))
        times += [chat.wanted_until] if chat.wanted_until else []
        times += [chat.origin.answer_by] if chat.origin and chat.origin.answer_by else []
    if chat.assigned and not chat.accepted and chat.assigned_at:
        times.append(chat.assigned_at + limits.accept)
    return min(times, default=None)


def stamped(chat: Chat, now: datetime, limits: Limits) -> Chat:
    """Return the chat as it is written: the next revision, with the times when it is due and when it is deleted."""
    over = chat.closed or chat.state is None
    return replace(
        chat,
        rev=chat.rev + 1,
        due_at=due_at(chat, limits),
        expire_at=(chat.expire_at or now + limits.kept) if over else None,
    )


def who_asks(line: Sequence[Chat], free: int) -> list[Chat]:
    """Return the waiting chats that request a slot: the first max(1, `free`), and those that wait for one colleague.

    If all of them did, a later chat might be served first. A chat with an unpublished change does not request one.
    `line`: the waiting chats of a department in order.
    """
    known = [chat for chat in line if chat.untold_since is None]
    named = [chat for chat in known if chat.wanted_agent]
    return named + [chat for chat in known if not chat.wanted_agent][: max(1, free)]
