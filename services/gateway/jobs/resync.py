"""Resynchronisation after events may have been missed: at each start of the gateway's queue."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import structlog

from services.common.batches import gather_in_batches
from services.common.events.agents import AgentChanged
from services.common.internal_api import presence as presence_api
from services.gateway.button_state import Buttons
from services.gateway.chats.chat_state import State
from services.gateway.chats.subscriptions import Subscriptions
from services.gateway.clients.http_client import Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.routing import RoutingClient
from services.gateway.participants.agent import AgentHandler
from services.gateway.participants.sessions import AgentSession
from services.gateway.websocket.frames.server import Close

log = structlog.get_logger()
AT_ONCE = 8  # agents asked about at a time: all gateways do so after an outage of the broker


class Resync:
    """Reads the buttons, the chats, the agents, and the logs after what was shown."""

    def __init__(
        self,
        following: Subscriptions,
        agents: AgentHandler,
        buttons: Buttons,
        presence: PresenceClient,
        routing: RoutingClient,
    ) -> None:
        self._chats, self._following, self._agents, self._buttons = following.chats, following, agents, buttons
        self._presence, self._routing = presence, routing
        self._due = asyncio.Event()

    def request(self) -> None:
        """Request a resync. It begins when `run` has finished the one that is running, if any."""
        self._due.set()

    async def run(self) -> None:
        """Resynchronise when it is due, and retry until it succeeds. Runs until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            began = time.monotonic()
            asked = await asyncio.gather(
                self._ask_buttons(), self._ask_chats(), self._ask_agents(), return_exceptions=True
            )
            missing = [a for a in asked if isinstance(a, BaseException)]
            for error in missing:
                if not isinstance(error, Unavailable):
                    raise error
            if missing:
                log.warning("resync_failed", missing=str(missing[0]))
                await asyncio.sleep(0.5)
                self._due.set()
                continue
            log.info("resynced", chats=len(self._chats.by_id), seconds=round(time.monotonic() - began, 3))

    async def _ask_buttons(self) -> None:
        for button in await self._presence.buttons():
            self._buttons.handle(button)

    async def _ask_chats(self) -> None:
        live_chats = [c for c in self._chats.by_id.values() if c.cursor.last is not None]
        if not live_chats:
            return
        for chat_id, view in (await self._routing.chats(c.chat_id for c in live_chats)).items():
            chat = self._chats.by_id.get(chat_id)
            if chat and (chat.state is None or view.v > chat.state.v):
                self._chats.set_state(chat, State.of_view(view))
            elif chat and chat.state and view.v == chat.state.v:
                self._chats.set_place(chat, State.of_view(view).place)
                self._chats.learn(chat, State.of_view(view).accepted)
        await self._following.read_on(live_chats)

    async def _ask_agents(self) -> None:
        agent_ids = list(self._chats.of_agents)
        if agent_ids:
            for agent in await self._presence.agents(presence_api.AgentsQuery(ids=agent_ids)):
                self._agents.note_state(
                    AgentChanged(
                        agent_id=agent.id,
                        v=agent.v,
                        online=agent.online,
                        state=agent.state,
                        cause="back",
                        departments=agent.departments,
                    )
                )
        sessions = [session for session in self._chats.registry.agents if session.token]
        await gather_in_batches(AT_ONCE, [partial(self._check_session, session) for session in sessions])
        await gather_in_batches(AT_ONCE, [partial(self._ask_chats_of, agent_id) for agent_id in agent_ids])

    async def _check_session(self, session: AgentSession) -> None:
        if session.token and await self._presence.session(session.token) is None:
            session.connection.close(Close.UNAUTHENTICATED, "logged out")

    async def _ask_chats_of(self, agent_id: str) -> None:
        for view in await self._routing.chats_of_agent(agent_id):
            if view.chat_id not in self._chats.of_agents.get(agent_id, ()):
                self._agents.assigned(agent_id, view.chat_id)
