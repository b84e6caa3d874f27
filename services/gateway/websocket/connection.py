"""A connection of a browser: a bounded outbox, the close, and the order of frames around the answer to a hello.

The connection knows its carrier only as a `Socket`: a websocket, or an answer over HTTP that streams frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

from prometheus_client import Counter

from services.common.events.types import Party
from services.gateway.websocket.frames.server import Close

MOST_BYTES = 1024 * 1024  # of frames that wait for a slow browser
MOST_FRAMES = 4_000
PIECE = 64 * 1024  # bytes of one write
MOST_TASKS = 32  # running tasks that the frames of one connection have started, its messages not counted

CLOSED = Counter("eloket_gateway_connections_closed_total", "Websockets closed by this gateway", ["party", "code"])
for _party in (Party.CITIZEN, Party.AGENT):  # exported from the start, so that the first one counts as an increase
    CLOSED.labels(_party.value, str(int(Close.TOO_SLOW)))


class Socket(Protocol):
    """What a connection needs of its carrier.

    It is a websocket (`services/gateway/websocket/transport.py`) or an answer over HTTP
    (`services/gateway/http/citizen/frame_stream.py`).
    """

    last_received: float

    @property
    def may_write(self) -> bool:
        """Whether frames can be written now."""

    def write(self, frames: Sequence[bytes]) -> None:
        """Send these frames. Only while `may_write`."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call a function after what is ready in the event loop now."""

    def close(self, code: int, reason: str) -> None:
        """Close the carrier after what was written."""


class Connection:
    """One websocket of a participant. Frames are put into the outbox, and no caller waits for them.

    Attributes:
        socket: The websocket.
        closing: Code and reason of the close that was requested; None while there is none.
        ended: Whether the websocket has ended.
    """

    def __init__(self, party: Party, socket: Socket) -> None:
        """Create the connection of a websocket that was accepted.

        Args:
            party: Whether a citizen or an agent uses it.
            socket: The websocket.
        """
        self.socket = socket
        self.closing: tuple[int, str] | None = None
        self.ended = False
        self._party = party
        self._tasks = 0  # running tasks that the frames have started (`services/gateway/background_tasks.py`)
        # Frames that wait for the end of the answer to a hello; None: no hello is being answered.
        self._held: list[bytes] | None = []
        self._held_bytes = 0
        self._outbox: list[bytes] = []
        self._bytes = 0
        self._due = False  # a flush of the outbox is scheduled
        self._room: asyncio.Event | None = None

    @property
    def last_received(self) -> float:
        """When the browser last sent anything, on the event loop's clock."""
        return self.socket.last_received

    @property
    def waiting(self) -> int:
        """The number of frames in the outbox and of those that wait for the end of the answer to a hello."""
        return len(self._outbox) + len(self._held or ())

    @property
    def answered(self) -> bool:
        """True when a hello was answered and no other one is being answered."""
        return self._held is None

    def begin_answer(self) -> None:
        """Send only the answer to a hello that has come, until `end_answer`."""
        if self._held is None:
            self._held = []

    def end_answer(self) -> None:
        """End the answer to the hello. The frames that were held follow, in their order."""
        held, self._held, self._held_bytes = self._held or [], None, 0
        for frame in held:
            self.answer(frame)

    def send(self, frame: bytes) -> None:
        """Send a frame that is not part of the answer to a hello: never before the first answer, nor within one."""
        if self._held is None:
            self.answer(frame)
        elif not (self.closing or self.ended):
            self._held.append(frame)
            self._held_bytes += len(frame)
            if len(self._held) > MOST_FRAMES or self._held_bytes > MOST_BYTES:
                self._held = []
                self.close(Close.TOO_SLOW, "too much at once")

    def answer(self, frame: bytes) -> None:
        """Put a frame into the outbox. Above the limit the connection is closed with 4430, and the page reconnects.

        Use this for the answer to a hello, and for an `error` or `closed` before the close that takes its place. Use
        `send` for everything else.
        """
        if self.closing or self.ended:
            return
        self._outbox.append(frame)
        self._bytes += len(frame)
        if self._bytes > MOST_BYTES or len(self._outbox) > MOST_FRAMES:
            self._outbox, self._bytes = [], 0
            self.close(Close.TOO_SLOW, "reads too slowly")
            self.socket.close(Close.TOO_SLOW, "reads too slowly")
        elif not self._due:
            self._flush_soon()

    def close(self, code: int, reason: str = "") -> None:
        """Close the connection after the outbox is sent. The first code is kept."""
        if not self.closing:
            self.closing = (int(code), reason)
            CLOSED.labels(self._party.value, str(int(code))).inc()
            self._flush_soon()
        self._make_room()

    def _flush_soon(self) -> None:
        # One write for all frames of an event-loop iteration: the system call costs more than all else here.
        self._due = True
        self.socket.soon(self.flush)

    def flush(self) -> None:
        """Write the outbox as far as the socket takes it, then the close. Called again when the socket can write."""
        self._due = False
        while self._outbox and self.socket.may_write:
            self.socket.write(self._piece())
            self._make_room()
        if self.closing and not self._outbox and self.socket.may_write:
            self.socket.close(*self.closing)

    def _piece(self) -> list[bytes]:
        """Remove the first frames from the outbox, about `PIECE` bytes, and return them."""
        outbox = self._outbox
        if self._bytes <= PIECE:
            self._outbox, self._bytes = [], 0
            return outbox
        count = size = 0
        while count < len(outbox) and size < PIECE:
            size += len(outbox[count])
            count += 1
        self._outbox, self._bytes = outbox[count:], self._bytes - size
        return outbox[:count]

    def begin_task(self) -> bool:
        """Count a task that a frame starts. Return False when `MOST_TASKS` are running, and it may not start."""
        if self._tasks >= MOST_TASKS:
            return False
        self._tasks += 1
        return True

    def end_task(self, _: object = None) -> None:
        """Count a task that has ended."""
        self._tasks -= 1

    async def room(self) -> None:
        """Return when the outbox is at most half full, or the connection has ended.

        The sender of a long log waits here, so that the log's length is not taken for a slow reader.
        """
        while self._bytes * 2 > MOST_BYTES or len(self._outbox) * 2 > MOST_FRAMES:
            if self.closing or self.ended:
                return
            self._room = self._room or asyncio.Event()
            await self._room.wait()

    def _make_room(self) -> None:
        if self._room:
            self._room.set()
            self._room = None

    def end(self) -> None:
        """Handle the end of the websocket: nothing is sent any more, and callers that wait for room continue."""
        self.ended = True
        self._outbox, self._bytes, self._held = [], 0, []
        self._make_room()
