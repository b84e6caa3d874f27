"""State of a participant on one connection, and the registry of the sessions of this replica.

A session holds what its handler (`citizen.py`, `agent.py`) needs between two frames: what the participant was sent,
what they sent, and the chats of an agent.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator
from typing import ClassVar, Generic, TypeVar

from prometheus_client import Gauge

from services.common.events.types import Entry, Party, Sender
from services.common.internal_api.presence import AgentView
from services.gateway.sending.send_queue import SendQueue
from services.gateway.websocket.connection import Connection
from services.gateway.websocket.frames.server import Close

ENDED = 100  # ended chats of an agent's session that are remembered, to refuse a late message with the right code
LONG_AGO = float("-inf")
PER_PARTICIPANT = 5
OPEN = Gauge("eloket_gateway_connections", "Open websockets", ["party"])
for _party in (Party.CITIZEN, Party.AGENT):  # exported from the start, so that the first one counts as an increase
    OPEN.labels(_party.value)


class Session(ABC):
    """What citizens and agents have in common.

    Attributes:
        party: Whether a citizen or an agent uses the connection.
        connection: The connection.
        joined: Whether a hello was accepted and the session is in the registry.
        shown: Chat → the last sequence number sent here; only chats that the session receives live.
        send_queues: Chat → the messages of this session without a receipt.
    """

    party: ClassVar[Party]

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.joined = False
        self.shown: dict[str, int] = {}
        self.send_queues: dict[str, SendQueue] = {}
        self._caught_up: dict[tuple[str, str], Entry] | None = None  # own messages in the answer to a hello
        self._idle: asyncio.Event | None = None  # set when no send queue is processed any more

    @property
    @abstractmethod
    def identified(self) -> bool:
        """Whether the participant is known."""

    @property
    @abstractmethod
    def participant(self) -> str:
        """The name of the participant for limits and in the registry: the agent's id, or `citizen/` and the chat's."""

    @property
    @abstractmethod
    def sender(self) -> Sender:
        """The participant as the sender of messages."""

    # ── entries out ──────────────────────────────────────────────────────────────────────────────────────────────────

    def begin_live(self, chat_id: str, shown: int) -> None:
        """Receive the chat live; everything up to the sequence number `shown` was sent."""
        self.shown[chat_id] = shown

    def advance(self, chat_id: str, seq: int) -> bool:
        """Record that an entry is being sent. Return False when it is not the next one, and may not be sent."""
        if self.shown.get(chat_id, seq) != seq - 1:
            return False
        self.shown[chat_id] = seq
        return True

    def end_live(self, chat_id: str) -> None:
        """Do not receive the chat live any more."""
        self.shown.pop(chat_id, None)

    # ── the answer to a hello ────────────────────────────────────────────────────────────────────────────────────────

    def begin_catch_up(self) -> None:
        """Remember, from here on, the own entries of the logs that are sent as the answer to a hello."""
        self._caught_up = {}

    def catch_up(self, entry: Entry) -> None:
        """Remember an entry of a log that is being sent, if it is an own one.

        When the participant repeats that message it is not published again.
        """
        if self._caught_up is not None and self.sender.id == entry.sender_id:
            self._caught_up[entry.chat_id, entry.id] = entry

    def caught_up(self, chat_id: str, id_: str) -> Entry | None:
        """Return the entry with this id that the answer to the hello contained."""
        return self._caught_up.get((chat_id, id_)) if self._caught_up else None

    def end_catch_up(self) -> None:
        """Forget these entries: the frames that came before the end of the answer are handled."""
        self._caught_up = None

    # ── messages in ──────────────────────────────────────────────────────────────────────────────────────────────────

    def send_queue(self, chat_id: str) -> SendQueue:
        """Return the send queue of a chat."""
        return self.send_queues.setdefault(chat_id, SendQueue())

    def reopen_send_queues(self) -> None:
        """Let the send queues take messages again after a refusal, because a hello says what is missing."""
        for queue in self.send_queues.values():
            queue.reopen()

    def note_stored(self, chat_id: str, sender_id: str, id_: str) -> None:
        """Let the send queue pass over a refused message or note of the participant that was stored after all."""
        queue = self.send_queues.get(chat_id)
        if queue and queue.broken and sender_id == self.sender.id:
            queue.note_stored(id_)

    def forget_send_queue(self, chat_id: str) -> None:
        """Remove the send queue of a chat."""
        self.send_queues.pop(chat_id, None)

    async def all_sent(self) -> None:
        """Return when each message of this session has its receipt or its refusal."""
        while any(queue.running for queue in self.send_queues.values()):
            self._idle = self._idle or asyncio.Event()
            await self._idle.wait()

    def note_idle(self) -> None:
        """Record that a send queue is not processed any more."""
        if self._idle:
            self._idle.set()
            self._idle = None


def citizen_of(chat_id: str) -> str:
    """Return the participant that is the citizen of this chat."""
    return f"citizen/{chat_id}"


class ForeignOrigin(Exception):
    """The page of a session may not have the chat that its hello names."""


class CitizenSession(Session):
    """A citizen on one connection.

    Attributes:
        embedded_in: The origin of the page of another site that has the connection; None: it is one of our pages, no
            page at all, or the origin was checked with the request that carries the frames.
    """

    party = Party.CITIZEN

    def __init__(self, connection: Connection, embedded_in: str | None = None) -> None:
        super().__init__(connection)
        self.embedded_in = embedded_in
        self._chat_id: str | None = None
        self._participant = ""
        self._sender: Sender | None = None
        self._extended_at = LONG_AGO

    def identify(self, chat_id: str) -> bool:
        """Bind the session to the chat of a valid token. Return False when it is bound to another one."""
        if self._chat_id not in (None, chat_id):
            return False
        self._chat_id, self._participant = chat_id, citizen_of(chat_id)
        return True

    @property
    def identified(self) -> bool:
        """Whether a valid token has named the chat."""
        return self._chat_id is not None

    @property
    def chat_id(self) -> str:
        """The citizen's chat. Only when the session is identified."""
        assert self._chat_id is not None
        return self._chat_id

    @property
    def participant(self) -> str:
        """`citizen/` and the chat's id; empty before the session is identified."""
        return self._participant

    def join(self, name: str | None) -> None:
        """Record that the first hello was accepted.

        Args:
            name: The name that the citizen has given, if any.
        """
        self._sender, self.joined = Sender(party=Party.CITIZEN, id="citizen", name=name), True

    def rename(self, name: str) -> None:
        """Record the name that the citizen has given during the conversation. Messages carry it from here on."""
        if self._sender:
            self._sender = Sender(party=Party.CITIZEN, id="citizen", name=name)

    @property
    def sender(self) -> Sender:
        """The citizen as the sender of messages. Only when the session has joined."""
        assert self._sender is not None
        return self._sender

    def extend(self, now: float, interval: float) -> bool:
        """Record that the citizen keeps the chat open. Return False within `interval` seconds after the last time."""
        if now - self._extended_at < interval:
            return False
        self._extended_at = now
        return True

    def forget_extension(self) -> None:
        """Forget the last time, because it could not be published."""
        self._extended_at = LONG_AGO


