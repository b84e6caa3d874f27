"""What questions about several chats have in common. No I/O."""

from __future__ import annotations

from pydantic import Field

from services.common.events.types import Record

MAX_CHATS = 200  # in one request


class ChatsQuery(Record):
    chat_ids: list[str] = Field(max_length=MAX_CHATS)
