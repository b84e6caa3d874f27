"""Presence of agents: heartbeats of the gateways, received in a queue of this process, and their consequences.

Nothing is written for a heartbeat. Only changes between online and offline are, by compare-and-set. Time is this
process's own, and counts only while it receives its own echo (failure_detector.py), so that a backlog or an outage
makes no agent offline.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

import structlog
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pydantic import ValidationError

from services.common.events.codec import decode
from services.common.events.presence import GatewayConnections, ListenerEcho
from services.common.events.types import AgentConnection, ReleaseReason
from services.common.failure_detector import FailureDetector
from services.common.messaging import topology
from services.common.messaging.connection import BrokerConnection, prepare_topology
from services.common.messaging.consumer import DEPENDENCY_ERRORS
from services.presence.agents import session_store, store
from services.presence.publisher import Context, arrive, close_undecided, depart
from services.presence.slots.rules import Agent

log = structlog.get_logger()
T = TypeVar("T")

LOOK = 0.5  # seconds between checks for agents who are gone
ANYWAY = 2.0  # seconds after which the database is read even when the heartbeats list exactly the online agents
SPACING = 0.05  # seconds between two checks, in which changes are gathered
AT_ONCE = 8  # agents whose state changes at a time
SETTLED = 0.3  # seconds after which a gateway's list shows a closed connection: it is published 20 ms after each change
KNOWN = topology.HEARTBEAT_INTERVAL + 0.5  # seconds of listening after which every gateway has published its list


class Listener:
    """Receives every gateway's list and its own echo.

    `news` is set when a list names an agent not known to be online, and while the end of a session is undecided.
    `sessions` knows which sessions have an open websocket. A gateway before version 1.2 names agents only; its entries
    are stored under the key `_unnamed`, which stands for any session of the agent.
    """

    def __init__(
        self,
        url: str,
        context: Context,
        grace: float,
        given: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a listener that is not connected yet.

        Args:
            url: The address of the broker.
            context: Dependencies of the service.
            grace: Seconds without a heartbeat after which an agent is gone.
            given: True when exchanges, queues and bindings are declared outside this service (`TOPOLOGY`).
            clock: A monotonic clock, in seconds, by which everything is judged.
        """
        self._given, self.clock = given, clock
        self.detector, self.sessions = FailureDetector(grace), FailureDetector(grace)
        self.news = asyncio.Event()
        self.online: set[str] = set()
        self._active: dict[str, float] = {}  # agent → when they last used their console
        self._context = context
        self._id = str(uuid.uuid4())
        self._link = BrokerConnection(url, "presence.listener", self._prepare)

    @property
    def up(self) -> bool:
        """True while it receives its own echo."""
        return self.detector.receives(self.clock())

    def at_work(self, agent_id: str) -> bool:
        """Return whether this agent used the console within the last `topology.ACTIVE_LASTS` seconds."""
        return self.clock() - self._active.get(agent_id, float("-inf")) <= topology.ACTIVE_LASTS

    def connected(self, agent_id: str, session_ids: Collection[str], since: float) -> bool | None:
        """Return whether one of these sessions of the agent has an open websocket.

        Returns:
            True when a list that came `SETTLED` seconds after the moment `since` seconds ago names one. None when
            only an earlier list names one, or when this process has not listened long enough to know every gateway.
            Otherwise False.
        """
        now = self.clock()
        known = self.detector.receives(now) and now - (self.detector.started or now) >= KNOWN
        wanted = {*session_ids, _unnamed(agent_id)}
        if known and wanted.isdisjoint(self.sessions.present(now)):
            return False
        return True if known and self.sessions.named_since(wanted, now - since + SETTLED, now) else None

    async def run(self) -> None:
        """Listen until cancelled."""
        await self._link.run()

    async def echo(self) -> None:
        """Publish an echo for this listener itself, until cancelled."""
        counter = 0
        while True:
            await self._link.up.wait()
            counter += 1
            await self._context.publisher.publish_best_effort(ListenerEcho(listener=self._id, counter=counter))
            await asyncio.sleep(topology.HEARTBEAT_INTERVAL if self.detector.started is not None else 0.2)

    async def _prepare(self, channel: AbstractChannel) -> None:
        async with asyncio.timeout(30):
            await prepare_topology(channel, "presence", self._given)
            queue = await channel.declare_queue(
                exclusive=True, auto_delete=True, arguments=dict[str, Any](topology.LISTENER_QUEUE_ARGUMENTS)
            )
            for key in topology.LISTENER_KEYS:
                await queue.bind(topology.EXCHANGE, key)
            await queue.consume(self._handle, no_ack=True)

    async def _handle(self, message: AbstractIncomingMessage) -> None:
        try:
            event = decode(message.body)
        except ValidationError:
            log.warning("heartbeat_not_understood")
            return
        now = self.clock()
        if isinstance(event, ListenerEcho) and event.listener == self._id:
            self.detector.echo(now)
            self.sessions.echo(now)
        elif isinstance(event, GatewayConnections):
            self._note_active(event.active or {}, now)
            here = {a.agent_id: a.silent_for for a in event.agents}
            self.detector.record(event.incarnation, event.counter, here, now, event.leaving)
            open_ = {s: a.silent_for for a in event.agents for s in _sessions(a)}
            self.sessions.record(event.incarnation, event.counter, open_, now, event.leaving)
            if self._context.undecided or (not event.leaving and here.keys() - self.online):
                self.news.set()

    def _note_active(self, active: Mapping[str, float], now: float) -> None:
        for agent_id, unused in active.items():
            self._active[agent_id] = max(now - unused, self._active.get(agent_id, float("-inf")))
        self._active = {who: at for who, at in self._active.items() if now - at <= topology.ACTIVE_LASTS}


