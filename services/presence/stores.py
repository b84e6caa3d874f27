"""The stores of presence: the only code that knows MongoDB."""

from __future__ import annotations

from services.common.mongo.client import Database
from services.common.mongo.leases import Leases
from services.presence.agents.attempt_store import AttemptStore
from services.presence.agents.officer_store import OfficerStore
from services.presence.agents.session_store import SessionStore
from services.presence.agents.store import AgentStore
from services.presence.button.queue_store import QueueStore
from services.presence.button.store import ButtonStore


class Stores:
    """One store for each collection of a database."""

    def __init__(self, database: Database) -> None:
        self.agents, self.sessions, self.attempts = AgentStore(database), SessionStore(database), AttemptStore(database)
        self.officers = OfficerStore(database)
        self.buttons, self.queues = ButtonStore(database), QueueStore(database)
        self.leases = Leases(database)
