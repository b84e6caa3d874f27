"""A session on a connection: its frames in order, and a hello before all others. Handlers decide what frames mean.

The connection is a websocket (`serve` below), or HTTP: an answer that streams frames, or one request with frames
(`services/gateway/http/citizen/frames.py`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextvars import copy_context
from typing import Generic, Literal, Protocol, TypeVar

import structlog
from fastapi import WebSocket

from services.common.events.types import Party
from services.common.observability.tracing import begin_trace, span
from services.gateway.participants.sessions import ForeignOrigin, Session
from services.gateway.refusal_log import FORBIDDEN, INVALID, LIMITED, REFUSALS
from services.gateway.sending.sender import refuse
from services.gateway.websocket.frames import server
from services.gateway.websocket.frames.client import Frame, Hello, Malformed, Refused, parse
from services.gateway.websocket.frames.server import Close
from services.gateway.websocket.message_limits import MessageLimits
from services.gateway.websocket.transport import ReceivingProtocol

log = structlog.get_logger()
HELLO_LIMIT = 5.0
MOST_STASHED = 200

S = TypeVar("S", bound=Session)
S_contra = TypeVar("S_contra", bound=Session, contravariant=True)


class Handler(Protocol[S_contra]):
    """A handler of frames: `CitizenHandler` or `AgentHandler`."""

    def identify(self, session: S_contra, hello: Hello) -> bool:
        """Identify the participant. Return False when the hello does not prove who they are.

        Raises:
            ForeignOrigin: The page of the connection may not have the chat.
        """

    async def greet(self, session: S_contra, hello: Hello) -> None:
        """Answer a hello."""

    def take(self, session: S_contra, frame: Frame) -> None:
        """Handle a valid frame of a greeted session. Returns at once."""

    def leave(self, session: S_contra) -> None:
        """Handle the end of the connection."""


class FrameSession(Generic[S]):
    """The frames of one connection, in order: a hello is answered before the frames after it are handled."""

    def __init__(self, session: S, handler: Handler[S], allowances: MessageLimits) -> None:
        self._session, self._handler, self._allowances = session, handler, allowances
        self.connection = session.connection
        self._party: Literal["citizen", "agent"] = "citizen" if session.party is Party.CITIZEN else "agent"
        self._stash: deque[Frame] | None = None  # frames that came before the welcome
        self.greeting: asyncio.Future[None] | None = None

    def receive(self, text: bytes | None) -> None:
        """Handle one frame of the browser; None for a binary one. Returns at once and raises nothing; may close."""
        if self.connection.closing:
            return
        try:
            self._receive(text)
        except Malformed:
            code, reason = (Close.BAD_FRAME, "not a frame of this protocol") if _is_utf8(text) else (1007, "no UTF-8")
            self._close(INVALID, code, reason)
        except Exception:
            log.exception("frame_failed")
            self.connection.close(Close.RESTART, "try again")

    def _receive(self, text: bytes | None) -> None:
        if self._session.identified and not self._allowances.frame(self._session.participant):
            self._close(LIMITED, Close.TOO_MANY_FRAMES, "too many frames")
            return
        if text is None:
            raise Malformed
        frame = parse(text, self._party)
        if self.greeting is None:
            self._begin(frame)
        elif isinstance(frame, Refused):
            self._refuse(frame)
        elif self._stash is not None or not self.greeting.done():
            self._keep(frame)
        else:
            self._take(frame)

    def _close(self, event: str, code: int, reason: str) -> None:
        """Close the connection because of what its client has sent, and note it as this event."""
        REFUSALS.closed(event, code, self._session.participant if self._session.identified else None)
        self.connection.close(code, reason)

    def _begin(self, frame: Frame | Refused) -> None:
        if isinstance(frame, Hello):
            self.greet(frame)
        else:
            self.connection.close(Close.UNAUTHENTICATED, "the first frame must be hello")

    def no_hello_yet(self) -> None:
        """Close the connection when the time for a hello is over."""
        if self.greeting is None:
            self.connection.close(Close.UNAUTHENTICATED, "no hello in time")

    def _keep(self, frame: Frame) -> None:
        self._stash = deque() if self._stash is None else self._stash
        if len(self._stash) >= MOST_STASHED:
            self._close(LIMITED, Close.TOO_MANY_FRAMES, "too many frames before the welcome")
        else:
            self._stash.append(frame)

    def _refuse(self, refused: Refused) -> None:
        refuse(self._session, refused.code, refused.id, refused.chat_id)
        if self._session.identified and not self._allowances.bad_frame(self._session.participant):
            self._close(INVALID, Close.BAD_FRAME, "too many bad frames")

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Hello):
            self.greet(frame)
        else:
            self._handler.take(self._session, frame)

    def greet(self, hello: Hello) -> None:
        """Answer a hello. Frames that come meanwhile wait."""
        try:
            identified = self._handler.identify(self._session, hello)
        except ForeignOrigin:
            self._close(FORBIDDEN, Close.FORBIDDEN_ORIGIN, "")
            return
        if not identified:
            self._close(FORBIDDEN, Close.UNAUTHENTICATED, "no or a bad token")
            return
        if not self._allowances.hello(self._session.participant):
            self._close(LIMITED, Close.TOO_MANY_FRAMES, "too many hellos")
            return
        self.connection.begin_answer()
        self._session.begin_catch_up()
        self.greeting = asyncio.create_task(self._greet(hello))

    async def _greet(self, hello: Hello) -> None:
        try:
            begin_trace()
            with span("receive", "hello", "server", None, {"eloket.from": self._party}):
                async with self._allowances.turn(self._session.participant):
                    if not self.connection.ended:
                        await self._handler.greet(self._session, hello)
        except TimeoutError:
            self.connection.answer(server.error("unavailable"))
            self.connection.close(Close.RESTART, "try again")
        except Exception:
            log.exception("hello_failed")
            self.connection.close(Close.RESTART, "try again")
        asyncio.get_running_loop().call_soon(self._take_stashed)

    def _take_stashed(self) -> None:
        while self._stash and not self.connection.closing and self.greeting and self.greeting.done():
            self._take(self._stash.popleft())
        if self.greeting and self.greeting.done():
            self._stash = None
            self._session.end_catch_up()

    def begin_greeted(self) -> None:
        """Handle frames from now on: the caller that made this session has done what a hello does."""
        self.greeting = asyncio.get_running_loop().create_future()
        self.greeting.set_result(None)
        self.connection.end_answer()

    async def stop(self) -> None:
        """Send and answer nothing any more. Queued messages are still published by the sender."""
        self.connection.end()
        if self.greeting:
            self.greeting.cancel()
            await asyncio.gather(self.greeting, return_exceptions=True)

    async def end(self) -> None:
        """Handle the end of the connection."""
        await self.stop()
        self._handler.leave(self._session)


def _is_utf8(text: bytes | None) -> bool:
    try:
        (text or b"").decode()
    except UnicodeDecodeError:
        return False
    return True


async def serve(websocket: WebSocket, socket: ReceivingProtocol, session: FrameSession[S]) -> None:
    """Wait for the end of the websocket. Its frames bypass this task: the transport calls the session."""
    context = copy_context()  # work that frames start belongs to this trace
    patience = asyncio.get_running_loop().call_later(HELLO_LIMIT, session.no_hello_yet)
    try:
        socket.receive_with(lambda text: context.run(session.receive, text), session.connection.flush)
        # The server ends the websocket when this call returns.
        while (await websocket.receive())["type"] != "websocket.disconnect":
            pass
    finally:
        patience.cancel()
        await session.end()