class AgentSession(Session):
    """An agent on one connection.

    Attributes:
        agent: The agent, as presence described them when the connection opened.
        session_id: The id of the login session.
        token: The token of the login session, which is checked again after events may have been missed.
        followed: The chats of which the session is a user (`LiveChats.open`).
        accepted: The chats that a person has seen here, each with the number of the attempt that assigned it; None when
            routing has not said one.
        ended: The chats that ended while this session followed them.
        active_at: When the page last reported activity, on the event loop's clock.
        writing_at: When the agent last typed in each chat, on the same clock.
        answering: Held while a hello is answered or an assigned chat is shown.
    """

    party = Party.AGENT

    def __init__(self, connection: Connection, agent: AgentView, session_id: str, token: str = "") -> None:
        super().__init__(connection)
        self.agent, self.session_id, self.token = agent, session_id, token
        self.followed: set[str] = set()
        self.accepted: dict[str, int | None] = {}
        self.ended: deque[str] = deque(maxlen=ENDED)
        self.active_at = LONG_AGO
        self.writing_at: dict[str, float] = {}
        self.answering = asyncio.Lock()
        self._acceptance_published: set[str] = set()
        self._sender = Sender(party=Party.AGENT, id=agent.id, name=agent.name)

    @property
    def identified(self) -> bool:
        """Always true: the cookie has identified the agent."""
        return True

    @property
    def participant(self) -> str:
        """The agent's id."""
        return self.agent.id

    def join(self) -> None:
        """Record that the first hello was accepted."""
        self.joined = True

    @property
    def sender(self) -> Sender:
        """The agent as the sender of messages."""
        return self._sender

    def writing(self, now: float, lasts: float) -> dict[str, float]:
        """Return the chats in which the agent typed within the last seconds (`lasts`), with the seconds since."""
        self.writing_at = {chat: at for chat, at in self.writing_at.items() if now - at <= lasts}
        return {chat: max(0.0, now - at) for chat, at in self.writing_at.items()}

    def note_writing(self, chat_id: str, now: float) -> None:
        """Record that the agent types in this chat."""
        self.writing_at[chat_id] = now

    def note_activity(self, now: float) -> None:
        """Record that the page has reported activity."""
        self.active_at = now

    def follow(self, chat_id: str) -> None:
        """Record that this session is a user of the chat."""
        self.followed.add(chat_id)

    def unfollow(self, chat_id: str) -> bool:
        """Forget the chat and its acceptance. Return whether this session was a user of the chat."""
        self.forget_acceptance(chat_id)
        if chat_id not in self.followed:
            return False
        self.followed.discard(chat_id)
        return True

    def accept(self, chat_id: str, attempt: int | None) -> None:
        """Record that a person has seen the chat here."""
        self.accepted[chat_id] = attempt

    def acceptance_published(self, chat_id: str) -> bool:
        """Return whether the broker has confirmed the acceptance of the chat."""
        return chat_id in self._acceptance_published

    def note_acceptance(self, chat_id: str, attempt: int | None) -> None:
        """Record that the broker has confirmed the acceptance of this chat.

        Nothing is recorded when the chat was removed meanwhile, or was assigned to the agent in another attempt.
        """
        if chat_id in self.accepted and self.accepted[chat_id] == attempt:
            self._acceptance_published.add(chat_id)

    def forget_acceptance(self, chat_id: str) -> None:
        """Forget the acceptance: the chat was removed, or the event was lost.

        The next frame for the chat publishes it again.
        """
        self.accepted.pop(chat_id, None)
        self._acceptance_published.discard(chat_id)

    def note_end(self, chat_id: str) -> None:
        """Record that the chat has ended."""
        self.ended.append(chat_id)


