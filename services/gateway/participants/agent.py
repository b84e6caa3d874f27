"""Handler of an agent's session: the answer to hello, the agent's frames, and chats that are assigned."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from typing import Any

import structlog
from msgspec import UNSET

from services.common.clock import utcnow
from services.common.config.departments import Departments
from services.common.events.agents import AgentChanged, StateRequested, WrapUpDone
from services.common.events.chats import ChatAccepted
from services.common.events.event import Event
from services.common.events.identification import IdentificationAsked
from services.common.events.messages import ReadShown, TypingShown
from services.common.events.types import ChatStatus, Entry, Party
from services.common.internal_api import presence as presence_api
from services.common.internal_api.routing import ChatView
from services.common.internal_api.transcripts import ChatHistory
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.gateway.background_tasks import Tasks
from services.gateway.chats.chat import LiveChat
from services.gateway.chats.subscriptions import NoSuchChat, Subscriptions
from services.gateway.clients.http_client import Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.routing import RoutingClient
from services.gateway.identifying_numbers import NumberRefused
from services.gateway.participants.own_departments import OwnDepartments
from services.gateway.participants.sessions import AgentSession
from services.gateway.participants.transfers import Transfers
from services.gateway.participants.written_numbers import WrittenNumbers
from services.gateway.sending.sender import MessageSender, event_of, refuse
from services.gateway.supervision.live import Live
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.client import (
    Accept,
    Active,
    Details,
    Done,
    End,
    Extend,
    Frame,
    Hello,
    Identify,
    Post,
    Read,
    Refuse,
    SetState,
    ShowDepartments,
    TransferChat,
    Typing,
    Watch,
    WriteNote,
)
from services.gateway.websocket.frames.server import Close

log = structlog.get_logger()
Put = Callable[[bytes], None]  # takes a frame: as part of the answer to a hello, or after it


class AgentHandler:
    """Handler of agents' frames, and of what is decided about agents elsewhere."""

    def __init__(
        self,
        following: Subscriptions,
        message_sender: MessageSender,
        publisher: Publisher,
        transfers: Transfers,
        tasks: Tasks,
        numbers: WrittenNumbers,
        presence: PresenceClient,
        routing: RoutingClient,
        live: Live,
        own: OwnDepartments,
        departments: Departments,
    ) -> None:
        self._following, self._message_sender, self._publisher = following, message_sender, publisher
        self._transfers, self._tasks, self._numbers = transfers, tasks, numbers
        self._chats, self._registry = following.chats, following.chats.registry
        self._presence, self._routing, self._live, self._own = presence, routing, live, own
        self._departments = departments
        self._states: dict[str, AgentChanged] = {}  # the newest event about each agent
        self.coming: set[tuple[str, str]] = set()  # (agent, chat) pairs that are being shown to their agents

    def identify(self, session: AgentSession, hello: Hello) -> bool:
        """Return whether the hello is of the session's participant. The cookie has identified the agent already."""
        return True

    async def greet(self, session: AgentSession, hello: Hello) -> None:
        """Send `welcome` with the open chats, then each chat's entries after the given sequence number.

        What was held back meanwhile follows.
        """
        try:
            await self._answer(session, hello.chats or {})
        except _Gone:
            return
        except (Unavailable, NoSuchChat) as error:
            log.warning("hello_not_answered", missing=type(error).__name__)
            session.connection.answer(server.error("unavailable"))
            session.connection.close(Close.RESTART, "try again")

    async def _answer(self, session: AgentSession, after: Mapping[str, int]) -> None:
        agent = session.agent
        if not session.joined:
            await self._chats.bindings.follow(agent.id)
            if session.connection.ended:
                self._chats.bindings.unfollow(agent.id)
                return
            session.join()
            if self._registry.agents.join(session):
                self._chats.of_agents[agent.id] = set()
            self._registry.agents_changed.set()
            if session.token and await self._presence.session(session.token) is None:
                # The login session ended before this one was in the registry.
                session.connection.close(Close.UNAUTHENTICATED, "logged out")
                return
        for chat_id in session.followed:  # from here on it receives nothing of its chats but the answer
            if chat := self._chats.by_id.get(chat_id):
                self._chats.detach(session, chat)
        async with session.answering:
            view = await self._self_view(session)
            views = await self._routing.chats_of_agent(agent.id)
            session.reopen_send_queues()
            await self._welcome(session, view, [v.chat_id for v in views], after)

    async def _self_view(self, session: AgentSession) -> presence_api.AgentView:
        found = await self._presence.agents(presence_api.AgentsQuery(ids=[session.agent.id]))
        return found[0] if found else session.agent

    async def _welcome(
        self, session: AgentSession, agent: presence_api.AgentView, chat_ids: list[str], after: Mapping[str, int]
    ) -> None:
        live_chats = {chat_id: await self._open(session, chat_id) for chat_id in chat_ids}
        views = await self._routing.chats(live_chats)  # again: from here on events report a change of agent
        held = [v for v in views.values() if self._hold(session, live_chats[v.chat_id], v)]
        pages: dict[str, ChatHistory] = {}
        for view in held:
            chat = live_chats[view.chat_id]
            pages[view.chat_id] = await self._following.first_page(chat, after.get(view.chat_id, 0), notes=True)
        held = [v for v in held if v.chat_id in session.followed]
        now = utcnow()
        chats = [self._shown(v, pages[v.chat_id].last_seq, now) for v in held]
        welcome = server.AgentWelcome(agent=server.agent(agent, now), chats=chats, frames=server.ADDED)
        session.connection.answer(welcome.encode())
        if newer := self._newer_state(agent.id, agent.v):
            session.connection.answer(newer)
        for view in held:
            chat_id = view.chat_id
            await self._show_log(
                session, live_chats[chat_id], pages[chat_id], after.get(chat_id, 0), session.connection.answer
            )
        newest = self._newer_state(agent.id, agent.v)
        if newest and newest != newer:  # a long log takes time to send
            session.connection.answer(newest)
        session.connection.end_answer()

    def _hold(self, session: AgentSession, chat: LiveChat, view: ChatView) -> bool:
        """Return whether the chat is this agent's by all that is known.

        If it is, the chat is recorded as shown to the agent. Otherwise the session stops following it.
        """
        if session.connection.ended:
            raise _Gone
        state = self._following.note_view(chat, view)
        agent_id = session.participant
        if state.status is ChatStatus.ASSIGNED and state.agent_id == agent_id:
            self._chats.of_agents.setdefault(agent_id, set()).add(chat.chat_id)
            chat.refusable_by = agent_id if view.transferred and not view.accepted else None
            return True
        self._chats.drop(session, chat)
        return False

    async def _open(self, session: AgentSession, chat_id: str) -> LiveChat:
        chat = self._chats.by_id.get(chat_id)
        if chat is None or chat_id not in session.followed:
            chat = await self._chats.open(chat_id)
            if session.connection.ended or chat_id in session.followed:
                self._chats.close(chat)
            if session.connection.ended:
                raise _Gone
            session.follow(chat_id)
        self._chats.detach(session, chat)
        return chat

    async def _show_log(self, session: AgentSession, chat: LiveChat, page: ChatHistory, after: int, put: Put) -> None:
        chat_id, seal = chat.chat_id, None
        async for entry in self._following.catch_up(session, chat, page, after):
            put(server.message(entry, chat_id))
            await session.connection.room()
            seal = entry if entry.is_seal else seal
        if chat_id not in session.followed:  # it got another agent meanwhile
            self._chats.detach(session, chat)
            return
        for written in page.notes:
            put(server.note(written))
        if seq := chat.read.get(Party.CITIZEN):
            put(server.Read(chat_id=chat_id, from_=Party.CITIZEN, seq=seq).encode())
        put(self._chats.citizen_frame(chat))
        self._tasks.start(self._publisher.publish_best_effort(self._chats.presence_asked(chat_id)))
        if page.sealed or seal:
            self._show_end(session, chat, seal, put)

    def _show_end(self, session: AgentSession, chat: LiveChat, seal: Entry | None, put: Put) -> None:
        reason = (seal.reason if seal else None) or (chat.state.reason if chat.state else None)
        shown = reason.value if reason else "inactive"
        put(server.Closed(chat_id=chat.chat_id, reason=shown).encode())
        session.note_end(chat.chat_id)
        self._chats.of_agents.get(session.participant, set()).discard(chat.chat_id)
        self._chats.drop(session, chat)

    # ── events ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def note_state(self, event: AgentChanged) -> None:
        """Send the agent's new state to their connections here. An older version is dropped.

        A connection of an agent who serves other departments now is closed: the console opens a new one by itself,
        which has what the agent may see now.
        """
        connections = self._registry.agents.of(event.agent_id)
        known = self._states.get(event.agent_id)
        if (known and event.v <= known.v) or not connections:
            return
        self._states[event.agent_id] = event
        for session in connections:
            view = session.agent
            if event.departments is not None and event.v > view.v and set(event.departments) != set(view.departments):
                session.connection.close(Close.RESTART, "other departments")
            elif session.connection.answered:  # otherwise the welcome, or a frame sent with it, has the state
                session.connection.send(_state_frame(event))

    def _newer_state(self, agent_id: str, v: int) -> bytes | None:
        """Return the agent's `state` frame when a version newer than `v` is known, else None."""
        known = self._states.get(agent_id)
        return _state_frame(known) if known and known.v > v else None

    # ── assigned chats ───────────────────────────────────────────────────────────────────────────────────────────────

    def assigned(self, agent_id: str, chat_id: str) -> None:
        """Show the chat on all connections that the agent has here, because routing has assigned it to them."""
        if (agent_id, chat_id) not in self.coming:
            self.coming.add((agent_id, chat_id))
            self._tasks.start(self._bring(agent_id, chat_id))

    async def _bring(self, agent_id: str, chat_id: str) -> None:
        try:
            for session in self._registry.agents.of(agent_id):
                with contextlib.suppress(_Gone):
                    await self._show_assigned(session, chat_id)
        except (Unavailable, NoSuchChat):
            log.warning("assigned_chat_not_shown", chat_id=chat_id)
            for session in self._registry.agents.of(agent_id):
                session.connection.close(Close.RESTART, "try again")  # the next hello brings the chat
        finally:
            self.coming.discard((agent_id, chat_id))

    def _shown(self, view: ChatView, last_seq: int, now: datetime) -> server.AgentChat:
        remind_after = self._live.remind_after(view.department)
        return server.chat_for_agent(view, last_seq, now, remind_after, self._identifies(view.department))

    def _identifies(self, department: str) -> bool:
        """Return whether agents may ask the citizens of this department to identify."""
        known = self._departments.get(department)
        return known is not None and known.identification

    async def _show_assigned(self, session: AgentSession, chat_id: str) -> None:
        async with session.answering:  # never before the welcome
            if session.connection.ended or chat_id in session.followed:
                return
            chat = await self._open(session, chat_id)
            view = await self._following.view(chat_id)
            if not self._hold(session, chat, view):
                return
            page = await self._following.first_page(chat, 0, notes=True)
            if chat_id in session.followed:
                shown = self._shown(view, page.last_seq, utcnow())
                session.connection.send(server.Assigned(chat=shown).encode())
                await self._show_log(session, chat, page, 0, session.connection.send)

    # ── frames ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def take(self, session: AgentSession, frame: Frame) -> None:
        """Handle a valid frame of a greeted session. Returns at once."""
        agent = session.agent
        assert not isinstance(frame, Hello | Extend | Details)
        if isinstance(frame, SetState):
            wish = StateRequested(agent_id=agent.id, state=frame.state, reason=frame.reason)
            self._begin(session, None, self._publish(session, wish))
            return
        if isinstance(frame, Done):
            self._begin(session, None, self._publish(session, WrapUpDone(agent_id=agent.id, chat_id=frame.chat_id)))
            return
        if isinstance(frame, Watch):
            self._live.watch(session)
            return
        if isinstance(frame, ShowDepartments):
            self._own.show(session)
            return
        if isinstance(frame, Active):
            session.note_activity(asyncio.get_running_loop().time())
            return
        chat_id = frame.chat_id
        id_ = frame.id if isinstance(frame, Post | WriteNote | Identify) else None
        try:
            frame = self._numbers.apply(chat_id or "", frame)
        except NumberRefused:
            refuse(session, "identifying_number", id_, chat_id)
            return
        if chat_id in session.ended and isinstance(frame, End) and frame.block:
            self._begin(session, chat_id, self._publish(session, event_of(session, frame.chat_id or "", frame)))
            return
        if chat_id is None or chat_id not in self._chats.of_agents.get(agent.id, ()):
            refuse(session, "chat_closed" if chat_id in session.ended else "not_yours", id_, chat_id)
            return
        if isinstance(frame, Refuse):
            self._begin(session, chat_id, self._transfers.refuse(session, self._chats.by_id[chat_id]))
            return
        if isinstance(frame, Post | WriteNote | End):  # published after the acceptance by a person
            self._message_sender.post(session, chat_id, frame, self._acceptance(session, chat_id))
            return
        if isinstance(frame, Identify):
            self._ask_identity(session, chat_id, frame)
            return
        self._accept(session, chat_id)
        if isinstance(frame, Typing | Read):
            self._show(session, chat_id, frame)
        elif isinstance(frame, TransferChat):
            self._begin(session, chat_id, self._transfers.transfer(session, frame))
        else:
            assert isinstance(frame, Accept)

    def _ask_identity(self, session: AgentSession, chat_id: str, frame: Identify) -> None:
        """Publish that the agent asks the citizen to identify, after their acceptance of the chat."""
        chat = self._chats.by_id[chat_id]
        if chat.state is None or not self._identifies(chat.state.department):
            refuse(session, "invalid", frame.id, chat_id)
            return
        agent, first = session.agent, self._acceptance(session, chat_id)
        asked = IdentificationAsked(
            chat_id=chat_id,
            id=frame.id,
            agent_id=agent.id,
            agent_name=agent.name,
            department=chat.state.department,
        )

        async def publish() -> None:
            for event in (first, asked):
                if event and not await self._confirmed(session, event):
                    refuse(session, "unavailable", frame.id, chat_id)
                    return

        self._begin(session, chat_id, publish(), frame.id)

    def _begin(
        self, session: AgentSession, chat_id: str | None, work: Coroutine[Any, Any, None], id_: str | None = None
    ) -> None:
        if not self._tasks.start_for(session.connection, work):
            refuse(session, "unavailable", id_, chat_id)

    def _acceptance(self, session: AgentSession, chat_id: str) -> ChatAccepted | None:
        """Return the event that an agent has seen the chat; None when it was published and confirmed already."""
        chat = self._chats.by_id[chat_id]
        turn = chat.state.turn if chat.state and chat.state.turn else None
        session.accept(chat_id, turn)
        if session.acceptance_published(chat_id):
            return None
        chat.refusable_by = None
        return ChatAccepted(chat_id=chat_id, agent_id=session.agent.id, turn=turn)

    def _accept(self, session: AgentSession, chat_id: str) -> None:
        if chat_id not in session.accepted and (event := self._acceptance(session, chat_id)):
            self._tasks.start(self._publish(session, event))

    def _show(self, session: AgentSession, chat_id: str, frame: Typing | Read) -> None:
        who = {"chat_id": chat_id, "party": Party.AGENT, "sender_id": session.agent.id}
        chat = self._chats.by_id[chat_id]
        if isinstance(frame, Typing):
            if frame.active:
                session.note_writing(chat_id, asyncio.get_running_loop().time())
            event = TypingShown(**who, active=frame.active)
            self._tasks.start_for(session.connection, self._publisher.publish_best_effort(event))
        elif frame.seq > (chat.cursor.last or 0):
            refuse(session, "invalid", None, chat_id)
        elif frame.seq > chat.read.get(Party.AGENT, 0):
            shown = ReadShown(**who, seq=frame.seq)
            self._tasks.start_for(session.connection, self._publisher.publish_best_effort(shown))

    async def _publish(self, session: AgentSession, event: Event) -> None:
        if not await self._confirmed(session, event):
            session.connection.send(server.error("unavailable"))

    async def _confirmed(self, session: AgentSession, event: Event) -> bool:
        """Publish an event of this agent. Return whether the broker has confirmed it."""
        try:
            await self._publisher.publish(event)
        except Unconfirmed:
            if isinstance(event, ChatAccepted):
                session.forget_acceptance(event.chat_id)
            return False
        if isinstance(event, ChatAccepted):
            session.note_acceptance(event.chat_id, event.turn)
        return True

    def leave(self, session: AgentSession) -> None:
        """Handle the end of the websocket."""
        session.connection.end()
        self._live.leave(session)
        self._own.leave(session)
        agent = session.agent
        if not session.joined:
            return
        if self._registry.agents.leave(session):
            self._chats.of_agents.pop(agent.id, None)
        self._registry.agents_changed.set()
        self._chats.bindings.unfollow(agent.id)
        for chat_id in tuple(session.followed):
            if chat := self._chats.by_id.get(chat_id):
                self._chats.drop(session, chat)


def _state_frame(event: AgentChanged) -> bytes:
    wrap_ups = UNSET if event.wrap_ups is None else server.wrap_ups(event.wrap_ups, utcnow())
    return server.State(
        state=event.state, reason=event.cause, wrap_ups=wrap_ups, pause_reason=event.pause_reason or UNSET
    ).encode()


class _Gone(Exception):
    """The websocket closed meanwhile."""
