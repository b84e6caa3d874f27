"""Dependencies of routing's handlers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from services.common.clock import utcnow
from services.routing.chats.admission import Admission
from services.routing.chats.chat import Chat, Limits
from services.routing.chats.store import Store
from services.routing.publisher import ChatPublisher
from services.routing.queues import wait_estimate
from services.routing.queues.announcer import Announcer
from services.routing.queues.slot_requests import SlotRequests
from services.routing.queues.store import QueueStore


@dataclass(frozen=True)
class Context:
    """The stores, the queues and the publisher, as handlers use them. `clock` returns the present with a time zone."""

    store: Store
    queue_store: QueueStore
    slot_requests: SlotRequests
    announcer: Announcer
    chat_publisher: ChatPublisher
    admission: Admission
    clock: Callable[[], datetime] = utcnow
    limits: Limits = field(default_factory=Limits)

    async def record_handling_time(self, before: Chat, after: Chat) -> None:
        """Record how long an agent handled the chat that this change has ended.

        The estimated wait of the department uses it.
        """
        seconds = wait_estimate.handled(before, after)
        if seconds is not None and before.department:
            await self.queue_store.add_handled(before.department, seconds)
