"""RULES of who has a chat and who had it, by the states that routing publishes. No I/O.

In a chat's document, `holder` is `<v>:<agent>` of the highest state received (the agent is empty while no agent has the
chat). `left` has for each agent who gave it up `<v>:<id>`, with the id of the entry that says so. Each is set to the
greater of the stored and the received value (`$max` of strings in which the version has a fixed width), so that order
and repetition of states do not matter. `in_department` is `<v>:<department>` in the same way. `revoked_by` says who has
revoked the citizen's token.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from services.common.events.chats import ChatState
from services.common.events.types import Cause
from services.transcripts.log.sequencing import event_id

_WIDTH = 19  # digits of the highest version


@dataclass(frozen=True, slots=True)
class Participation:
    """Who has and had a chat.

    Attributes:
        holder: The agent who has the chat, or had it at its end.
        left: For each former agent, the id of the entry that says that they left.
    """

    holder: str | None = None
    left: Mapping[str, str] = field(default_factory=dict)


def participation_update(state: ChatState) -> dict[str, Any]:
    """Return the update of the chat's document that records this state.

    It records who has the chat, in which department it is, and who has revoked its token.
    """
    change: dict[str, Any] = {"$max": {"holder": _versioned(state.v, state.agent_id or "")}}
    former = state.former_agent_id
    if (
        former
        and former != state.agent_id
        and "." not in former
        and state.cause in (Cause.AGENT_LEFT, Cause.TRANSFERRED)
    ):
        left = event_id(state.chat_id, state.cause, state.turn)
        change["$max"][f"left.{former}"] = _versioned(state.v, left)
    if state.department:
        change["$max"]["in_department"] = _versioned(state.v, state.department)
        change["$addToSet"] = {"departments": state.department}
    if state.revoked_by:
        change["$max"]["revoked_by"] = state.revoked_by.value  # `officer` is the greatest of these words
    return change


def participation_of(found: Mapping[str, Any]) -> Participation | None:
    """Return what a chat's document records; None when it records nothing."""
    if "holder" not in found:
        return None
    left = {agent: _of(text) for agent, text in found.get("left", {}).items()}
    return Participation(_of(found["holder"]) or None, left)


def department_of(found: Mapping[str, Any]) -> str:
    """Return the department in which a chat is, or was at its end, by its document.

    For a chat without a state since version 2.0 it is the one in which it was opened.
    """
    return _of(found["in_department"]) if "in_department" in found else str(found["department"])


def _versioned(v: int, text: str) -> str:
    return f"{v:0{_WIDTH}d}:{text}"


def _of(text: str) -> str:
    return text.partition(":")[2]
