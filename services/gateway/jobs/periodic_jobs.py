"""Periodic jobs of a gateway: heartbeats, `sync` frames, comparison with the ends of the logs, resync."""

from __future__ import annotations

import asyncio
import time

import structlog

from services.common.events.agents import AgentChanged
from services.common.events.presence import GatewayConnections
from services.common.events.types import AgentConnection, Party
from services.common.internal_api import presence as presence_api
from services.common.messaging import topology
from services.common.messaging.connection import Publisher
from services.gateway.button_state import Buttons
from services.gateway.chats.citizen_presence import FORGET_AFTER
from services.gateway.chats.log_cursor import State
from services.gateway.chats.subscriptions import Subscriptions
from services.gateway.clients.upstream import Declined, Unavailable
from services.gateway.participants.agent import Agents
from services.gateway.websocket.connection import Connection
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.server import Close

log = structlog.get_logger()
SYNC_INTERVAL = 5.0  # a browser that receives nothing for twice as long assumes that its connection is dead
SYNC_PARTS = 10  # of one round, so that many connections cause no burst
AGENT_PARTS = 2  # an agent's page gets one each second: it must reconnect before the agent counts as offline
TAILS_QUIET = 12.0  # seconds without an event or comparison, after which a chat is compared; with the rounds at most 15
TAILS_ROUND = 1.5
TAILS_AT_A_TIME, TAILS_PAUSE = 50, 0.05  # chats in one request, seconds between two: many chats cause no burst
PRESENCE_INTERVAL = 15.0
CITIZENS_EACH = 3  # every third list of connections includes the citizens
SOON = 0.02


class Heartbeat:
    """Publishes the list of connections: every 2 s, and 20 ms after each change of the agents."""

    def __init__(self, following: Subscriptions, publisher: Publisher) -> None:
        self._hub, self._publisher = following.hub, publisher
        self._counter = 0
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Record that an agent's connection opened, is closing or closed."""
        self._changed.set()

    async def run(self) -> None:
        """Publish the list until cancelled."""
        while True:
            try:
                async with asyncio.timeout(topology.HEARTBEAT_INTERVAL):
                    await self._changed.wait()
                await asyncio.sleep(SOON)
            except TimeoutError:
                pass
            self._changed.clear()
            await self._publisher.publish_best_effort(self.list_now())

    def list_now(self, leaving: bool = False) -> GatewayConnections:
        """Return the present list.

        Args:
            leaving: Whether this gateway is about to end.
        """
        now, register = asyncio.get_running_loop().time(), self._hub.register
        silent: dict[str, float] = {}
        active: dict[str, float] = {}
        sessions: dict[str, set[str]] = {}
        for connection in register.of_party(Party.AGENT):
            if connection.agent and not connection.closing:  # a browser may take long to complete the close
                agent_id, age = connection.agent.id, max(0.0, now - connection.heard())
                silent[agent_id] = min(age, silent.get(agent_id, age))
                sessions.setdefault(agent_id, set()).add(connection.session_id)
                if (unused := now - connection.active_at) <= topology.ACTIVE_LASTS:
                    active[agent_id] = min(unused, active.get(agent_id, unused))
        chats = {c.chat_id for c in register.of_party(Party.CITIZEN) if c.chat_id}
        self._counter += 1
        return GatewayConnections(
            incarnation=self._hub.incarnation,
            counter=self._counter,
            agents=[AgentConnection(agent_id=a, silent_for=s, sessions=sorted(sessions[a])) for a, s in silent.items()],
            chats=sorted(chats) if self._counter % CITIZENS_EACH == 1 else None,
            active=active or None,
            leaving=leaving,
        )

    async def leave(self) -> None:
        """Publish the last list, which says that this gateway ends."""
        await self._publisher.publish_best_effort(self.list_now(leaving=True))


def send_sync(connection: Connection) -> None:
    """Send a client the last sequence number of each of its logs."""
    if not connection.answered:  # the welcome has the last sequence numbers
        return
    if connection.party is Party.CITIZEN:
        for shown in connection.shown.values():
            connection.send(server.frame("sync", last_seq=shown))
        return
    for chat_id, shown in connection.shown.items():
        connection.send(server.frame("sync", chat_id=chat_id, last_seq=shown))
    if not connection.shown:
        connection.send(server.frame("sync", chat_id=None, last_seq=0))


