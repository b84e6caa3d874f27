"""Registry of the sessions of this replica: at most five for a participant."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Generic, TypeVar

from prometheus_client import Gauge

from services.common.events.types import Party
from services.gateway.participants.sessions import AgentSession, CitizenSession, Session
from services.gateway.websocket.frames.server import Close

PER_PARTICIPANT = 5
OPEN = Gauge("eloket_gateway_connections", "Open websockets", ["party"])
for _party in (Party.CITIZEN, Party.AGENT):  # exported from the start, so that the first one counts as an increase
    OPEN.labels(_party.value)

S = TypeVar("S", bound=Session)


class Group(Generic[S]):
    """The sessions of one party, by participant."""

    def __init__(self) -> None:
        self._by_participant: dict[str, list[S]] = {}

    def __iter__(self) -> Iterator[S]:
        """Return all sessions. The group may change meanwhile."""
        return iter([session for siblings in self._by_participant.values() for session in siblings])

    def __len__(self) -> int:
        """Return the number of participants."""
        return len(self._by_participant)

    def __contains__(self, participant: str) -> bool:
        """Return whether the participant has a session here."""
        return participant in self._by_participant

    def of(self, participant: str) -> list[S]:
        """Return the sessions of a participant."""
        return list(self._by_participant.get(participant, ()))

    def join(self, session: S) -> bool:
        """Add a session whose hello was accepted. Above five the connection of the oldest one is closed.

        Returns:
            True when it is the participant's first session here.
        """
        siblings = self._by_participant.setdefault(session.participant, [])
        if session in siblings:
            return False
        siblings.append(session)
        OPEN.labels(session.party.value).inc()
        for oldest in siblings[:-PER_PARTICIPANT]:
            oldest.connection.close(Close.TOO_MANY_CONNECTIONS, "more than five connections")
        return len(siblings) == 1

    def leave(self, session: S) -> bool:
        """Remove a session. Return True when it was the participant's last one here."""
        siblings = self._by_participant.get(session.participant, [])
        if session not in siblings:
            return False
        siblings.remove(session)
        OPEN.labels(session.party.value).dec()
        if siblings:
            return False
        del self._by_participant[session.participant]
        return True


class Registry:
    """All sessions of this replica.

    Attributes:
        citizens: The sessions of citizens.
        agents: The sessions of agents.
        agents_changed: Set when a connection of an agent was opened, is being closed or was closed.
    """

    def __init__(self) -> None:
        self.citizens: Group[CitizenSession] = Group()
        self.agents: Group[AgentSession] = Group()
        self.agents_changed = asyncio.Event()

    def __iter__(self) -> Iterator[Session]:
        """Return the sessions of both parties. The registry may change meanwhile."""
        yield from self.citizens
        yield from self.agents
