"""What requests about several chats share. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from pydantic import Field

from services.common.events.types import Record

T = TypeVar("T")
MAX_CHATS = 200  # in one request


class ChatsQuery(Record):
    """Request for several chats."""

    chat_ids: list[str] = Field(max_length=MAX_CHATS)


def parts(items: list[T]) -> Iterator[list[T]]:
    """Split what is asked for into requests of at most `MAX_CHATS` chats."""
    for start in range(0, len(items), MAX_CHATS):
        yield items[start : start + MAX_CHATS]