class PeriodicJobs:
    """The periodic jobs, and the resync after the gateway's queue was lost."""

    def __init__(self, following: Subscriptions, agents: Agents, buttons: Buttons, publisher: Publisher) -> None:
        self._following, self._agents, self._buttons, self._publisher = following, agents, buttons, publisher
        self._hub, self._upstream = following.hub, following.upstream
        self._resync_due = asyncio.Event()
        self._hearing_since = float("-inf")
        self._tails: dict[str, tuple[int, float]] = {}  # chat → last entry passed on, and since when or when compared

    def resync(self) -> None:
        """Request the state that was published while the queue was lost. Called after each new start of the queue."""
        self._hearing_since = self._hub.clock()
        self._resync_due.set()

    async def sync_frames(self) -> None:
        """Send every client the ends of its logs: citizens every 5 s, agents each second. Runs until cancelled.

        A lost last frame leaves no gap that a client could see. A client that receives nothing knows that its
        connection is dead.
        """
        while True:
            for part in range(SYNC_PARTS):
                await asyncio.sleep(SYNC_INTERVAL / SYNC_PARTS)
                for connection in tuple(self._hub.register.connected):
                    parts = AGENT_PARTS if connection.party is Party.AGENT else SYNC_PARTS
                    if hash(connection) % parts == part % parts:
                        send_sync(connection)

    async def compare_tails(self) -> None:
        """Compare quiet chats with the ends of their logs. Runs until cancelled.

        A missing last entry is invisible to a consumer of live events; the comparison finds it within 15 s. A chat that
        received entries in order meanwhile is not compared: they have shown that nothing is missing.
        """
        while True:
            await asyncio.sleep(TAILS_ROUND)
            try:
                await self.compare_quiet()
            except Unavailable as error:
                log.warning("tails_not_compared", missing=str(error))

    async def compare_quiet(self) -> None:
        """Do one round: compare each chat without an event for `TAILS_QUIET` seconds.

        Raises:
            Unavailable: Transcripts does not answer.
        """
        quiet = self._quiet_chats()
        for start in range(0, len(quiet), TAILS_AT_A_TIME):
            await self._compare(dict(quiet[start : start + TAILS_AT_A_TIME]))
            await asyncio.sleep(TAILS_PAUSE)

    def _quiet_chats(self) -> list[tuple[str, int]]:
        before, self._tails, now = self._tails, {}, self._hub.clock()
        for chat_id, channel in self._hub.channels.items():
            last = channel.position.last
            if last is not None:
                known, since = before.get(chat_id, (last, now))
                self._tails[chat_id] = last, since if known == last else now
        return [(chat_id, last) for chat_id, (last, since) in self._tails.items() if now - since >= TAILS_QUIET]

    async def _compare(self, chats: dict[str, int]) -> None:
        asked = self._hub.clock()
        grown = await self._upstream.grown(chats)
        self._tails.update((chat_id, (last, asked)) for chat_id, last in chats.items())
        for chat_id, last in grown.items():
            channel = self._hub.channels.get(chat_id)
            if channel and channel.position.last is not None and last > channel.position.last:
                channel.position.heard = max(channel.position.heard, last)
                self._following.gap(channel)

    async def ask_presence(self) -> None:
        """Ask every 15 s for each agent's chat whether its citizen is online; forget gateways that do not answer.

        The requests are spread over that time, so that many chats cause no burst. Runs until cancelled.
        """
        while True:
            chats = [c.chat_id for c in self._hub.channels.values() if any(m.agent for m in c.members)]
            for chat_id in chats:
                if chat_id in self._hub.channels:
                    await self._publisher.publish_best_effort(self._hub.presence_asked(chat_id))
                await asyncio.sleep(PRESENCE_INTERVAL / (len(chats) + 1))
            await asyncio.sleep(PRESENCE_INTERVAL / (len(chats) + 1))
            self.forget_silent()

    def forget_silent(self) -> None:
        """Forget what is not repeated any more: gateways that had a citizen, and warnings of inactivity.

        Nothing is forgotten until the queue has been up long enough to have received the repetitions.
        """
        hub = self._hub
        if not self._following.live.up or hub.clock() - self._hearing_since < FORGET_AFTER:
            return
        for channel in tuple(hub.channels.values()):
            if channel.citizen_at.forget_silent(hub.incarnation, hub.clock()):
                hub.send_online(channel)
            hub.inactivity_warnings.end_old(channel)

    async def run_resyncs(self) -> None:
        """Resynchronise when it is due, and retry until it succeeds. Runs until cancelled.

        A resync reads the buttons, the chats, the agents, and the logs after what was shown.
        """
        while True:
            await self._resync_due.wait()
            self._resync_due.clear()
            began = time.monotonic()
            asked = await asyncio.gather(
                self._ask_buttons(), self._ask_chats(), self._ask_agents(), return_exceptions=True
            )
            missing = [a for a in asked if isinstance(a, BaseException)]
            for error in missing:
                if not isinstance(error, Unavailable | Declined):
                    raise error
            if missing:
                log.warning("resync_failed", missing=str(missing[0]))
                await asyncio.sleep(0.5)
                self._resync_due.set()
                continue
            log.info("resynced", chats=len(self._hub.channels), seconds=round(time.monotonic() - began, 3))

    async def _ask_buttons(self) -> None:
        answer = await self._upstream.ask("presence", presence_api.BUTTONS, None, presence_api.Buttons)
        for button in answer.buttons:
            self._buttons.handle(button)

    async def _ask_chats(self) -> None:
        channels = [c for c in self._hub.channels.values() if c.position.last is not None]
        if not channels:
            return
        for chat_id, view in (await self._upstream.chats(c.chat_id for c in channels)).items():
            channel = self._hub.channels.get(chat_id)
            if channel and (channel.state is None or view.v > channel.state.v):
                self._hub.set_state(channel, State.of_view(view))
            elif channel and channel.state and view.v == channel.state.v:
                self._hub.set_place(channel, State.of_view(view).place)
                self._hub.learn(channel, State.of_view(view).accepted)
        await self._following.read_on(channels)

    async def _ask_agents(self) -> None:
        agent_ids = list(self._hub.desks)
        if agent_ids:
            question = presence_api.AgentsQuery(ids=agent_ids)
            for agent in (
                await self._upstream.ask("presence", presence_api.AGENTS, question, presence_api.Agents)
            ).agents:
                self._hub.handle(
                    AgentChanged(agent_id=agent.id, v=agent.v, online=agent.online, state=agent.state, cause="back")
                )
        for connection in self._hub.register.of_party(Party.AGENT):
            if connection.token and await self._upstream.session(connection.token) is None:
                connection.close(Close.UNAUTHENTICATED, "logged out")
        for agent_id in agent_ids:
            for view in await self._upstream.chats_of_agent(agent_id):
                if view.chat_id not in self._hub.desks.get(agent_id, ()):
                    self._agents.assigned(agent_id, view.chat_id)
