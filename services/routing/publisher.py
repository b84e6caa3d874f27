"""Publisher of a chat's changes: events, one log line, metrics."""

from __future__ import annotations

from collections.abc import Collection

import structlog

from services.common.events.chats import AcceptOverdue
from services.common.messaging.publisher import Publisher
from services.routing.chats.chat import Chat, state_of
from services.routing.chats.rules import published
from services.routing.chats.store import Store
from services.routing.metrics import ABANDONED, ASSIGNED, CLOSED, OPENED, OTHER, REQUEUED, REVOKED, WAITED
from services.routing.queues.announcer import Announcer
from services.routing.queues.slot_requests import SlotRequests

log = structlog.get_logger()


class ChatPublisher:
    """Publishes events about chats, and records changes in log and metrics."""

    def __init__(
        self,
        store: Store,
        publisher: Publisher,
        slot_requests: SlotRequests,
        announcer: Announcer,
        departments: Collection[str],
    ) -> None:
        """Create a publisher. `departments`: all of them, as the departments file has them now."""
        self._store, self._publisher = store, publisher
        self._slot_requests, self._announcer = slot_requests, announcer
        self._departments = departments

    async def state(self, chat: Chat) -> None:
        """Publish the state of this chat, if it has one.

        Raises:
            Unconfirmed: The broker did not confirm it.
        """
        if event := state_of(chat):
            await self._publisher.publish(event)

    async def marked(self, chat: Chat) -> None:
        """Publish a timer's or transfer's change, then remove its mark.

        The agent who did not accept in time is paused before their slot is freed; otherwise they would get the same
        chat again.

        Raises:
            Unconfirmed: The broker did not confirm it; the mark stays.
        """
        if chat.overdue_agent and chat.overdue_turn is not None:
            await self._publisher.publish(
                AcceptOverdue(chat_id=chat.id, turn=chat.overdue_turn, agent_id=chat.overdue_agent)
            )
        await self.state(chat)
        await self._store.change(chat.id, lambda c: published(c) if c.v == chat.v else c, known=chat)

    def record(self, before: Chat, after: Chat, why: str = "") -> None:
        """Log and count a change, and request publication of the queues that changed with it."""
        if after.v == before.v:
            return
        if after.revoked_by is not None and after.revoked_by is not before.revoked_by:
            REVOKED.labels(after.revoked_by.value).inc()
            log.info("chat_token_revoked", by=after.revoked_by)
            if before.closed:
                return
        if before.waits or after.waits:
            self._announcer.changed(before.department, after.department)
        if before.waits:
            self._slot_requests.left(before.department)
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
            log.info(
                "chat_requeued",
                reason=why,
                turn=after.turn,
                former_agent_id=after.former_agent_id,
                department=after.department,
                wanted_agent_id=after.wanted_agent,
            )

    def _record_assigned(self, after: Chat) -> None:
        got = after.assignments[-1]
        rule = got.choice.rule.value if got.choice else None
        ASSIGNED.labels(self.label(after.department)).inc()
        WAITED.labels(self.label(after.department)).observe(got.waited)
        log.info("chat_assigned", agent_id=got.agent_id, turn=got.turn, waited=round(got.waited, 3), rule=rule)

    def label(self, department: str | None) -> str:
        """Return a department as the label of a metric, which the departments file bounds."""
        return department if department is not None and department in self._departments else OTHER
