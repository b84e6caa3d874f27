"""Connections of this replica: a bounded outbox for each, at most five for a participant, and their registry."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import Counter, Gauge

from services.common.events.types import Entry, Party, Sender
from services.common.internal_api.presence import AgentView
from services.gateway.sending.send_queue import SendQueue
from services.gateway.websocket.frames.server import Close

MOST_BYTES = 1024 * 1024  # of frames that wait for a slow browser
MOST_FRAMES = 4_000
PIECE = 64 * 1024  # bytes of one write
PER_PARTICIPANT = 5
ENDED = 100  # ended chats of an agent's connection that are remembered, to refuse a late message with the right code

OPEN = Gauge("eloket_gateway_connections", "Open websockets", ["party"])
CLOSED = Counter("eloket_gateway_connections_closed_total", "Websockets closed by this gateway", ["party", "code"])
for _party in (Party.CITIZEN, Party.AGENT):  # exported from the start, so that the first one counts as an increase
    OPEN.labels(_party.value)
    CLOSED.labels(_party.value, str(int(Close.TOO_SLOW)))


class Socket(Protocol):
    """What a connection needs of its websocket (`services/gateway/websocket/transport.py`)."""

    last_received: float

    @property
    def may_write(self) -> bool:
        """Whether frames can be written now."""

    def write(self, frames: Sequence[bytes]) -> None:
        """Send these text frames. Only while `may_write`."""

    def soon(self, call: Callable[[], None]) -> None:
        """Call a function after what is ready in the event loop now."""

    def close(self, code: int, reason: str) -> None:
        """Close the websocket after what was written."""


class Connection:
    """One websocket, as the router sees it: frames are put into the outbox, and nothing waits for them."""

    def __init__(self, party: Party, socket: Socket, session_id: str = "") -> None:
        """Create the connection of a websocket that was accepted.

        Args:
            party: Whether a citizen or an agent uses it.
            socket: The websocket.
            session_id: The id of an agent's session.
        """
        self.party, self.socket, self.session_id = party, socket, session_id
        self.agent: AgentView | None = None
        self.token = ""  # of an agent's session, which is checked again after events may have been missed
        self.chat_id: str | None = None
        self.sender: Sender | None = None
        self.shown: dict[str, int] = {}  # chat → the last seq sent here; only chats that are followed live
        self.followed: set[str] = set()  # an agent's chats whose channel this connection uses
        self.accepted: set[str] = set()  # an agent's chats that a person has seen here
        self.acceptance_told: set[str] = set()  # chats whose acceptance the broker has confirmed
        self.ended: deque[str] = deque(maxlen=ENDED)  # an agent's chats that ended while this connection followed them
        self.active_at = float("-inf")  # when an agent's page last reported activity, on the loop's clock
        self.extended_at = float("-inf")  # when a citizen last kept the chat open here
        self.send_queues: dict[str, SendQueue] = {}
        self.in_hand = 0  # running tasks of this connection's frames (`services/gateway/background_tasks.py`)
        self.caught_up: dict[tuple[str, str], Entry] | None = None  # own messages in the answer to a hello
        self.answering = asyncio.Lock()  # held while an agent's hello is answered or an assigned chat is shown
        self.closing: tuple[int, str] | None = None
        self.gone = False
        self._held: (
            list[bytes] | None
        ) = []  # frames that wait for the end of the answer to a hello; None: no hello is being answered
        self._held_bytes = 0
        self._outbox: list[bytes] = []
        self._bytes = 0
        self._due = False  # a flush of the outbox is scheduled
        self._room: asyncio.Event | None = None

    @property
    def identified(self) -> bool:
        """Whether the participant of this connection is known."""
        return self.agent is not None or self.chat_id is not None

    @property
    def participant(self) -> str:
        """The agent's id, or `citizen/` and the chat's id."""
        return self.agent.id if self.agent else f"citizen/{self.chat_id}"

    def heard(self) -> float:
        """Return when the browser last sent anything, on the loop's clock."""
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
        elif not (self.closing or self.gone):
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
        if self.closing or self.gone:
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
            CLOSED.labels(self.party.value, str(int(code))).inc()
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

    def note_acceptance(self, chat_id: str) -> None:
        """Record that the broker has confirmed the acceptance of this chat, unless the chat was removed meanwhile."""
        if chat_id in self.accepted:
            self.acceptance_told.add(chat_id)

    def forget_acceptance(self, chat_id: str) -> None:
        """Forget the acceptance: the chat was removed, or the event was lost.

        The next frame for the chat publishes it again.
        """
        self.accepted.discard(chat_id)
        self.acceptance_told.discard(chat_id)

    def put_down(self, _: object = None) -> None:
        """Count a task of this connection's frames that has ended."""
        self.in_hand -= 1

    def catch_up(self, entry: Entry) -> None:
        """Remember an own entry of a log that is being shown.

        When the participant repeats that message it is not published again.
        """
        if self.caught_up is not None and self.sender and self.sender.id == entry.sender_id:
            self.caught_up[entry.chat_id, entry.id] = entry

    async def room(self) -> None:
        """Return when the outbox is at most half full, or the connection has ended.

        The sender of a long log waits here, so that the log's length is not taken for a slow reader.
        """
        while self._bytes * 2 > MOST_BYTES or len(self._outbox) * 2 > MOST_FRAMES:
            if self.closing or self.gone:
                return
            self._room = self._room or asyncio.Event()
            await self._room.wait()

    def _make_room(self) -> None:
        if self._room:
            self._room.set()
            self._room = None

    def end(self) -> None:
        """Handle the end of the websocket: nothing is sent any more, and callers that wait for room continue."""
        self.gone = True
        self._outbox, self._bytes, self._held = [], 0, []
        self._make_room()


@dataclass
class Register:
    """All connections of this replica, by participant."""

    by_participant: dict[str, list[Connection]] = field(default_factory=dict)
    connected: set[Connection] = field(default_factory=set)
    agents_changed: asyncio.Event = field(default_factory=asyncio.Event)  # agents' connections opened or closed

    def join(self, connection: Connection) -> bool:
        """Add a connection whose hello was accepted. Above five connections the oldest one is closed.

        Returns:
            True when it is the participant's first connection here.
        """
        siblings = self.by_participant.setdefault(connection.participant, [])
        if connection in siblings:
            return False
        siblings.append(connection)
        self.connected.add(connection)
        OPEN.labels(connection.party.value).inc()
        for oldest in siblings[:-PER_PARTICIPANT]:
            oldest.close(Close.TOO_MANY_CONNECTIONS, "more than five connections")
        return len(siblings) == 1

    def leave(self, connection: Connection) -> bool:
        """Remove a connection. Return True when it was the participant's last one here."""
        connection.gone = True
        siblings = self.by_participant.get(connection.participant, [])
        if connection not in siblings:
            return False
        siblings.remove(connection)
        self.connected.discard(connection)
        OPEN.labels(connection.party.value).dec()
        if siblings:
            return False
        del self.by_participant[connection.participant]
        return True

    def of(self, participant: str) -> list[Connection]:
        """Return the connections of a participant."""
        return list(self.by_participant.get(participant, ()))

    def of_party(self, party: Party) -> Iterable[Connection]:
        """Return the connections of all citizens, or of all agents."""
        return [c for c in self.connected if c.party is party]
