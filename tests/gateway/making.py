"""Entries, chats, agents and sessions for the gateway's tests."""

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from prometheus_client.metrics import MetricWrapperBase

from services.common.events.chats import ChatState
from services.common.events.messages import MessageStored
from services.common.events.types import AgentState, Cause, ChatStatus, CloseReason, Entry, Party
from services.common.internal_api.presence import AgentView, OpenSession
from services.common.internal_api.routing import ChatView
from services.gateway.participants.sessions import AgentSession, CitizenSession, Session
from services.gateway.websocket.connection import Connection

CHAT, OTHER = "0b8f4d6e-3c1a-4f5e-9b7d-2a6c8e0f1a23", "c0ffee00-1111-4222-8333-444455556666"
AN, BERT = "agent-an", "agent-bert"
NOW = datetime(2026, 11, 23, 8, 0, 0, 123_456, tzinfo=UTC)


def id_of(number: int) -> str:
    """A canonical id for each number."""
    return str(UUID(int=number, version=4))


def entry(seq: int, chat_id: str = CHAT, **more: Any) -> Entry:
    """The entry with this seq of a chat's log, said by the citizen."""
    said = {"party": Party.CITIZEN, "sender_id": "citizen", "text": f"tekst {seq}"}
    return Entry(**{"chat_id": chat_id, "seq": seq, "id": id_of(seq), "at": NOW, **said, **more})


def seal(seq: int, reason: CloseReason = CloseReason.CITIZEN, chat_id: str = CHAT) -> Entry:
    """The last entry of a log."""
    return entry(
        seq, chat_id, party=Party.SYSTEM, sender_id="system", event=Cause.CLOSED, reason=reason, text="Afgesloten."
    )


def stored(one: Entry) -> MessageStored:
    return MessageStored(chat_id=one.chat_id, entry=one)


def state(v: int, status: ChatStatus, agent_id: str | None = None, **more: Any) -> ChatState:
    """What routing publishes of a chat."""
    cause = {"waiting": Cause.OPENED, "assigned": Cause.ASSIGNED, "closed": Cause.CLOSED}[status.value]
    given = {"chat_id": CHAT, "turn": 1, "department": "algemeen", "cause": cause, "at": NOW}
    name = {AN: "An", BERT: "Bert"}.get(agent_id or "")
    return ChatState(**{**given, "v": v, "state": status, "agent_id": agent_id, "agent_name": name, **more})


def view(v: int, status: ChatStatus, agent_id: str | None = None, **more: Any) -> ChatView:
    """A chat as routing holds it."""
    given = state(v, status, agent_id).model_dump(include={"chat_id", "turn", "department", "cause", "agent_name"})
    return ChatView(**{**given, "v": v, "state": status, "agent_id": agent_id, "opened_at": NOW, **more})


def agent_view(agent_id: str = AN, **more: Any) -> AgentView:
    name = {AN: "An", BERT: "Bert"}.get(agent_id, agent_id)
    given = {"departments": ["algemeen"], "capacity": 1, "state": AgentState.AVAILABLE, "online": True, "free": 1}
    return AgentView(**{"id": agent_id, "name": name, **given, **more})


def open_session(agent_id: str = AN, token: str | None = None) -> OpenSession:
    expires = datetime.now(UTC) + timedelta(hours=1)
    return OpenSession(session_id=f"session-{agent_id}", token=token, expires_at=expires, agent=agent_view(agent_id))


def value_of(metric: MetricWrapperBase, suffix: str = "", **labels: str) -> float:
    """A sample of this metric. The registry would collect all of the process, and some of them look at every object."""
    samples = [sample for family in metric.collect() for sample in family.samples]
    return next((one.value for one in samples if one.name.endswith(suffix) and one.labels == labels), 0.0)


class Paper:
    """In a websocket's place: what is written stands in `written`. While it is `full` the outbox keeps everything."""

    last_received = 0.0

    def __init__(self, full: bool = True) -> None:
        self.full = full
        self.written: list[bytes] = []
        self.pieces = self.asked = 0
        self.closed: tuple[int, str] | None = None

    @property
    def may_write(self) -> bool:
        return not self.full and self.closed is None

    def write(self, frames: Sequence[bytes]) -> None:
        self.written += frames
        self.pieces += 1

    def soon(self, call: Callable[[], None]) -> None:
        self.asked += 1
        if not self.full:
            asyncio.get_running_loop().call_soon(call)

    def close(self, code: int, reason: str) -> None:
        self.closed = self.closed or (code, reason)


def citizen(socket: Paper | None = None, chat_id: str = CHAT) -> CitizenSession:
    """A citizen's session whose hello was accepted."""
    session = fresh_citizen(chat_id, socket)
    session.join("An Peeters")
    session.connection.end_answer()
    return session


def agent(agent_id: str = AN, session_id: str = "") -> AgentSession:
    """An agent's session whose hello was accepted."""
    connection = Connection(Party.AGENT, Paper())
    connection.end_answer()
    session = AgentSession(connection, agent_view(agent_id), session_id or f"session-{agent_id}")
    session.join()
    return session


def written(of: Session | Connection) -> list[bytes]:
    """What this connection has for its browser by now, which has read it afterwards."""
    connection = of if isinstance(of, Connection) else of.connection
    paper = connection.socket
    assert isinstance(paper, Paper)
    full, paper.full = paper.full, False
    connection.flush()
    paper.full = full
    frames, paper.written = paper.written, []
    return frames


def sent(session: Session) -> list[dict[str, Any]]:
    """The frames that this session has for its browser by now, which has read them afterwards."""
    return [json.loads(frame) for frame in written(session)]


def fresh_citizen(chat_id: str = CHAT, socket: Paper | None = None) -> CitizenSession:
    """A citizen's session whose token was good, before its hello is answered."""
    session = CitizenSession(Connection(Party.CITIZEN, socket or Paper()))
    session.identify(chat_id)
    return session


def fresh_agent(agent_id: str = AN) -> AgentSession:
    """An agent's session before its hello is answered."""
    connection = Connection(Party.AGENT, Paper())
    return AgentSession(connection, agent_view(agent_id), f"session-{agent_id}", f"token-{agent_id}")


def kinds(frames: list[dict[str, Any]]) -> list[str]:
    return [f["type"] for f in frames]
