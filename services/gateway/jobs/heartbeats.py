"""Heartbeats: the list of this gateway's connections, for presence and routing."""

from __future__ import annotations

import asyncio

from services.common.events.presence import GatewayConnections
from services.common.events.types import AgentConnection
from services.common.messaging import topology
from services.common.messaging.publisher import Publisher
from services.gateway.participants.sessions import Registry

CITIZENS_EACH = 3  # every third list of connections includes the citizens
SOON = 0.02


class Heartbeat:
    """Publishes the list of connections: every 2 s, and 20 ms after each change of the agents."""

    def __init__(self, incarnation: str, registry: Registry, publisher: Publisher) -> None:
        """Create the job.

        Args:
            incarnation: The id of this process.
            registry: The sessions of this replica. Its `agents_changed` causes a list between two intervals.
            publisher: The publisher of events.
        """
        self._incarnation, self._registry, self._publisher = incarnation, registry, publisher
        self._counter = 0

    async def run(self) -> None:
        """Publish the list until cancelled."""
        while True:
            try:
                async with asyncio.timeout(topology.HEARTBEAT_INTERVAL):
                    await self._registry.agents_changed.wait()
                await asyncio.sleep(SOON)
            except TimeoutError:
                pass
            self._registry.agents_changed.clear()
            await self._publisher.publish_best_effort(self.list_now())

    def list_now(self, leaving: bool = False) -> GatewayConnections:
        """Return the present list.

        Args:
            leaving: Whether this gateway is about to end.
        """
        now, registry = asyncio.get_running_loop().time(), self._registry
        silent: dict[str, float] = {}
        active: dict[str, float] = {}
        writing: dict[str, float] = {}
        sessions: dict[str, set[str]] = {}
        for session in registry.agents:
            if not session.connection.closing:  # a browser may take long to complete the close
                agent_id, age = session.agent.id, max(0.0, now - session.connection.last_received)
                silent[agent_id] = min(age, silent.get(agent_id, age))
                sessions.setdefault(agent_id, set()).add(session.session_id)
                if (unused := now - session.active_at) <= topology.ACTIVE_LASTS:
                    active[agent_id] = min(unused, active.get(agent_id, unused))
                for chat_id, still in session.writing(now, topology.WRITING_LASTS).items():
                    writing[chat_id] = min(still, writing.get(chat_id, still))
        chats = {session.chat_id for session in registry.citizens}
        self._counter += 1
        return GatewayConnections(
            incarnation=self._incarnation,
            counter=self._counter,
            agents=[AgentConnection(agent_id=a, silent_for=s, sessions=sorted(sessions[a])) for a, s in silent.items()],
            chats=sorted(chats) if self._counter % CITIZENS_EACH == 1 else None,
            active=active or None,
            writing=writing or None,
            leaving=leaving,
            digests=True,
        )

    async def leave(self) -> None:
        """Publish the last list, which says that this gateway ends."""
        await self._publisher.publish_best_effort(self.list_now(leaving=True))
