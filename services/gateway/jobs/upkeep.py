"""Periodic jobs of a gateway: heartbeats, `sync` frames, comparison with the logs' ends, resync."""

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
SYNC_INTERVAL = 5.0  # a browser that hears nothing for twice as long takes its connection for dead
SYNC_PARTS = 10  # of one round, so that many connections are no burst
AGENT_PARTS = 2  # an agent's page is told each second: it must be back before he is taken for gone
TAILS_QUIET = 12.0  # a chat of which so long nothing was heard or asked is asked about; with the rounds at most 15
TAILS_ROUND = 1.5
TAILS_AT_A_TIME, TAILS_PAUSE = 50, 0.05  # chats in one question, seconds between two: many chats are no burst
PRESENCE_INTERVAL = 15.0
CITIZENS_EACH = 3  # the citizens' list stands in every third list of connections
SOON = 0.02


class Heartbeat:
    """Tells who is connected here: every 2 s, and 20 ms after each change of the agents."""

    def __init__(self, following: Subscriptions, publisher: Publisher) -> None:
        self._hub, self._publisher = following.hub, publisher
        self._counter = 0
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """An agent's connection came, is closing or went."""
        self._changed.set()

    async def run(self) -> None:
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
        """The list as it is now."""
        now, register = asyncio.get_running_loop().time(), self._hub.register
        silent: dict[str, float] = {}
        active: dict[str, float] = {}
        sessions: dict[str, set[str]] = {}
        for connection in register.of_party(Party.AGENT):
            if connection.agent and not connection.closing:  # a browser may take long to close after it was told to
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
        """The last list: this gateway is going."""
        await self._publisher.publish_best_effort(self.list_now(leaving=True))


def _sync(connection: Connection) -> None:
    if not connection.answered:  # how far the log goes stands in the welcome
        return
    if connection.party is Party.CITIZEN:
        for shown in connection.shown.values():
            connection.send(server.frame("sync", last_seq=shown))
        return
    for chat_id, shown in connection.shown.items():
        connection.send(server.frame("sync", chat_id=chat_id, last_seq=shown))
    if not connection.shown:
        connection.send(server.frame("sync", chat_id=None, last_seq=0))


class Upkeep:
    """The rounds, and starting over after the gateway's queue was lost."""

    def __init__(self, following: Subscriptions, agents: Agents, buttons: Buttons, publisher: Publisher) -> None:
        self._following, self._agents, self._buttons, self._publisher = following, agents, buttons, publisher
        self._hub, self._upstream = following.hub, following.upstream
        self._resync_due = asyncio.Event()
        self._hearing_since = float("-inf")
        self._tails: dict[str, tuple[int, float]] = {}  # chat → how far it was passed on, and since when or asked when

    def resync(self) -> None:
        """The queue is new: what was told in between must be asked for."""
        self._hearing_since = self._hub.clock()
        self._resync_due.set()

    async def sync_frames(self) -> None:
        """Every 5 s, agents each second, a client hears how far the log goes.

        A lost last frame leaves no hole, and who hears nothing knows that his connection is dead.
        """
        while True:
            for part in range(SYNC_PARTS):
                await asyncio.sleep(SYNC_INTERVAL / SYNC_PARTS)
                for connection in tuple(self._hub.register.connected):
                    parts = AGENT_PARTS if connection.party is Party.AGENT else SYNC_PARTS
                    if hash(connection) % parts == part % parts:
                        _sync(connection)

    async def compare_tails(self) -> None:
        """A hole at the tail is invisible to those who only listen: within 15 s it is found by asking.

        What came in order meanwhile has shown that there was none: a chat in full swing is not asked about.
        """
        while True:
            await asyncio.sleep(TAILS_ROUND)
            quiet = self._quiet_chats()
            try:
                for start in range(0, len(quiet), TAILS_AT_A_TIME):
                    await self._compare(dict(quiet[start : start + TAILS_AT_A_TIME]))
                    await asyncio.sleep(TAILS_PAUSE)
            except Unavailable as error:
                log.warning("tails_not_compared", missing=str(error))

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
        """Every 15 s it is asked for each agent's chat whether its citizen is there; who does not answer is forgotten.

        One after the other over that time, so that many chats are no burst.
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
        """What is not told again is over: gateways that had a citizen, warnings of his silence.

        Only what could have been heard counts.
        """
        hub = self._hub
        if not self._following.live.up or hub.clock() - self._hearing_since < FORGET_AFTER:
            return
        for channel in tuple(hub.channels.values()):
            if channel.citizen_at.forget_silent(hub.incarnation, hub.clock()):
                hub.tell_online(channel)
            hub.silences.end_old(channel)

    async def run_resyncs(self) -> None:
        """Snapshots of chats, agents, button, and the logs after what was shown; again until it succeeded."""
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
            self._buttons.hear(button)

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
                self._hub.hear(
                    AgentChanged(agent_id=agent.id, v=agent.v, online=agent.online, state=agent.state, cause="back")
                )
        for connection in self._hub.register.of_party(Party.AGENT):
            if connection.token and await self._upstream.session(connection.token) is None:
                connection.close(Close.UNAUTHENTICATED, "logged out")
        for agent_id in agent_ids:
            for view in await self._upstream.chats_of_agent(agent_id):
                if view.chat_id not in self._hub.desks.get(agent_id, ()):
                    self._agents.assigned(agent_id, view.chat_id)
