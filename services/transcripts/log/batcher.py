"""Batcher: the deliveries that arrive while a batch is being written form the next batch. There is no timed wait."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from services.transcripts.log.delivery import DeliveredEvent, Delivery

RETRY_AFTER = 0.1  # seconds after which events that wait for their chat are tried again


class Batcher:
    """Holds the deliveries that arrived, and the events whose chat is not opened yet."""

    def __init__(self) -> None:
        self._arrived: asyncio.Queue[Delivery] = asyncio.Queue()
        self._waiting: list[DeliveredEvent] = []

    @property
    def is_empty(self) -> bool:
        """Whether no delivery has arrived since the last batch."""
        return self._arrived.empty()

    @property
    def waiting_for_chat(self) -> int:
        """The number of events whose chat is not opened yet."""
        return len(self._waiting)

    def add(self, delivery: Delivery) -> None:
        """Add a delivery that arrived."""
        self._arrived.put_nowait(delivery)

    def retry_later(self, events: Iterable[DeliveredEvent]) -> None:
        """Add events to a later batch, because their chat is not opened yet."""
        self._waiting += events

    def take_waiting(self) -> list[DeliveredEvent]:
        """Return the events whose chat was not opened; the batcher forgets them."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def clear(self) -> None:
        """Forget everything, because the broker delivers it again."""
        self._waiting.clear()
        while not self._arrived.empty():
            self._arrived.get_nowait()

    async def next(self) -> list[Delivery]:
        """Return all deliveries that have arrived, at least one.

        The list is empty when it is time to retry the events that wait for their chat.
        """
        try:
            async with asyncio.timeout(RETRY_AFTER if self._waiting else None):
                batch = [await self._arrived.get()]
        except TimeoutError:
            return []
        while not self._arrived.empty():
            batch.append(self._arrived.get_nowait())
        return batch
