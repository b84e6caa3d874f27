"""Frames of a citizen that come in a request of their own, at any replica.

A citizen whose network lets no websocket through receives frames by an answer that streams them, and sends frames by
requests. A load balancer may give each request to another replica. So each request has a short session here, which is
sent nothing but refusals: receipts reach the citizen by the stream, through whatever replica has it.

The order of messages is kept without the stream's replica: a request is answered only when each of its messages has
its receipt or its refusal, and a client has one request under way at a time. After an answer that was lost the client
sends the same frames again; a repeated id is stored once. What has its receipt already is not published again, so that
a network that cuts requests early does not keep a client from getting on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

from services.common.events.types import Party
from services.common.internal_api.routing import ChatView
from services.common.internal_api.transcripts import ChatHistory
from services.gateway.chats.chat import LiveChat
from services.gateway.chats.subscriptions import Subscriptions
from services.gateway.participants.citizen import EXTEND_EACH, CitizenHandler, Expired
from services.gateway.participants.sessions import LONG_AGO, CitizenSession, citizen_of
from services.gateway.sending.send_queue import Outcome, Receipt
from services.gateway.websocket.connection import Connection
from services.gateway.websocket.frames.client import MAX_SEQ
from services.gateway.websocket.message_limits import MessageLimits
from services.gateway.websocket.session import FrameSession

ANSWER_LIMIT = 20.0  # seconds for the receipts of one request's messages: sooner than proxies cut a request
KEPT = 60.0  # seconds for which a chat is followed here after the last request
AT_A_TIME = 5  # requests of one chat, as many as it may have websockets
MOST_RECEIPTED = 256  # messages of one chat that are remembered: more than its requests have at a time


class NotReceipted(Exception):
    """Not every message has its receipt or its refusal yet. The client sends the same frames again."""


class TooMany(Exception):
    """More requests or frames of this citizen than are allowed."""


class ClosedBy(Exception):
    """A frame would have closed a websocket; `code` is its close code."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


@dataclass
class _Kept:
    """A chat that is followed for requests.

    Attributes:
        chat: The chat.
        name: The name that the citizen has given, if any.
        users: The requests in progress.
        extended_at: When the citizen last kept the chat open, by the clock of the chats.
        receipted: The ids of the last messages that got their receipt here.
        end: Ends it, when there is no request in progress.
    """

    chat: LiveChat
    name: str | None
    users: int = 0
    extended_at: float = LONG_AGO
    receipted: deque[str] = field(default_factory=lambda: deque(maxlen=MOST_RECEIPTED))
    end: asyncio.TimerHandle | None = None


class _Refusals:
    """The `Socket` of a request's session: keeps what is written."""

    def __init__(self) -> None:
        self.last_received = 0.0
        self.may_write = True
        self.frames: list[bytes] = []

    def write(self, frames: Sequence[bytes]) -> None:
        self.frames += frames

    def soon(self, call: Callable[[], None]) -> None:
        asyncio.get_running_loop().call_soon(call)

    def close(self, code: int, reason: str) -> None:
        self.may_write = False


def _remember(receipted: deque[str], id_: str, outcome: Outcome) -> None:
    if isinstance(outcome, Receipt) and id_ not in receipted:
        receipted.append(id_)


