"""Handler of a citizen's session: the answer to hello, and the citizen's frames."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta

import structlog

from services.common.clock import utcnow
from services.common.config.departments import Departments
from services.common.events.chats import CitizenArrived
from services.common.events.messages import CitizenPresence, CitizenStayed, ReadShown, TypingShown
from services.common.events.types import Party
from services.common.http.tokens import Keys
from services.common.internal_api.routing import ChatView
from services.common.internal_api.transcripts import ChatHistory
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.gateway.background_tasks import Tasks
from services.gateway.chats.chat import LiveChat
from services.gateway.chats.subscriptions import NoSuchChat, Subscriptions
from services.gateway.clients.http_client import Unavailable
from services.gateway.identifying_numbers import NumberRefused
from services.gateway.participants.sessions import CitizenSession, ForeignOrigin
from services.gateway.participants.written_numbers import WrittenNumbers
from services.gateway.sending.sender import MessageSender, refuse
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.client import Details, End, Extend, Frame, Hello, Post, Read, Typing
from services.gateway.websocket.frames.server import Close
from services.gateway.websocket.message_limits import MessageLimits

log = structlog.get_logger()
TURNS = 64  # hellos that are answered at a time, when many citizens reconnect at once
TURN_LIMIT = 6.0  # seconds after which a waiting hello is refused: sooner than the page assumes a dead connection
EXTEND_EACH = 2.0  # seconds between two that are published for a session


class CitizenHandler:
    """Handler of citizens' frames. There is one instance; the state is in the session."""

    def __init__(
        self,
        following: Subscriptions,
        message_sender: MessageSender,
        publisher: Publisher,
        keys: Keys,
        tasks: Tasks,
        numbers: WrittenNumbers,
        departments: Departments,
        allowances: MessageLimits | None = None,
    ) -> None:
        self._allowances = allowances or MessageLimits(limited=False)
        self._following, self._message_sender, self._publisher = following, message_sender, publisher
        self._keys, self._tasks, self._numbers, self._departments = keys, tasks, numbers, departments
        self._chats, self._registry = following.chats, following.chats.registry
        self._turns = asyncio.Semaphore(TURNS)

    def identify(self, session: CitizenSession, hello: Hello) -> bool:
        """Bind the session to the chat of its token. Return False when the token is invalid or of another chat.

        Raises:
            ForeignOrigin: The page may not embed the chat of the department in which this one was started.
        """
        chat_id, department = self._keys.started_chat_of(hello.token) or (None, None)
        if chat_id is None or not session.identify(chat_id):
            return False
        if session.embedded_in is not None and department is not None:
            listed = self._departments.origins_of(self._departments.get(department))
            if session.embedded_in not in listed:
                raise ForeignOrigin
        return True

    def check_token_life(self, view: ChatView) -> None:
        """Check that the token of this chat is still valid.

        Raises:
            Expired: The chat ended longer than `CITIZEN_ACCESS` ago, or the token was revoked.
        """
        if view.revoked_by:
            raise Expired
        if view.closed_at and utcnow() - view.closed_at > timedelta(seconds=self._keys.access):
            raise Expired

    async def greet(self, session: CitizenSession, hello: Hello) -> None:
        """Send `welcome`, `status`, the entries after `after`, then what is new; or close with the reason."""
        if not session.joined:  # the citizen is online, whether or not the hello can be answered now
            self._tasks.start(self._send_arrived(session.chat_id))
        try:
            await self._answer(session, session.chat_id, hello.after)
        except NoSuchChat:
            session.connection.close(Close.NO_SUCH_CHAT, "no such chat")
        except Expired:
            session.connection.close(Close.UNAUTHENTICATED, "the token is not valid any more")
        except Unavailable as error:
            log.warning("hello_not_answered", missing=str(error))
            session.connection.answer(server.error("unavailable"))
            session.connection.close(Close.RESTART, "try again")

    async def _answer(self, session: CitizenSession, chat_id: str, after: int) -> None:
        first = not session.joined
        if not first:  # from here on it receives nothing of the chat but the answer
            self._chats.detach(session, self._chats.by_id[chat_id])
        async with self._turn():
            chat, view, page = await self._ask(session, chat_id, after)
        self._chats.detach(session, chat)
        if first:
            self._arrive(session, chat, view)
        session.reopen_send_queues()
        state = self._following.note_view(chat, view)
        for entry in page.entries:
            self._chats.note_entry(chat, entry)
        dot, sent = server.dot(state.status, state.offered), state.shown
        name = chat.citizen_name or view.name
        session.connection.answer(server.Welcome(chat_id=chat_id, dot=dot, last_seq=page.last_seq, name=name).encode())
        if not page.sealed:
            session.connection.answer(server.status(*sent))
        seal = None
        async for entry in self._following.catch_up(session, chat, page, after):
            shown = server.message(entry)
            self._allowances.showed(session.participant, len(shown))
            session.connection.answer(shown)
            await session.connection.room()
            seal = entry if entry.is_seal else seal
        if chat.state and chat.state.revoked_by:  # meanwhile
            raise Expired
        self._send_what_changed(session, chat, sent)
        if page.sealed or seal:
            reason = (seal.reason if seal else None) or view.reason
            self._chats.show_end(session, reason.value if reason else "inactive")
        session.connection.end_answer()

    @contextlib.asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for one of `TURNS`.

        More hellos at a time would only wait for the same services until none is answered in time.

        Raises:
            Unavailable: None was free within `TURN_LIMIT` seconds.
        """
        try:
            async with asyncio.timeout(TURN_LIMIT):
                await self._turns.acquire()
        except TimeoutError:
            raise Unavailable("a turn") from None
        try:
            yield
        finally:
            self._turns.release()

    async def _ask(self, session: CitizenSession, chat_id: str, after: int) -> tuple[LiveChat, ChatView, ChatHistory]:
        first = not session.joined
        chat = await self._chats.open(chat_id) if first else self._chats.by_id[chat_id]
        try:
            view, page = await asyncio.gather(
                self._following.view(chat_id), self._following.first_page(chat, after), return_exceptions=True
            )
            for missing in (view, page):  # an error is passed on: the chat is unknown, or a service does not answer
                if isinstance(missing, BaseException):
                    raise missing
            assert isinstance(view, ChatView)
            assert isinstance(page, ChatHistory)
            self.check_token_life(view)
        except BaseException:
            if first:
                self._chats.release(session, chat)
            raise
        return chat, view, page

    def _arrive(self, session: CitizenSession, chat: LiveChat, view: ChatView) -> None:
        chat.citizen_name = chat.citizen_name or view.name
        session.join(chat.citizen_name)
        if self._registry.citizens.join(session):
            self._chats.citizen_here(chat, online=True)
            self._tasks.start(self._send_presence(chat.chat_id, online=True))

    def _send_what_changed(self, session: CitizenSession, chat: LiveChat, sent: object) -> None:
        state = chat.state
        if state and state.shown != sent:
            session.connection.answer(server.status(*state.shown))
        if seq := chat.read.get(Party.AGENT):
            session.connection.answer(server.Read(from_=Party.AGENT, seq=seq).encode())

    async def _send_arrived(self, chat_id: str) -> None:
        try:
            await self._publisher.publish(CitizenArrived(chat_id=chat_id))
        except Unconfirmed:
            log.info("arrival_not_published")  # the next list of this gateway's citizens has it too

    def answer_presence(self, chat: LiveChat) -> None:
        """Answer another gateway that asks whether it or another one has the citizen, if this one has."""
        if self._chats.online_here(chat.chat_id):
            self._tasks.start(self._send_presence(chat.chat_id, online=True))

    async def _send_presence(self, chat_id: str, online: bool) -> None:
        chat = self._chats.by_id.get(chat_id)
        event = CitizenPresence(
            chat_id=chat_id,
            incarnation=self._chats.incarnation,
            online=online,
            name=chat.citizen_name if chat else None,
        )
        await self._publisher.publish_best_effort(event)

    def take(self, session: CitizenSession, frame: Frame) -> None:
        """Handle a valid frame of a greeted session. Returns at once."""
        chat_id = session.chat_id
        chat = self._chats.by_id.get(chat_id)
        try:
            frame = self._numbers.apply(chat_id, frame)
        except NumberRefused:
            refuse(session, "identifying_number", frame.id if isinstance(frame, Post) else None)
            return
        if isinstance(frame, Post | End):
            self._message_sender.post(session, chat_id, frame)
        elif isinstance(frame, Typing):
            event = TypingShown(chat_id=chat_id, party=Party.CITIZEN, sender_id="citizen", active=frame.active)
            self._tasks.start_for(session.connection, self._publisher.publish_best_effort(event))
        elif isinstance(frame, Extend):
            self._extend(session, chat_id)
        elif isinstance(frame, Details):
            self._take_name(session, chat, frame.name)
        elif isinstance(frame, Read):
            if chat is None or frame.seq > (chat.cursor.last or 0):
                refuse(session, "invalid")
            elif frame.seq > chat.read.get(Party.CITIZEN, 0):
                shown = ReadShown(chat_id=chat_id, party=Party.CITIZEN, sender_id="citizen", seq=frame.seq)
                self._tasks.start_for(session.connection, self._publisher.publish_best_effort(shown))

    def _extend(self, session: CitizenSession, chat_id: str) -> None:
        if session.extend(self._chats.clock(), EXTEND_EACH):  # a second press within that time adds nothing
            self._tasks.start(self._send_stayed(session, chat_id))

    def _take_name(self, session: CitizenSession, chat: LiveChat | None, name: str) -> None:
        if chat is None or chat.citizen_name == name:
            return
        if not self._tasks.start_for(session.connection, self._store_name(session, chat, name)):
            refuse(session, "unavailable")

    async def _store_name(self, session: CitizenSession, chat: LiveChat, name: str) -> None:
        """Publish the citizen's name for routing, which stores it, then show it to the agents of the chat.

        A page repeats a name that its next `welcome` does not have.
        """
        try:
            await self._publisher.publish(CitizenArrived(chat_id=chat.chat_id, name=name))
        except Unconfirmed:
            session.connection.send(server.error("unavailable"))
            return
        self._chats.note_name(chat, name)
        await self._send_presence(chat.chat_id, online=self._chats.online_here(chat.chat_id))

    async def _send_stayed(self, session: CitizenSession, chat_id: str) -> None:
        try:
            await self._publisher.publish(CitizenStayed(chat_id=chat_id))
        except Unconfirmed:
            session.forget_extension()
            session.connection.send(server.error("unavailable"))

    def leave(self, session: CitizenSession) -> None:
        """Handle the end of the connection."""
        session.connection.end()
        chat = self._chats.by_id.get(session.chat_id) if session.joined else None
        if chat is None:
            return
        if self._registry.citizens.leave(session):
            self._chats.citizen_here(chat, online=False)
            self._tasks.start(self._send_presence(chat.chat_id, online=False))
        self._chats.release(session, chat)


class Expired(Exception):
    """The token of the chat is valid no more: the chat ended too long ago, or the token was revoked."""