S = TypeVar("S", bound=Session)


class Group(Generic[S]):
    """The sessions of one party, by participant."""

    def __init__(self) -> None:
        self._by_participant: dict[str, list[S]] = {}

    def __iter__(self) -> Iterator[S]:
        """Return all sessions. The group may change meanwhile."""
        return iter([session for siblings in self._by_participant.values() for session in siblings])

    def __len__(self) -> int:
        """Return the number of participants."""
        return len(self._by_participant)

    def __contains__(self, participant: str) -> bool:
        """Return whether the participant has a session here."""
        return participant in self._by_participant

    def of(self, participant: str) -> list[S]:
        """Return the sessions of a participant."""
        return list(self._by_participant.get(participant, ()))

    def join(self, session: S) -> bool:
        """Add a session whose hello was accepted. Above five the connection of the oldest one is closed.

        Returns:
            True when it is the participant's first session here.
        """
        siblings = self._by_participant.setdefault(session.participant, [])
        if session in siblings:
            return False
        siblings.append(session)
        OPEN.labels(session.party.value).inc()
        for oldest in [one for one in siblings if not one.connection.ended][:-PER_PARTICIPANT]:
            oldest.connection.close(Close.TOO_MANY_CONNECTIONS, "more than five connections")
        return len(siblings) == 1

    def leave(self, session: S) -> bool:
        """Remove a session. Return True when it was the participant's last one here."""
        siblings = self._by_participant.get(session.participant, [])
        if session not in siblings:
            return False
        siblings.remove(session)
        OPEN.labels(session.party.value).dec()
        if siblings:
            return False
        del self._by_participant[session.participant]
        return True


class Registry:
    """All sessions of this replica.

    Attributes:
        citizens: The sessions of citizens.
        agents: The sessions of agents.
        agents_changed: Set when a connection of an agent was opened, is being closed or was closed.
    """

    def __init__(self) -> None:
        self.citizens: Group[CitizenSession] = Group()
        self.agents: Group[AgentSession] = Group()
        self.agents_changed = asyncio.Event()

    def __iter__(self) -> Iterator[Session]:
        """Return the sessions of both parties. The registry may change meanwhile."""
        yield from self.citizens
        yield from self.agents
