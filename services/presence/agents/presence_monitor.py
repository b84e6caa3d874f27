"""Presence of agents: what the heartbeats of the gateways name, and its consequences.

Nothing is written for a heartbeat. Only changes between online and offline are, by compare-and-set. Time is this
process's own, and counts only while it receives its own echo (failure_detector.py), so that a backlog or an outage
makes no agent offline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import TypeVar

import structlog

from services.common.events.presence import GatewayConnections
from services.common.events.types import AgentConnection, ReleaseReason
from services.common.messaging import topology
from services.common.messaging.heartbeat_listener import HeartbeatListener
from services.common.messaging.publisher import Publisher
from services.common.messaging.retry import DEPENDENCY_ERRORS
from services.presence.agents.session_store import Session
from services.presence.agents.transitions import close_undecided, go_offline, go_online
from services.presence.context import Context
from services.presence.slots.rules import Agent

log = structlog.get_logger()
T = TypeVar("T")

LOOK = 0.5  # seconds between checks for agents who are gone
ANYWAY = 2.0  # seconds after which all online agents are read; in between only those that the heartbeats list as new
SPACING = 0.05  # seconds between two checks, in which changes are gathered
AT_ONCE = 8  # agents whose state changes at a time
SHOWN_AFTER = 0.3  # seconds until a gateway's list shows a closed connection; it is published 20 ms after a change
KNOWN = topology.HEARTBEAT_INTERVAL + 0.5  # seconds of listening after which every gateway has published its list


class AgentPresence:
    """Knows which agents and sessions have an open websocket, as far as this process has received.

    `news` is set when a list names an agent not known to be online, and while the end of a session is undecided.
    `sessions` knows which sessions have an open websocket. A gateway before version 2.0 names agents only; its entries
    are stored under the key `_unnamed`, which stands for any session of the agent.
    """

    def __init__(
        self,
        url: str,
        publisher: Publisher,
        grace: float,
        undecided: Mapping[str, Session],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create it with a listener that is not connected yet.

        Args:
            url: The address of the broker.
            publisher: The publisher, for echoes.
            grace: Seconds without a heartbeat after which an agent is offline.
            undecided: The ended sessions for which a list may decide.
            clock: A monotonic clock, in seconds, by which everything is judged.
        """
        self.clock = clock
        self.listener = HeartbeatListener(url, "presence", publisher, clock, self._handle_list)
        self.agents, self.sessions = self.listener.detect(_agents, grace), self.listener.detect(_all_sessions, grace)
        self.news = asyncio.Event()
        self.online: set[str] = set()
        self._active: dict[str, float] = {}  # agent → when they last used their console
        self._undecided = undecided

    def at_work(self, agent_id: str) -> bool:
        """Return whether this agent used the console within the last `topology.ACTIVE_LASTS` seconds."""
        return self.clock() - self._active.get(agent_id, float("-inf")) <= topology.ACTIVE_LASTS

    def connected(self, agent_id: str, session_ids: Collection[str], since: float) -> bool | None:
        """Return whether one of these sessions of the agent has an open websocket.

        Returns:
            True when a list that came `SHOWN_AFTER` seconds after the moment `since` seconds ago names one. None when
            only an earlier list names one, or when this process has not listened long enough to know every gateway.
            Otherwise False.
        """
        now = self.clock()
        known = self.agents.receives(now) and now - (self.agents.started or now) >= KNOWN
        wanted = {*session_ids, _unnamed(agent_id)}
        if known and wanted.isdisjoint(self.sessions.present(now)):
            return False
        return True if known and self.sessions.named_since(wanted, now - since + SHOWN_AFTER, now) else None

    def left(self, agent_id: str) -> None:
        """Record that this agent was set offline just now."""
        self.online.discard(agent_id)

    def _handle_list(self, event: GatewayConnections) -> None:
        self._note_active(event.active or {}, self.clock())
        if self._undecided or (not event.leaving and _agents(event).keys() - self.online):
            self.news.set()

    def _note_active(self, active: Mapping[str, float], now: float) -> None:
        for agent_id, unused in active.items():
            self._active[agent_id] = max(now - unused, self._active.get(agent_id, float("-inf")))
        self._active = {who: at for who, at in self._active.items() if now - at <= topology.ACTIVE_LASTS}


