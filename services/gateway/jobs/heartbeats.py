"""Heartbeats: the list of this gateway's connections, for presence and routing."""

from __future__ import annotations

import asyncio

from services.common.events.presence import GatewayConnections
from services.common.events.types import AgentConnection, Party
from services.common.messaging import topology
from services.common.messaging.connection import Publisher
from services.gateway.websocket.connection import Register

CITIZENS_EACH = 3  # every third list of connections includes the citizens
SOON = 0.02


class Heartbeat:
    """Publishes the list of connections: every 2 s, and 20 ms after each change of the agents."""

    def __init__(self, incarnation: str, registry: Register, publisher: Publisher) -> None:
        """Create the job.

        Args:
            incarnation: The id of this process.
            registry: The connections of this replica. Its `agents_changed` causes a list between two intervals.
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
        sessions: dict[str, set[str]] = {}
        for connection in registry.of_party(Party.AGENT):
            if connection.agent and not connection.closing:  # a browser may take long to complete the close
                agent_id, age = connection.agent.id, max(0.0, now - connection.heard())
                silent[agent_id] = min(age, silent.get(agent_id, age))
                sessions.setdefault(agent_id, set()).add(connection.session_id)
                if (unused := now - connection.active_at) <= topology.ACTIVE_LASTS:
                    active[agent_id] = min(unused, active.get(agent_id, unused))
        chats = {c.chat_id for c in registry.of_party(Party.CITIZEN) if c.chat_id}
        self._counter += 1
        return GatewayConnections(
            incarnation=self._incarnation,
            counter=self._counter,
            agents=[AgentConnection(agent_id=a, silent_for=s, sessions=sorted(sessions[a])) for a, s in silent.items()],
            chats=sorted(chats) if self._counter % CITIZENS_EACH == 1 else None,
            active=active or None,
            leaving=leaving,
        )

    async def leave(self) -> None:
        """Publish the last list, which says that this gateway ends."""
        await self._publisher.publish_best_effort(self.list_now(leaving=True))
