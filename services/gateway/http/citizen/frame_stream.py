"""Answer over HTTP that carries the frames of one session, as Server-Sent Events.

Each event is one frame, in one line `data:`. An event `close` has the code and the reason with which a websocket would
be closed. The answer ends by itself. A stream ends after `STREAM_SECONDS`, so that a client that has gone is noticed
behind a proxy too. A poll ends as soon as it has news: a proxy that keeps an answer until its end holds nothing back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from zlib import crc32

import orjson
from starlette.types import Send

from services.gateway.http.citizen.parts import part, written

STREAM_SECONDS = 25.0
POLL_SECONDS = 8.0  # a page takes a connection for dead after 12 s without a frame
LATER = 1.0  # seconds
HEADERS = [
    (b"cache-control", b"no-store, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"content-type", b"text/event-stream; charset=utf-8"),
]
PADDING = b":" + b" " * 2_048 + b"\n\n"
"""The first bytes: they fill small buffers on the way, and show the client that the answer is not held back."""
STATES = tuple(b'{"type":"%s"' % kind for kind in (b"status", b"read", b"inactive"))
"""Frames that say how things are now. They have an id, and are no news to a client that names this id."""
SECONDS_LEFT = b',"seconds":'  # in `inactive`, after all that matters: the time that is left is no news
NO_NEWS = tuple(b'{"type":"%s"' % kind for kind in (b"welcome", b"sync"))


class FrameStream:
    """The `Socket` of a session whose frames go out in one answer.

    Attributes:
        last_received: When the client opened the answer, on the event loop's clock.
    """

    def __init__(self, send: Send, poll: bool = False, known: frozenset[str] = frozenset()) -> None:
        """Create the socket of an answer that has not begun.

        Args:
            send: The server's function that sends a part of the answer.
            poll: Whether the answer ends as soon as it has news.
            known: The ids of the states that the client has; they are no news.
        """
        self._loop = asyncio.get_running_loop()
        self.last_received = self._loop.time()
        self._send, self._poll, self._known = send, poll, known
        self._late: list[tuple[bytes, bool]] = []  # parts that wait until the client reads
        self._sending: asyncio.Task[None] | None = None
        self._ended = self._has_news = False
        self._writable: Callable[[], None] = lambda: None
        self._complete: Callable[[], bool] = lambda: True
        self._timer: asyncio.TimerHandle | None = None

    async def begin(self, writable: Callable[[], None], complete: Callable[[], bool]) -> None:
        """Send the head of the answer and the padding.

        Args:
            writable: Called when `may_write` has become true again.
            complete: Returns whether the answer to the hello is complete, and everything was written.
        """
        self._writable, self._complete = writable, complete
        await self._send({"type": "http.response.start", "status": 200, "headers": HEADERS})
        await self._send(part(PADDING))
        self._timer = self._loop.call_later(POLL_SECONDS if self._poll else STREAM_SECONDS, self._time_over)

    @property
    def may_write(self) -> bool:
        """Whether frames can be written now: the answer has not ended, and the client reads it."""
        return not (self._ended or self._late or self._sending)

    def write(self, frames: Sequence[bytes]) -> None:
        """Send these frames. Only while `may_write`."""
        self._put(b"".join(map(self._event, frames)))
        self.look()

    def soon(self, call: Callable[[], None]) -> None:
        """Call a function after what is ready in the event loop now."""
        self._loop.call_soon(call)

    def close(self, code: int, reason: str = "") -> None:
        """Send the event `close`, and end the answer after what was written."""
        if not self._ended:
            said = orjson.dumps({"code": int(code), "reason": reason})
            self._put(b"event: close\ndata: " + said + b"\n\n", last=True)

    def finish(self) -> None:
        """End the answer after what was written. The client opens the next one at once."""
        if not self._ended:
            self._put(b"", last=True)

    def _time_over(self) -> None:
        if self._complete():
            self.finish()
        else:  # an answer to a hello is not cut off
            self._timer = self._loop.call_later(LATER, self._time_over)

    def look(self) -> None:
        """End a poll that has news, once the answer to the hello is complete."""
        if self._poll and self._has_news:
            self.soon(self._finish_poll)

    def _finish_poll(self) -> None:
        if self._complete():
            self.finish()

    def end(self) -> None:
        """Handle the end of the request."""
        self._ended = True
        self._late = []
        if self._timer:
            self._timer.cancel()
        if self._sending:
            self._sending.cancel()

    def _event(self, frame: bytes) -> bytes:
        if frame.startswith(STATES):
            id_ = f"{crc32(frame.partition(SECONDS_LEFT)[0]):08x}"
            self._has_news = self._has_news or id_ not in self._known
            return b"id: " + id_.encode() + b"\ndata: " + frame + b"\n\n"
        self._has_news = self._has_news or not frame.startswith(NO_NEWS)
        return b"data: " + frame + b"\n\n"

    def _put(self, body: bytes, last: bool = False) -> None:
        self._ended = self._ended or last
        if not (self._late or self._sending) and written(self._send, body, last):
            return
        self._late.append((body, last))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_late())

    async def _send_late(self) -> None:
        while self._late:
            body, last = self._late[0]
            await self._send(part(body, last))
            self._late = self._late[1:]
        self._sending = None
        if not self._ended:
            self._writable()
