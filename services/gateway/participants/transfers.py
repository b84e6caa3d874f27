"""Transfers: an agent hands a chat to a colleague or a department, or refuses one that was handed to them."""

from __future__ import annotations

import contextlib

from services.common.config.departments import Departments
from services.common.events.chats import TransferRefused
from services.common.events.messages import NotePosted
from services.common.events.types import AgentState, derived_id
from services.common.internal_api import presence as presence_api
from services.common.internal_api import routing as routing_api
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.gateway.chats.chat import LiveChat
from services.gateway.clients.http_client import Declined, Unavailable, acting_for
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.routing import RoutingClient
from services.gateway.participants.sessions import AgentSession
from services.gateway.sending.sender import refuse
from services.gateway.websocket.frames.client import TransferChat


class Transfers:
    """Requests transfers from routing, after presence has said that they can be made."""

    def __init__(
        self, publisher: Publisher, presence: PresenceClient, routing: RoutingClient, departments: Departments
    ) -> None:
        self._publisher, self._presence, self._routing, self._departments = publisher, presence, routing, departments

    async def transfer(self, session: AgentSession, frame: TransferChat) -> None:
        """Request a transfer.

        The note, if any, is published first. A transfer that cannot be made gives an `error` frame.
        """
        agent = session.agent
        await self._identify(session)
        if not await self._can_take(frame, agent.id):
            refuse(session, "unavailable", None, frame.chat_id)
            return
        question = routing_api.Transfer(
            chat_id=frame.chat_id, agent_id=agent.id, to_department=frame.to.department, to_agent=frame.to.agent
        )
        try:
            if frame.note:
                await self._publisher.publish(_note_of_transfer(frame, agent))
            await self._routing.transfer(question)
        except Declined as declined:
            code = "not_yours" if declined.code == "not_yours" else "unavailable"
            refuse(session, code, None, frame.chat_id)
        except (Unavailable, Unconfirmed):
            refuse(session, "unavailable", None, frame.chat_id)

    async def refuse(self, session: AgentSession, chat: LiveChat) -> None:
        """Return a chat that was transferred to the agent and is not accepted yet. Otherwise send an `error` frame."""
        agent = session.agent
        try:
            if chat.refusable_by == agent.id:
                await self._publisher.publish(TransferRefused(chat_id=chat.chat_id, agent_id=agent.id))
                return
        except Unconfirmed:
            pass
        refuse(session, "unavailable", None, chat.chat_id)

    async def _identify(self, session: AgentSession) -> None:
        """Let presence say who the agent is: what it said when the connection was opened is too old for others."""
        with contextlib.suppress(Unavailable):  # then the transfer is refused
            if login := await self._presence.session(session.token):
                acting_for.set(login.identity)

    async def _can_take(self, frame: TransferChat, own_id: str) -> bool:
        if frame.to.department is not None and self._departments.get(frame.to.department) is None:
            return False
        question = presence_api.AgentsQuery(
            department=frame.to.department, ids=[frame.to.agent] if frame.to.agent is not None else None
        )
        try:
            agents = await self._presence.agents(question)
        except Unavailable:
            return False
        if frame.to.agent is not None:
            return any(can_take(a, own_id) for a in agents)
        return any(a.online and a.id != own_id for a in agents)


def _note_of_transfer(frame: TransferChat, agent: presence_api.AgentView) -> NotePosted:
    """Return the note of a transfer, with an id that is derived from the transfer.

    A transfer that is tried again after a refusal has the same note, which is therefore stored once.
    """
    return NotePosted(
        chat_id=frame.chat_id,
        id=derived_id(frame.chat_id, "transfer", agent.id, frame.to.department, frame.to.agent, frame.note),
        agent_id=agent.id,
        agent_name=agent.name,
        text=frame.note or "",
    )


def can_take(agent: presence_api.AgentView, own_id: str) -> bool:
    """Return whether a colleague with `own_id` can transfer a chat to this agent now."""
    return agent.online and agent.state is AgentState.AVAILABLE and agent.free > 0 and agent.id != own_id