class PresenceMonitor:
    """Sets agents online and offline by what the listener receives."""

    def __init__(self, context: Context, listener: Listener, grace: float) -> None:
        self._context, self._listener, self._grace = context, listener, grace
        self._known_since: dict[str, float] = {}
        self._asked = float("-inf")

    async def run(self) -> None:
        """Check at each change of the lists and twice a second, until cancelled."""
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    await self._listener.news.wait()
            except TimeoutError:
                pass
            self._listener.news.clear()
            try:
                await close_undecided(self._context)
                if not self._is_due(self._listener.clock()):
                    continue
                await self.look()
            except DEPENDENCY_ERRORS as error:
                log.warning("agents_not_checked", error=type(error).__name__)
                await asyncio.sleep(LOOK)
            await asyncio.sleep(SPACING)

    def _is_due(self, now: float) -> bool:
        return now - self._asked >= ANYWAY or self._listener.detector.present(now) != self._listener.online

    async def look(self) -> None:
        """Set the listed agents online and the missing ones offline.

        Nothing changes while the listener does not receive its own echo.
        """
        detector, now = self._listener.detector, self._listener.clock()
        if not detector.receives(now):
            return
        self._asked = now
        online = await store.online_ids(self._context.db)
        # Another replica may have seen the agent first: absence counts from when this one knew that they are online.
        self._known_since = {who: self._known_since.get(who, now) for who in online}
        self._listener.online = online
        came = await self._admitted(detector.present(now) - online)
        gone = [w for w in detector.gone(online, now) if now - self._known_since[w] >= self._grace]
        await _for_each(came, self._arrive)
        await _for_each(gone, self._depart)
        detector.forget_stale(now)
        self._listener.sessions.forget_stale(now)

    async def _admitted(self, listed: set[str]) -> list[Agent]:
        """Return those of the listed agents who have a live session with an open websocket.

        An agent whose only open websocket belongs to a session that has ended would otherwise be online for a moment
        after each logout. Agents are read before their sessions: a logout in between changes their `v`.
        """
        agents = await store.absent(self._context.db, listed) if listed else []
        if not agents:
            return []
        live = await session_store.live(self._context.db, [a.id for a in agents], self._context.clock())
        connected = self._listener.sessions.present(self._listener.clock())
        return [a for a in agents if a.id in live and not connected.isdisjoint({*live[a.id], _unnamed(a.id)})]

    async def _arrive(self, agent: Agent) -> None:
        if await arrive(self._context, agent):
            self._listener.online.add(agent.id)

    async def _depart(self, agent_id: str) -> None:
        agent = await store.agent(self._context.db, agent_id)
        if agent and agent.online and await depart(self._context, agent, ReleaseReason.AGENT_GONE):
            self._listener.online.discard(agent_id)


def _unnamed(agent_id: str) -> str:
    return f"any session of {agent_id}"


def _sessions(agent: AgentConnection) -> list[str]:
    return [_unnamed(agent.agent_id)] if agent.sessions is None else agent.sessions


async def _for_each(items: Iterable[T], work: Callable[[T], Awaitable[None]]) -> None:
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> None:
        async with gate:
            await work(item)

    await asyncio.gather(*(one(item) for item in items))
