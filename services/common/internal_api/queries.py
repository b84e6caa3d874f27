"""What requests about several chats share. No I/O."""

from __future__ import annotations

from pydantic import Field

from services.common.events.types import Record

MAX_CHATS = 200  # in one request


class ChatsQuery(Record):
    """Request for several chats."""

    chat_ids: list[str] = Field(max_length=MAX_CHATS)
