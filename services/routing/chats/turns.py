"""RULES of a chat's versions and attempts: a change is the next version, a lost agent is the next attempt."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from services.common.events.types import Cause, ChatStatus
from services.routing.chats.chat import Chat


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