class PostedFrames:
    """Handles the frames of requests, and keeps the chats that they are about for a while."""

    def __init__(self, following: Subscriptions, citizens: CitizenHandler, allowances: MessageLimits) -> None:
        self._following, self._citizens, self._allowances = following, citizens, allowances
        self._chats = following.chats
        self._kept: dict[str, _Kept] = {}
        self._running: dict[str, int] = {}

    async def handle(self, chat_id: str, frames: Sequence[dict[str, Any]]) -> list[bytes]:
        """Handle frames of the chat's citizen, in order. None is a hello.

        Returns:
            The `error` frames of what was refused.

        Raises:
            TooMany: The citizen has sent too much.
            ClosedBy: A frame is not one of the protocol. The frames before it were handled.
            NotReceipted: A message has no receipt after `ANSWER_LIMIT` seconds.
            NoSuchChat: Routing does not know the chat.
            Expired: The chat ended too long ago, or its token was revoked.
            Unavailable: The broker or another service does not answer.
        """
        running = self._running.get(chat_id, 0)
        if running >= AT_A_TIME or not self._allowances.frame(citizen_of(chat_id)):
            raise TooMany
        self._running[chat_id] = running + 1
        try:
            kept = await self._begin(chat_id)
            try:
                if kept.chat.state and kept.chat.state.revoked_by:
                    raise Expired
                return await self._take(kept, frames)
            finally:
                self._end(kept)
        finally:
            self._running[chat_id] -= 1
            if not self._running[chat_id]:
                del self._running[chat_id]

    async def _take(self, kept: _Kept, frames: Sequence[dict[str, Any]]) -> list[bytes]:
        socket = _Refusals()
        session = CitizenSession(Connection(Party.CITIZEN, socket))
        session.identify(kept.chat.chat_id)
        session.join(kept.name)
        reader = FrameSession(session, self._citizens, self._allowances)
        reader.begin_greeted()
        connection = session.connection
        missing = [frame for frame in frames if frame.get("type") != "message" or frame.get("id") not in kept.receipted]
        try:
            with self._receipts(kept, session, missing):
                for frame in missing:
                    if frame.get("type") != "extend" or self._may_extend(kept):
                        reader.receive(orjson.dumps(frame))
                if connection.closing:
                    raise ClosedBy(connection.closing[0])
                async with asyncio.timeout(ANSWER_LIMIT):
                    await session.all_sent()
            connection.flush()
            return socket.frames
        except TimeoutError:
            raise NotReceipted from None
        finally:
            await reader.stop()

    @contextlib.contextmanager
    def _receipts(self, kept: _Kept, session: CitizenSession, frames: Sequence[dict[str, Any]]) -> Iterator[None]:
        """Remember which of these messages get their receipt, also of a request that is not answered any more."""
        chat_id, sender_id = kept.chat.chat_id, session.sender.id
        waiting: dict[str, Callable[[Outcome], None]] = {}
        for frame in frames:
            if frame.get("type") == "message" and isinstance(id_ := frame.get("id"), str):
                waiting[id_] = partial(_remember, kept.receipted, id_)
        for id_, settled in waiting.items():
            self._chats.receipts.wait(chat_id, sender_id, id_, settled)
        try:
            yield
        finally:
            for id_, settled in waiting.items():
                self._chats.receipts.forget(chat_id, sender_id, id_, settled)

    def _may_extend(self, kept: _Kept) -> bool:
        now = self._chats.clock()
        if now - kept.extended_at < EXTEND_EACH:
            return False
        kept.extended_at = now
        return True

    async def _begin(self, chat_id: str) -> _Kept:
        kept = self._kept.get(chat_id)
        if kept is None:
            chat = await self._chats.open(chat_id)
            try:
                name = await self._name(chat)
            except BaseException:
                self._chats.close(chat)
                raise
            kept = self._kept.get(chat_id)
            if kept is None:
                kept = self._kept[chat_id] = _Kept(chat, name)
            else:  # another request was sooner
                self._chats.close(chat)
        kept.users += 1
        if kept.end:
            kept.end.cancel()
            kept.end = None
        return kept

    def _end(self, kept: _Kept) -> None:
        kept.users -= 1
        if not kept.users:
            kept.end = asyncio.get_running_loop().call_later(KEPT, self._forget, kept)

    def _forget(self, kept: _Kept) -> None:
        del self._kept[kept.chat.chat_id]
        self._chats.close(kept.chat)

    async def _name(self, chat: LiveChat) -> str | None:
        """Return the citizen's name. From then on the chat's entries are passed on here, and with them the receipts."""
        here = self._chats.registry.citizens.of(citizen_of(chat.chat_id))
        if here and chat.cursor.last is not None:
            return here[0].sender.name
        view, page = await asyncio.gather(
            self._following.view(chat.chat_id), self._following.first_page(chat, MAX_SEQ), return_exceptions=True
        )
        for missing in (view, page):
            if isinstance(missing, BaseException):
                raise missing
        assert isinstance(view, ChatView)
        assert isinstance(page, ChatHistory)
        self._citizens.check_token_life(view)
        self._following.note_view(chat, view)
        for passed in chat.cursor.begin(page.last_seq):
            self._chats.pass_on(chat, passed)
        return view.name
