"""Metrics of the first response: how long citizens wait for the first message of an agent, once for each chat."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime

import structlog

from services.common.events.types import Entry, Party
from services.common.lru import LruCache
from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.transcripts.log.store import Store
from services.transcripts.metrics import FIRST_ANSWER

log = structlog.get_logger()

REMEMBERED = 10_000  # chats that are known to be answered
MOST = 1_000  # first messages that wait to be measured; beyond that they are not measured
OTHER = "other"  # the label of departments that are no longer in the departments file


class FirstResponses:
    """Measures first responses.

    The chat's document records whether an agent has answered, so that each chat counts once, whichever replica stored
    the message.
    """

    def __init__(self, store: Store, departments: Collection[str]) -> None:
        """Measure nothing yet. `departments`: all of them, as the departments file has them now."""
        self._store, self._departments = store, departments
        self._answered: LruCache[bool] = LruCache(REMEMBERED)
        self._first: asyncio.Queue[tuple[str, datetime]] = asyncio.Queue(MOST)
        self.begin_at_nothing()

    def begin_at_nothing(self) -> None:
        """Export the metrics of each department from the start, so that the first response is an increase."""
        for department in self._departments:
            FIRST_ANSWER.labels(department)

    def note(self, entry: Entry) -> None:
        """Note a stored entry. For a chat that was answered before this costs only a lookup."""
        if entry.party is not Party.AGENT or entry.chat_id in self._answered or self._first.full():
            return
        self._answered.set(entry.chat_id, True)
        self._first.put_nowait((entry.chat_id, entry.at))

    async def run(self) -> None:
        """Measure until cancelled. A response that cannot be measured because of a dependency outage is left out."""
        while True:
            chat_id, at = await self._first.get()
            try:
                await self.measure(chat_id, at)
            except DEPENDENCY_ERRORS as error:
                log.info("first_answer_not_measured", chat_id=chat_id, error=type(error).__name__)

    async def measure(self, chat_id: str, at: datetime) -> None:
        """Measure the message of an agent at this time, if it is the first one of the chat.

        Raises:
            PyMongoError: The database does not answer.
        """
        if not await self._store.answered(chat_id):
            return
        chat = await self._store.chat(chat_id)
        if chat is None:
            return
        label = chat.department if chat.department in self._departments else OTHER
        FIRST_ANSWER.labels(label).observe(max(0.0, (at - chat.opened_at).total_seconds()))
