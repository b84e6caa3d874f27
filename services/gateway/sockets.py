"""The only file that touches a websocket: read, write, close. What frames mean is decided elsewhere."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Any, Literal, Protocol

import structlog
from fastapi import FastAPI, WebSocket
from starlette.websockets import WebSocketDisconnect

from services.contracts import Party
from services.departments import Departments
from services.gateway import frames, limits
from services.gateway.agents import Agents
from services.gateway.citizens import Citizens
from services.gateway.connections import Connection
from services.gateway.cookies import session_token
from services.gateway.frames import Close
from services.gateway.limits import Bucket
from services.gateway.lines import Line
from services.gateway.parsing import parse
from services.gateway.posting import refuse
from services.gateway.protocol import SOCKET, HeardProtocol
from services.gateway.upstream import Unavailable, Upstream
from services.gateway.verbs import Frame, Hello, Malformed, Post, Refused
from services.tracing import begin_trace

log = structlog.get_logger()
HELLO_LIMIT = 5.0
MOST_STASHED = 200


class Room(Protocol):
    """What citizens and agents have in common, seen from a socket."""

    async def greet(self, connection: Connection, hello: Hello) -> None: ...
    def take(self, connection: Connection, frame: Frame) -> None: ...
    def leave(self, connection: Connection) -> None: ...


class Conversation:
    """One websocket's frames, in their order: a hello is answered before what came after it is taken."""

    def __init__(self, connection: Connection, room: Room, limited: bool) -> None:
        self.connection, self._room = connection, room
        now = time.monotonic()
        self._frames = Bucket(limits.FRAMES_PER_CONNECTION, now) if limited else None
        self._messages = Bucket(limits.MESSAGES_PER_CONNECTION, now) if limited else None
        self._hellos = Bucket(limits.HELLOS_PER_CONNECTION, now) if limited else None
        self._bad = Bucket(limits.BAD_FRAMES_PER_CONNECTION, now)
        self._stash: deque[Frame] = deque()
        self.greeting: asyncio.Task[None] | None = None

    def receive(self, text: str | bytes) -> None:
        """One frame from the browser. Raises `Malformed`."""
        if self._frames and self._frames.take(time.monotonic()):
            self.connection.close(Close.TOO_MANY_FRAMES, "too many frames")
            return
        party: Literal["citizen", "agent"] = "citizen" if self.connection.party is Party.CITIZEN else "agent"
        frame = parse(text, party)
        if isinstance(frame, Refused):
            self._refuse(frame)
        elif self._stash or self.greeting is None or not self.greeting.done():
            if len(self._stash) >= MOST_STASHED:
                self.connection.close(Close.TOO_MANY_FRAMES, "too many frames before the welcome")
            self._stash.append(frame)
        else:
            self._take(frame)

    def _refuse(self, refused: Refused) -> None:
        refuse(self.connection, refused.code, refused.id, refused.chat_id)
        if self._bad.take(time.monotonic()):
            self.connection.close(Close.BAD_FRAME, "too many bad frames")

    def _take(self, frame: Frame) -> None:
        if isinstance(frame, Hello):
            self.greet(frame)
        elif isinstance(frame, Post) and self._messages and self._messages.take(time.monotonic()):
            self._limit(frame)
        else:
            self._room.take(self.connection, frame)

    def _limit(self, post: Post) -> None:
        chat_id = post.chat_id or self.connection.chat_id or ""
        line = self.connection.lines.setdefault(chat_id, Line())
        if not line.holds(post.id):  # a repeat of what is under way is no new message
            line.break_at(post.id)
            refuse(self.connection, "rate_limited", post.id, chat_id)

    def greet(self, hello: Hello) -> None:
        """Answers a hello; frames that come meanwhile wait."""
        if self._hellos and self._hellos.take(time.monotonic()):
            self.connection.close(Close.TOO_MANY_FRAMES, "too many hellos")
            return
        self.connection.caught_up = {}
        self.greeting = asyncio.create_task(self._greet(hello))

    async def _greet(self, hello: Hello) -> None:
        try:
            await self._room.greet(self.connection, hello)
        except Exception:
            log.exception("hello_failed")
            self.connection.close(Close.RESTART, "try again")
        asyncio.get_running_loop().call_soon(self._take_stashed)

    def _take_stashed(self) -> None:
        while self._stash and not self.connection.closing and self.greeting and self.greeting.done():
            self._take(self._stash.popleft())
        if self.greeting and self.greeting.done():
            self.connection.caught_up = None

    async def end(self) -> None:
        if self.greeting:
            self.greeting.cancel()
            await asyncio.gather(self.greeting, return_exceptions=True)
        self._room.leave(self.connection)


