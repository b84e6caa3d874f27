"""RULES of assignment. Each gives the chat as it is afterwards; the same chat when its condition fails.

An attempt (`turn`) to give the chat an agent only grows; whatever speaks of another attempt than the present one is
over for good. So the order, the repetition and the age of events do not matter. Closed is for ever.
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
    """A new chat waits, turn 1; with a place that was held for it, it is assigned at once, as by a claim of turn 1.

    One that was closed before its opening was heard stays closed and gets its data. `automatic`: as for `claimed`.
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
    """The citizen has said hello (perhaps before the opening was heard)."""
    return chat if chat.greeted or chat.closed else replace(chat, greeted=True)


def accepted(chat: Chat, agent_id: str, now: datetime, turn: int | None = None) -> Chat:
    """Its agent has seen it; nobody else can accept it. From here on its citizen is connected.

    `turn`: the one that was accepted, where that is known. A chat that a former version has accepted without telling
    it (`accepted_at` None) is accepted once more, so that it is told. `accepted_at` of a chat that is not accepted is
    of a former turn: a former version, which does not know it, left it there.
    """
    is_told = chat.accepted and chat.accepted_at is not None
    if not chat.assigned or chat.agent_id != agent_id or is_told or turn not in (None, chat.turn):
        return chat
    return transfer_rules.settled(changed(chat, now, Cause.ASSIGNED, accepted=True, accepted_at=now))


def accepted_silently(chat: Chat, now: datetime) -> Chat:
    """A former version has noted that it was accepted, and told nobody: marked until it is told."""
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
    """Waiting and its turn: assigned. A chat that is not known here is told closed, so that the seat comes free.

    `automatic`: the departments that accept by themselves.
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
    """In turn 1 the place may have been held for an opening that is late: closed only when that does not come."""
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
    """The agent left: back at the head with the next turn, also when his claim has not been heard yet.

    Then the citizen never had him and has nothing to read: he waits as after the opening. Only what has not been told
    of the turn before stays the cause.
    """
    if chat.state is None:
        return _unopened(chat, turn, now)
    if chat.turn != turn or not (chat.waits or (chat.assigned and chat.agent_id == agent_id)):
        return chat
    if chat.assigned:  # who never accepted it cannot leave it
        return requeued(chat, now, Cause.AGENT_LEFT, agent_id, detail=None if chat.accepted else Detail.NOT_ACCEPTED)
    if chat.untold_since and chat.cause:
        return requeued(chat, now, chat.cause, agent_id, detail=chat.detail)
    return requeued(chat, now, Cause.OPENED, agent_id)


def closed(chat: Chat, reason: CloseReason, now: datetime) -> Chat:
    """Closed for ever, known here or not; what the citizen told of himself is not kept (transcripts have it)."""
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
    """Closed when this agent has it; another agent's close is ignored."""
    if not chat.assigned or chat.agent_id != agent_id:
        return chat
    return closed(chat, CloseReason.AGENT, now)


def closed_by_silence(chat: Chat, now: datetime) -> Chat:
    """Closed when an agent has accepted it: only a citizen who was spoken to can be silent."""
    return closed(chat, CloseReason.INACTIVE, now) if chat.assigned and chat.accepted else chat


def away(chat: Chat, now: datetime) -> Chat:
    """The citizen was gone for too long."""
    if not (chat.waits or chat.assigned) or not chat.greeted:
        return chat
    return marked(closed(chat, CloseReason.INACTIVE, now), now)


def overdue(chat: Chat, here: bool, now: datetime, limits: Limits) -> Chat:
    """What the passing of time alone does. `here`: some gateway has a connection of the citizen."""
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
    """Everything about this chat has been told: its mark goes."""
    return replace(chat, untold_since=None, overdue_agent=None, overdue_turn=None)


def due_at(chat: Chat, limits: Limits) -> datetime | None:
    """When time alone will do something with this chat: the only thing that timers look for."""
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
