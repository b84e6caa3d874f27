"""Timers of citizens who wait for an answer. They run in every replica, because a repetition is harmless.

Only departments with `reassign_after` have them. A chat that is due stays due (its `answer_at` is in the past) until
the event is published: after a crash in between the next replica continues. The rules are in `rules.py`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from services.common.events.chats import AnswerOverdue
from services.common.messaging.publisher import Publisher
from services.common.observability.tracing import begin_trace
from services.transcripts.access.rules import Chat
from services.transcripts.jobs.timer_loop import check_for_ever
from services.transcripts.log.store import Store
from services.transcripts.unanswered.rules import LOOKED_BACK, look

AT_A_TIME = 200  # chats in one round


@dataclass(frozen=True)
class AnswerTimers:
    """Publishes that a citizen has waited too long. `after`: how long they may, by department.

    `well`: whether all messages until now are being stored.
    """

    store: Store
    publisher: Publisher
    after: Mapping[str, timedelta]
    clock: Callable[[], datetime]
    well: Callable[[], Awaitable[bool]]

    async def run(self) -> None:
        """Check until cancelled. A round that fails because of an outage is repeated."""
        await check_for_ever("answers", self.check_due)

    async def check_due(self) -> None:
        """Check each chat that is due once, the longest due first."""
        if not self.after or not await self.well():
            return
        for chat, due_at in await self.store.due_answers(self.clock(), AT_A_TIME):
            begin_trace(chat_id=chat.chat_id)
            await self._check(chat, due_at)

    async def _check(self, chat: Chat, due_at: datetime) -> None:
        limit = self.after.get(chat.in_department)
        latest = (await self.store.latest([chat.chat_id], LOOKED_BACK)).get(chat.chat_id, [])
        since, next_at = look(latest, limit, self.clock()) if limit else (None, None)
        if since:
            answered = await self.store.last_answer(chat.chat_id)
            overdue = AnswerOverdue(chat_id=chat.chat_id, turn=chat.turn, since=since, answered=answered)
            await self.publisher.publish(overdue)
        await self.store.set_next_answer_check(chat.chat_id, due_at, next_at)
