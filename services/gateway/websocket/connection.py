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
from services.gateway.sending.send_queue import Line
from services.gateway.websocket.frames.server import Close

MOST_BYTES = 1024 * 1024  # of frames that wait for a slow browser
MOST_FRAMES = 4_000
PIECE = 64 * 1024  # bytes that are written at once
PER_PARTICIPANT = 5
ENDED = 100  # of an agent's chats that ended on a connection, it is said so when he still writes in them

OPEN = Gauge("eloket_gateway_connections", "Open websockets", ["party"])
CLOSED = Counter("eloket_gateway_connections_closed_total", "Websockets closed by this gateway", ["party", "code"])
for _party in (Party.CITIZEN, Party.AGENT):  # there from the start: the first one is to be seen as an increase
    OPEN.labels(_party.value)
    CLOSED.labels(_party.value, str(int(Close.TOO_SLOW)))


class Socket(Protocol):
    """What a connection needs of its websocket (`services/gateway/websocket/transport.py`)."""

    last_heard: float

    @property
    def may_write(self) -> bool: ...
    def write(self, frames: Sequence[bytes]) -> None: ...
    def soon(self, call: Callable[[], None]) -> None: ...
    def close(self, code: int, reason: str) -> None: ...


class Connection:
    """One websocket, seen from the hub: frames are put into the outbox and never waited for."""

    def __init__(self, party: Party, socket: Socket, session_id: str = "") -> None:
        self.party, self._socket, self.session_id = party, socket, session_id
        self.agent: AgentView | None = None
        self.token = ""  # of an agent's session, which is asked about again after events may have been missed
        self.chat_id: str | None = None
        self.sender: Sender | None = None
        self.shown: dict[str, int] = {}  # chat → the last seq sent here; only chats that are followed live
        self.followed: set[str] = set()  # an agent's chats whose channel this connection uses
        self.accepted: set[str] = set()  # an agent's chats that a person has seen here
        self.acceptance_told: set[str] = set()  # those of which the broker has confirmed it
        self.ended: deque[str] = deque(maxlen=ENDED)  # an agent's chats that ended while he followed them
        self.active_at = float("-inf")  # when an agent's page last said that its user is at work, on the loop's clock
        self.extended_at = float("-inf")  # when a citizen last said here that he stays
        self.lines: dict[str, Line] = {}
        self.in_hand = 0  # pieces of work that frames of this connection began (`services/gateway/background_tasks.py`)
        self.caught_up: dict[tuple[str, str], Entry] | None = None  # own messages that the answer to a hello shows
        self.answering = asyncio.Lock()  # held while an agent's hello, or a chat that comes to him, is answered
        self.closing: tuple[int, str] | None = None
        self.gone = False
        self._held: (
            list[bytes] | None
        ) = []  # what is not part of the answer to a hello waits for its end; None: no hello
        self._held_bytes = 0
        self._outbox: list[bytes] = []
        self._bytes = 0
        self._due = False  # the outbox is written when what is ready now is done
        self._room: asyncio.Event | None = None

    @property
    def identified(self) -> bool:
        """Whether it is known whose connection this is."""
        return self.agent is not None or self.chat_id is not None

    @property
    def participant(self) -> str:
        return self.agent.id if self.agent else f"citizen/{self.chat_id}"

    def heard(self) -> float:
        """When the browser last gave a sign of life, on the loop's clock."""
        return self._socket.last_heard

    @property
    def answered(self) -> bool:
        """True when a hello was answered and no other one is being answered."""
        return self._held is None

    def begin_answer(self) -> None:
        """A hello has come: until `end_answer` only its answer goes out."""
        if self._held is None:
            self._held = []

    def end_answer(self) -> None:
        """The answer to the hello is complete: what was held follows, in its order."""
        held, self._held, self._held_bytes = self._held or [], None, 0
        for frame in held:
            self.answer(frame)

    def send(self, frame: bytes) -> None:
        """Sends a frame that is not part of the answer to a hello: never before the first answer, nor within one."""
        if self._held is None:
            self.answer(frame)
        elif not (self.closing or self.gone):
            self._held.append(frame)
            self._held_bytes += len(frame)
            if len(self._held) > MOST_FRAMES or self._held_bytes > MOST_BYTES:
                self._held = []
                self.close(Close.TOO_SLOW, "too much at once")

    def answer(self, frame: bytes) -> None:
        """Puts a frame into the outbox; over the bound the connection is closed with 4430 and resumes by itself.

        Called for the answer to a hello, and for an `error` or `closed` before the close that takes its place; for
        everything else there is `send`.
        """
        if self.closing or self.gone:
            return
        self._outbox.append(frame)
        self._bytes += len(frame)
        if self._bytes > MOST_BYTES or len(self._outbox) > MOST_FRAMES:
            self._outbox, self._bytes = [], 0
            self.close(Close.TOO_SLOW, "reads too slowly")
            self._socket.close(Close.TOO_SLOW, "reads too slowly")
        elif not self._due:
            self._flush_soon()

    def close(self, code: int, reason: str = "") -> None:
        """Closes once the outbox is sent; the first code stands."""
        if not self.closing:
            self.closing = (int(code), reason)
            CLOSED.labels(self.party.value, str(int(code))).inc()
            self._flush_soon()
        self._make_room()

    def _flush_soon(self) -> None:
        # One write for all frames of a turn: a write is a call of the kernel, which costs more than all else here.
        self._due = True
        self._socket.soon(self.flush)

    def flush(self) -> None:
        """Writes the outbox as far as the socket takes it, then the close. Called again when the socket may write."""
        self._due = False
        while self._outbox and self._socket.may_write:
            self._socket.write(self._piece())
            self._make_room()
        if self.closing and not self._outbox and self._socket.may_write:
            self._socket.close(*self.closing)

    def _piece(self) -> list[bytes]:
        """The first frames of the outbox, about `PIECE` bytes; they leave it."""
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
        """The broker has confirmed that a person has seen this chat here, unless the chat has gone meanwhile."""
        if chat_id in self.accepted:
            self.acceptance_told.add(chat_id)

    def forget_acceptance(self, chat_id: str) -> None:
        """The chat is gone, or what told that it was accepted is lost: the next frame for it tells it anew."""
        self.accepted.discard(chat_id)
        self.acceptance_told.discard(chat_id)

    def put_down(self, _: object = None) -> None:
        """A piece of work that is in hand has ended."""
        self.in_hand -= 1

    def catch_up(self, entry: Entry) -> None:
        """A log is shown: what this participant said is not to be put into his line when he says it again."""
        if self.caught_up is not None and self.sender and self.sender.id == entry.sender_id:
            self.caught_up[entry.chat_id, entry.id] = entry

    async def room(self) -> None:
        """Returns when the outbox is at most half full, or the connection is over: a long log is no slow reader."""
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
        """The websocket is over: nothing is sent any more, and nobody waits for room."""
        self.gone = True
        self._outbox, self._bytes, self._held = [], 0, []
        self._make_room()


@dataclass
class Register:
    """All connections of this replica, by participant."""

    by_participant: dict[str, list[Connection]] = field(default_factory=dict)
    connected: set[Connection] = field(default_factory=set)

    def join(self, connection: Connection) -> bool:
        """A connection whose hello was accepted. The oldest of more than five gives way. True for the first of all."""
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
        """True when it was the participant's last one here."""
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
        return list(self.by_participant.get(participant, ()))

    def of_party(self, party: Party) -> Iterable[Connection]:
        return [c for c in self.connected if c.party is party]