class PresenceMonitor:
    """Sets agents online and offline by what the listener receives."""

    def __init__(self, context: Context, presence: AgentPresence, grace: float) -> None:
        self._context, self._presence, self._grace = context, presence, grace
        self._known_since: dict[str, float] = {}
        self._asked = float("-inf")

    async def run(self) -> None:
        """Check at each change of the lists and twice a second, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    await self._presence.news.wait()
            except TimeoutError:
                pass
            self._presence.news.clear()
            try:
                await close_undecided(self._context)
                if not self._is_due(self._presence.clock()):
                    continue
                await self.look()
            except DEPENDENCY_ERRORS as error:
                log.warning("agents_not_checked", error=type(error).__name__)
                await asyncio.sleep(LOOK)
            await asyncio.sleep(SPACING)

    def _is_due(self, now: float) -> bool:
        return now - self._asked >= ANYWAY or self._presence.agents.present(now) != self._presence.online

    async def look(self) -> None:
        """Set the listed agents online and the missing ones offline.

        Nothing changes while the listener does not receive its own echo. While many log in, each look reads those who
        are new in the lists, and not all who are online.
        """
        detector, now = self._presence.agents, self._presence.clock()
        if not detector.receives(now):
            return
        # Another replica may have seen the agent first: absence counts from when this one knew that they are online.
        if now - self._asked >= ANYWAY:
            self._asked = now
            online = await self._context.stores.agents.online_ids()
            self._known_since = {who: self._known_since.get(who, now) for who in online}
            self._presence.online = online
        elif listed := detector.present(now) - self._presence.online:
            found = await self._context.stores.agents.online_ids(listed)
            self._known_since.update(dict.fromkeys(found, now))
            self._presence.online |= found
        online = self._presence.online
        came = await self._admitted(detector.present(now) - online)
        absent = [w for w in detector.absent(online, now) if now - self._known_since.get(w, now) >= self._grace]
        await _for_each(came, self._set_online)
        await _for_each(absent, self._set_offline)
        detector.forget_stale(now)
        self._presence.sessions.forget_stale(now)

    async def _admitted(self, listed: set[str]) -> list[Agent]:
        """Return those of the listed agents who have a live session with an open websocket.

        An agent whose only open websocket belongs to a session that has ended would otherwise be online for a moment
        after each logout. Agents are read before their sessions: a logout in between changes their `v`.
        """
        agents = await self._context.stores.agents.offline(listed) if listed else []
        if not agents:
            return []
        live = await self._context.stores.sessions.live([a.id for a in agents], self._context.clock())
        connected = self._presence.sessions.present(self._presence.clock())
        return [a for a in agents if a.id in live and not connected.isdisjoint({*live[a.id], _unnamed(a.id)})]

    async def _set_online(self, agent: Agent) -> None:
        if await go_online(self._context, agent):
            self._presence.online.add(agent.id)
            self._known_since[agent.id] = self._presence.clock()

    async def _set_offline(self, agent_id: str) -> None:
        agent = await self._context.stores.agents.agent(agent_id)
        if not agent or not agent.online or await go_offline(self._context, agent, ReleaseReason.AGENT_GONE):
            self._presence.online.discard(agent_id)


def _unnamed(agent_id: str) -> str:
    return f"any session of {agent_id}"


def _agents(event: GatewayConnections) -> dict[str, float]:
    """Return the agents that a list names, with the seconds since each one's last sign of life."""
    return {a.agent_id: a.silent_for for a in event.agents}


def _all_sessions(event: GatewayConnections) -> dict[str, float]:
    """Return the sessions that a list names, with the seconds since each one's last sign of life."""
    return {s: a.silent_for for a in event.agents for s in _sessions(a)}


def _sessions(agent: AgentConnection) -> list[str]:
    return [_unnamed(agent.agent_id)] if agent.sessions is None else agent.sessions


async def _for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> None:
        async with gate:
            await work(item)

    await asyncio.gather(*(one(item) for item in items))
