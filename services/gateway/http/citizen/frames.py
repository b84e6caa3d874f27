"""The frames of a citizen over HTTP, where a network lets no websocket through.

`GET /api/chats/{chat_id}/stream` answers with the frames of one session (`frame_stream.py`); opening it is the hello.
`POST /api/chats/{chat_id}/frames` takes the frames of the citizen, at any replica (`participants/posted_frames.py`).
Sessions, handlers, frames and limits are those of the websocket.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import Response
from prometheus_client import Counter
from pydantic import BaseModel, Field
from starlette.types import Receive, Scope, Send

from services.common.config.departments import Departments
from services.common.events.types import Party
from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.observability.tracing import begin_trace
from services.gateway.chats.subscriptions import NoSuchChat
from services.gateway.clients.http_client import Unavailable
from services.gateway.http.citizen.frame_stream import FrameStream
from services.gateway.http.dependencies import (
    BODY,
    body_of,
    limited,
    problems_of,
    read_json,
    require_citizen_of,
    unavailable,
)
from services.gateway.participants.citizen import CitizenHandler, Expired
from services.gateway.participants.posted_frames import ClosedBy, NotReceipted, PostedFrames, TooMany
from services.gateway.participants.sessions import CitizenSession
from services.gateway.settings import Settings
from services.gateway.websocket.connection import Connection
from services.gateway.websocket.frames.client import MAX_SEQ, Hello, loads
from services.gateway.websocket.frames.server import Close
from services.gateway.websocket.message_limits import MessageLimits
from services.gateway.websocket.session import FrameSession

LINGER = 10.0  # seconds for which a citizen whose answer has ended counts as online: the page opens the next one
MOST_FRAMES = 64  # of one request
MOST_KNOWN = 8
OPENED = Counter("eloket_gateway_streams_total", "Answers over HTTP that carry a citizen's frames", ["kind"])
for _kind in ("stream", "poll"):  # exported from the start, so that the first one counts as an increase
    OPENED.labels(_kind)


class Frames(BaseModel):
    """Frames of a citizen, each as on the websocket and none of them a hello, in the order of sending."""

    frames: list[dict[str, Any]] = Field(max_length=MOST_FRAMES)


class Streams:
    """The open streams, and the sessions whose stream has just ended."""

    def __init__(self, citizens: CitizenHandler, allowances: MessageLimits) -> None:
        self._citizens, self._allowances = citizens, allowances
        self._open: dict[tuple[str, str], tuple[FrameSession[CitizenSession], FrameStream]] = {}
        self._lingering: dict[tuple[str, str], tuple[CitizenSession, asyncio.TimerHandle]] = {}

    async def serve(self, receive: Receive, socket: FrameStream, key: tuple[str, str], hello: Hello) -> None:
        """Send the frames of a new session until the answer or its request ends.

        Args:
            receive: The server's function that returns what comes from the client.
            socket: The answer.
            key: The chat, and the client's own id of its session. An earlier answer with this key ends: its client
                has opened this one in its place.
            hello: The hello.
        """
        if earlier := self._open.pop(key, None):
            earlier[1].finish()
        session = CitizenSession(Connection(Party.CITIZEN, socket))
        connection = session.connection
        reader = FrameSession(session, self._citizens, self._allowances)
        self._open[key] = reader, socket
        try:
            await socket.begin(connection.flush, lambda: connection.answered and not connection.waiting)
            reader.greet(hello)
            if reader.greeting:
                reader.greeting.add_done_callback(lambda _: self._greeted(key, session, socket))
            while (await receive())["type"] != "http.disconnect":  # the server says so after the end of the answer too
                pass
        finally:
            socket.end()
            await reader.stop()
            if self._open.get(key) == (reader, socket):
                del self._open[key]
            self._linger(key, session)

    def _greeted(self, key: tuple[str, str], session: CitizenSession, socket: FrameStream) -> None:
        if session.joined:  # the citizen stays online without the session before
            self._leave(key)
        socket.look()

    def _linger(self, key: tuple[str, str], session: CitizenSession) -> None:
        """Let the citizen count as online for `LINGER` seconds, unless the server has closed the session."""
        if session.connection.closing or not session.joined:
            self._citizens.leave(session)
            return
        self._leave(key)
        timer = asyncio.get_running_loop().call_later(LINGER, self._leave, key)
        self._lingering[key] = session, timer

    def _leave(self, key: tuple[str, str]) -> None:
        if found := self._lingering.pop(key, None):
            session, timer = found
            timer.cancel()
            self._citizens.leave(session)


class StreamResponse(Response):
    """The answer that carries a session's frames."""

    def __init__(self, streams: Streams, key: tuple[str, str], hello: Hello, poll: bool, known: frozenset[str]) -> None:
        super().__init__()
        self._streams, self._key, self._hello, self._poll, self._known = streams, key, hello, poll, known

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        OPENED.labels("poll" if self._poll else "stream").inc()
        await self._streams.serve(receive, FrameStream(send, self._poll, self._known), self._key, self._hello)


