"""Publisher of a chat's changes: events, one log line, metrics."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from services.common.events.chats import AcceptOverdue
from services.common.messaging.connection import Publisher
from services.routing.chats.chat import Chat, state_of
from services.routing.chats.rules import told
from services.routing.chats.store import Store
from services.routing.metrics import ABANDONED, ASSIGNED, CLOSED, OPENED, OTHER, REQUEUED, WAITED
from services.routing.queues.queue import Queue

log = structlog.get_logger()


class Telling:
    """Tells events about chats, and keeps the record of what happened."""

    def __init__(self, store: Store, publisher: Publisher, queue: Queue, departments: Collection[str]) -> None:
        self._store, self._publisher, self._queue = store, publisher, queue
        self._departments = frozenset(departments)

    async def state(self, chat: Chat) -> None:
        """The state of this chat is told, when there is anything to tell. Raises `Unconfirmed`."""
        if event := state_of(chat):
            await self._publisher.publish(event)

    async def marked(self, chat: Chat) -> None:
        """A timer's or transfer's change is told, then its mark goes. Raises `Unconfirmed`: then the mark stays.

        The late agent is paused before his seat comes free, or he would be given the same chat again.
        """
        if chat.overdue_agent and chat.overdue_turn is not None:
            await self._publisher.publish(
                AcceptOverdue(chat_id=chat.id, turn=chat.overdue_turn, agent_id=chat.overdue_agent)
            )
        await self.state(chat)
        await self._store.change(chat.id, lambda c: told(c) if c.v == chat.v else c, known=chat)

    def record(self, before: Chat, after: Chat, why: str = "") -> None:
        """Logs and counts what changed, and rings for the queues that changed with it."""
        if after.v == before.v:
            return
        if before.waits or after.waits:
            self._queue.ring(before.department, after.department)
        if before.waits:
            self._queue.left(before.department)
        if before.opened_at is None and after.opened_at is not None and not after.closed:
            OPENED.labels(self.label(after.department)).inc()
            log.info("chat_opened", department=after.department, locale=after.locale)
        if after.assigned and before.assigned:
            log.info("chat_accepted", agent_id=after.agent_id, turn=after.turn, why=why)
        elif after.assigned:
            self._record_assigned(after)
        elif after.closed:
            CLOSED.labels(str(after.reason)).inc()
            if before.waits:
                ABANDONED.labels(self.label(before.department), str(after.reason)).inc()
            log.info("chat_closed", reason=after.reason, why=why, turn=after.turn, agent_id=after.agent_id)
        elif after.turn > 1:
            REQUEUED.labels(why).inc()
            log.info("chat_requeued", reason=why, turn=after.turn, former_agent_id=after.former_agent_id)

    def _record_assigned(self, after: Chat) -> None:
        got = after.assignments[-1]
        rule = got.choice.rule.value if got.choice else None
        ASSIGNED.labels(self.label(after.department)).inc()
        WAITED.labels(self.label(after.department)).observe(got.waited)
        log.info("chat_assigned", agent_id=got.agent_id, turn=got.turn, waited=round(got.waited, 3), rule=rule)

    def label(self, department: str | None) -> str:
        """A department as the label of a metric: bounded by the departments file."""
        return department if department in self._departments else OTHER
