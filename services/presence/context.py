"""Dependencies of the parts of presence."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from datetime import datetime

from services.common.clock import utcnow
from services.common.messaging.publisher import Publisher
from services.presence.agents.session_store import Session
from services.presence.stores import Stores


@dataclass(frozen=True)
class Context:
    """The stores, the publisher and what one part of the service needs of another.

    Attributes:
        stores: The stores.
        publisher: The publisher of events.
        wake: Called with the departments whose button depends on something that has changed.
        clock: Returns the present.
        left: Called with an agent who was set offline just now.
        connected: Whether one of these sessions of the agent has had an open websocket since so many seconds ago;
            None: not known yet.
        at_work: Whether this agent used the console within the last seconds.
        undecided: Ended sessions for which that was not known yet.
    """

    stores: Stores
    publisher: Publisher
    wake: Callable[[Iterable[str]], None]
    clock: Callable[[], datetime] = utcnow
    left: Callable[[str], None] = lambda agent_id: None
    connected: Callable[[str, Collection[str], float], bool | None] = lambda agent_id, session_ids, since: None
    at_work: Callable[[str], bool] = lambda agent_id: False
    undecided: dict[str, Session] = field(default_factory=dict)
