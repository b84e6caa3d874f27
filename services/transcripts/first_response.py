"""Metrics of the first response: how long citizens wait for the first word of an agent, once for each chat."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime

import structlog

from services.common.events.types import Entry, Party
from services.common.lru import LruCache
from services.common.messaging.consumer import DEPENDENCY_ERRORS
from services.transcripts.log.store import Store
from services.transcripts.metrics import FIRST_ANSWER

log = structlog.get_logger()

REMEMBERED = 10_000  # chats that are known to be answered
MOST = 1_000  # first words that wait to be measured; more are not
OTHER = "other"  # the label of departments that are no longer in the departments file


class FirstResponses:
    """The chat's document says whether somebody has answered, so that it counts once, whichever replica stored it."""

    def __init__(self, store: Store, departments: Collection[str]) -> None:
        self._store, self._departments = store, frozenset(departments)
        self._answered: LruCache[bool] = LruCache(REMEMBERED)
        self._first: asyncio.Queue[tuple[str, datetime]] = asyncio.Queue(MOST)
        for department in departments:
            FIRST_ANSWER.labels(department)

    def note(self, entry: Entry) -> None:
        """This entry is stored. Costs nothing but a look, once a chat is answered."""
        if entry.party is not Party.AGENT or entry.chat_id in self._answered or self._first.full():
            return
        self._answered.set(entry.chat_id, True)
        self._first.put_nowait((entry.chat_id, entry.at))

    async def run(self) -> None:
        """Measures until cancelled. What cannot be measured because the database is away is left out."""
        while True:
            chat_id, at = await self._first.get()
            try:
                await self.measure(chat_id, at)
            except DEPENDENCY_ERRORS as error:
                log.info("first_answer_not_measured", chat_id=chat_id, error=type(error).__name__)

    async def measure(self, chat_id: str, at: datetime) -> None:
        """An agent said something in this chat then; it counts when nobody had before. Raises `PyMongoError`."""
        if not await self._store.answered(chat_id):
            return
        chat = await self._store.chat(chat_id)
        if chat is None:
            return
        label = chat.department if chat.department in self._departments else OTHER
        FIRST_ANSWER.labels(label).observe(max(0.0, (at - chat.opened_at).total_seconds()))