def install(
    app: FastAPI,
    citizens: CitizenHandler,
    posted: PostedFrames,
    allowances: MessageLimits,
    departments: Departments,
    keys: Keys,
    settings: Settings,
) -> None:
    """Add `GET /api/chats/{chat_id}/stream` and `POST /api/chats/{chat_id}/frames`."""
    streams = Streams(citizens, allowances)

    @app.get(
        "/api/chats/{chat_id}/stream",
        response_class=Response,
        responses={
            200: {"description": "Each event is one frame of the websocket", "content": {"text/event-stream": {}}},
            **problems_of(_401="unauthenticated", _403="forbidden, origin_not_allowed", _422="invalid"),
        },
    )
    async def stream(
        request: Request,
        chat_id: str,
        after: Annotated[int, Query(ge=0, le=MAX_SEQ)] = 0,
        session: Annotated[str, Query(max_length=64)] = "",
        poll: bool = False,
        known: Annotated[str, Query(max_length=100)] = "",
    ) -> Response:
        """Stream the frames that the citizen's websocket would get; opening it is the hello with this `after`.

        `session` is the client's own id of its session, the same in each answer that follows another one. With `poll`
        the answer ends at the first news, at the latest after 8 s; states whose event ids are in `known`, separated by
        commas, are none.
        """
        begin_trace(request.headers.get("traceparent"), public=True, chat_id=chat_id)
        require_citizen_of(request, chat_id, keys, departments, settings)
        token = request.headers["authorization"].partition(" ")[2].strip()
        ids = frozenset(known.split(",")[:MOST_KNOWN])
        own = session or f"{id(request)}"
        return StreamResponse(streams, (chat_id, own), Hello(token=token, after=after), poll, ids)

    @app.post(
        "/api/chats/{chat_id}/frames",
        openapi_extra=body_of(Frames),
        responses=problems_of(
            _401="unauthenticated",
            _403="forbidden, origin_not_allowed",
            _404="no_such_chat",
            **BODY,
            _422="invalid",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def frames(request: Request, chat_id: str) -> Response:
        """Handle the citizen's frames in their order. Answered when each message has its receipt or its refusal.

        The answer has the `error` frames of what was refused, `{"frames": []}` when nothing was. Receipts come by the
        stream. A client has one request under way at a time, and repeats it with the same frames when it fails.
        """
        begin_trace(request.headers.get("traceparent"), public=True, chat_id=chat_id)
        require_citizen_of(request, chat_id, keys, departments, settings)
        wanted = await read_json(request, Frames, loads=loads)
        if any(frame.get("type") == "hello" for frame in wanted.frames):
            raise Problem(422, "invalid", "Opening the stream is the hello; send the other frames alone.")
        try:
            refused = await posted.handle(chat_id, wanted.frames)
        except TooMany:
            limited(1)
            raise
        except ClosedBy as error:
            limited(1 if error.code == Close.TOO_MANY_FRAMES else 0)
            if error.code == Close.RESTART:
                raise unavailable() from error
            raise Problem(422, "invalid", "A frame is not one of the protocol; the frames before it count.") from error
        except NoSuchChat as error:
            raise Problem(404, "no_such_chat", "There is no such chat.") from error
        except Expired as error:
            raise Problem(
                401,
                "unauthenticated",
                "The token has expired, or it was revoked.",
            ) from error
        except (NotReceipted, Unavailable) as error:
            raise unavailable() from error
        body = b'{"frames":[' + b",".join(refused) + b"]}"
        return Response(body, media_type="application/json")
