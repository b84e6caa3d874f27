"""What every part of routing works with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from services.clock import utcnow
from services.routing import pace
from services.routing.admission import Admission
from services.routing.chat import Chat, Limits
from services.routing.queue import Queue
from services.routing.store import Store
from services.routing.telling import Telling


@dataclass(frozen=True)
class Desk:
    """The chats, the queues, and how both are told. `clock` gives the present time, aware."""

    store: Store
    queue: Queue
    telling: Telling
    admission: Admission
    clock: Callable[[], datetime] = utcnow
    limits: Limits = field(default_factory=Limits)

    async def keep_pace(self, before: Chat, after: Chat) -> None:
        """How long an agent handled the chat that this change has ended counts in his department's pace."""
        seconds = pace.handled(before, after)
        if seconds is not None and before.department:
            await self.queue.ledger.add_handled(before.department, seconds)
