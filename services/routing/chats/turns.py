"""RULES of a chat's versions and attempts: a change is one version more, a lost agent is one attempt more."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any

from services.common.events.types import Cause, ChatStatus
from services.routing.chats.chat import Chat


def changed(chat: Chat, now: datetime, cause: Cause, **changes: Any) -> Chat:
    """The next version, with its cause. `detail` is that of this change alone."""
    return replace(chat, v=chat.v + 1, cause=cause, changed_at=now, **({"detail": None} | changes))


def requeued(chat: Chat, now: datetime, cause: Cause, agent_id: str | None, **changes: Any) -> Chat:
    """Waiting at the head with the next turn, without an agent. `agent_id`: who does not have it any more.

    Who was waiting already is still in the same wait, and in the same way back from a transfer. Who had an agent that
    has not accepted the chat was waiting too, for the citizen.
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
    """With the mark that this change may not have been told yet."""
    return replace(chat, untold_since=now)