def own_origin(headers: Any, origins: frozenset[str] = frozenset()) -> bool:
    """Whether `Origin` is there and equals `Host`, or is one of the listed ones."""
    origin, host = headers.get("origin", "").lower(), headers.get("host", "").lower()
    return origin in origins or (bool(host) and origin in (f"http://{host}", f"https://{host}"))


def install(
    app: FastAPI, citizens: Citizens, agents: Agents, upstream: Upstream, departments: Departments, limited: bool
) -> None:
    """The two websockets of the protocol."""
    origins = departments.origins()

    @app.websocket("/ws/citizen")
    async def citizen(websocket: WebSocket) -> None:
        begin_trace()
        await websocket.accept()
        if "origin" in websocket.headers and not own_origin(websocket.headers, origins):
            await _close(websocket, Close.FORBIDDEN_ORIGIN)
            return
        connection = _connection(websocket, Party.CITIZEN)
        await _serve(websocket, Conversation(connection, _CitizenRoom(citizens), limited))

    @app.websocket("/ws/agent")
    async def agent(websocket: WebSocket) -> None:
        begin_trace()
        await websocket.accept()
        if not own_origin(websocket.headers):
            await _close(websocket, Close.FORBIDDEN_ORIGIN)
            return
        try:
            token = session_token(websocket.cookies, websocket.headers.get("host", ""))
            session = await upstream.session(token) if token else None
        except Unavailable:
            await websocket.send_text(frames.error("unavailable").decode())
            await _close(websocket, Close.RESTART)
            return
        if session is None:
            await _close(websocket, Close.UNAUTHENTICATED)
            return
        connection = _connection(websocket, Party.AGENT, session.session_id)
        connection.agent, connection.token = session.agent, token or ""
        await _serve(websocket, Conversation(connection, agents, limited))


class _CitizenRoom:
    """Citizens, where every hello must also carry the token of the one chat."""

    def __init__(self, citizens: Citizens) -> None:
        self._citizens = citizens
        self.take, self.leave = citizens.take, citizens.leave

    async def greet(self, connection: Connection, hello: Hello) -> None:
        if self._citizens.identify(connection, hello):
            await self._citizens.greet(connection, hello)
        else:
            connection.close(Close.UNAUTHENTICATED, "no or a bad token")


def _connection(websocket: WebSocket, party: Party, session_id: str = "") -> Connection:
    socket: HeardProtocol = websocket.scope["extensions"][SOCKET]
    return Connection(party, lambda: socket.last_heard, socket.close_over_backlog, session_id)


async def _serve(websocket: WebSocket, conversation: Conversation) -> None:
    connection = conversation.connection
    writer = asyncio.create_task(_write(websocket, connection))
    try:
        await _read(websocket, conversation)
        if connection.closing:
            await writer
    except WebSocketDisconnect:
        pass
    finally:
        writer.cancel()
        await conversation.end()
        await asyncio.gather(writer, return_exceptions=True)


async def _read(websocket: WebSocket, conversation: Conversation) -> None:
    connection = conversation.connection
    try:
        async with asyncio.timeout(HELLO_LIMIT):
            first = await _next(websocket)
        frame = parse(first, "citizen" if connection.party is Party.CITIZEN else "agent")
        if not isinstance(frame, Hello):
            connection.close(Close.UNAUTHENTICATED, "the first frame must be hello")
            return
        conversation.greet(frame)
        while True:
            conversation.receive(await _next(websocket))
            if connection.closing:
                await _until_closed(websocket)
                return
    except TimeoutError:
        connection.close(Close.UNAUTHENTICATED, "no hello in time")
    except Malformed:
        connection.close(Close.BAD_FRAME, "not a frame of this protocol")


async def _next(websocket: WebSocket) -> str | bytes:
    message = await websocket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    text = message.get("text")
    if text is None:
        raise Malformed
    return str(text)


async def _until_closed(websocket: WebSocket) -> None:
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def _write(websocket: WebSocket, connection: Connection) -> None:
    """Sends the outbox, then the close; waits for the browser as long as it takes (the outbox is bounded)."""
    try:
        while (frame := await connection.next_frame()) is not None:
            await websocket.send_text(frame.decode())
        code, reason = connection.closing or (Close.ENDED, "")
        await _close(websocket, code, reason)
    except (WebSocketDisconnect, RuntimeError):
        return


async def _close(websocket: WebSocket, code: int, reason: str = "") -> None:
    await websocket.close(int(code), reason)
