"""RULES of retention: what may be erased, and where a chat's data are. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

SETTLED = timedelta(minutes=10)
"""A chat is erased this long after its end at the earliest. It is more than a writer remembers the end of a log
(`log/writer.py`, `TAILS_KEPT`), and more than an upload may take."""
AGAIN_AFTER = timedelta(days=1)
"""After this time an erased chat is erased once more: a write of a process that was stopped may land late."""

OF_CHAT = {"outbox": "outbox", "notes": "notes", "past_chats": "past_chats", "conversation": "entries"}
"""Collections whose documents have the member `chat_id`, by category, in the order of deletion."""
BY_ID = {"ratings": "ratings", "codes": "codes", "chains": "chains"}
"""Collections with at most one document for each chat, whose `_id` is the chat, by category."""
QUESTIONS = "questions"
"""The category and the collection of left questions. They have periods of their own."""
CATEGORIES = ("files", *OF_CHAT, *BY_ID, QUESTIONS)


class Obstacle(StrEnum):
    """Why a chat is not erased now."""

    UNKNOWN = "no_such_chat"
    OPEN = "chat_open"
    RECENT = "too_recent"
    ON_HOLD = "on_hold"


def is_held(document: Mapping[str, Any], now: datetime) -> bool:
    """Return whether this document of a chat or a question is under a legal hold that has not ended."""
    hold = document.get("hold")
    return bool(hold and hold["until"] > now)


def obstacle(chat: Mapping[str, Any] | None, now: datetime) -> Obstacle | None:
    """Return why the chat of this document is not erased now, or None when it may be."""
    if chat is None:
        return Obstacle.UNKNOWN
    if chat.get("erasing"):
        return None
    closed_at = chat.get("closed_at")
    if closed_at is None:
        return Obstacle.OPEN
    if closed_at > now - SETTLED:
        return Obstacle.RECENT
    return Obstacle.ON_HOLD if is_held(chat, now) else None


def obstacle_of_question(question: Mapping[str, Any], now: datetime) -> Obstacle | None:
    """Return why a left question that has no chat is not erased now, or None when it may be."""
    return Obstacle.ON_HOLD if not question.get("erasing") and is_held(question, now) else None
