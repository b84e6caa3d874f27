"""Every fact that the services tell each other, defined once. No I/O.

A fact is a frozen statement in the past tense with an `event_id`, the time it occurred and its `type`; the `type` is
also the beginning of its routing key (`services/topology.py`). Facts change only by adding optional members: one golden
sample of each is kept in `tests/golden/` and never edited. Import them from `services.contracts`.
"""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import uuid4

from pydantic import Field

from services.clock import utcnow
from services.values import (
    AgentConnection,
    AgentState,
    Block,
    ButtonColour,
    ButtonReason,
    Cause,
    ChatStatus,
    Choice,
    CloseReason,
    Detail,
    Form,
    Hold,
    Record,
    ReleaseReason,
    Whole,
)


class Fact(Record):
    type: str
    event_id: str = Field(default_factory=lambda: str(uuid4()))
    occurred_at: datetime = Field(default_factory=utcnow)


# ── chats and places ─────────────────────────────────────────────────────────────────────────────────────────────────


class ChatOpened(Fact):
    """A citizen pressed a green button. Told by a gateway; heard by routing and transcripts.

    `held`: an agent who has a seat for turn 1 of this chat already; None: the chat waits for a place.
    """

    type: Literal["chat.opened"] = "chat.opened"
    chat_id: str
    department: str
    locale: str
    name: str | None = None
    question: str | None = None
    form: Form | None = None
    opened_at: datetime
    held: Hold | None = None


class CitizenArrived(Fact):
    """The citizen of this chat has said hello. Told by a gateway; heard by routing."""

    type: Literal["citizen.arrived"] = "citizen.arrived"
    chat_id: str


class CloseRequested(Fact):
    """A participant ended the chat. `agent_id` is that of the agent when `by` is `agent`.

    `block`: that agent also blocks the citizen; it counts for a chat of this agent that has ended already, too.
    """

    type: Literal["close.requested"] = "close.requested"
    chat_id: str
    by: CloseReason
    agent_id: str | None = None
    block: Block | None = None


class ChatAccepted(Fact):
    """A person has seen the chat that was assigned to them. `turn`: of no other turn of the chat; None: of any."""

    type: Literal["chat.accepted"] = "chat.accepted"
    chat_id: str
    agent_id: str
    turn: Whole | None = None


class ChatState(Fact):
    """The state of a chat, told by routing after each change and in answer to each claim or release, changed or not.

    `v` grows with every change of the chat: older ones are dropped. `cause` is what brought this state about and is the
    same each time the same `v` is told; `detail` says more of it to agents than a citizen is told. Also sent to the
    agents concerned (`services/topology.py`, copies).

    `accepted`: whether a person has accepted an assigned chat; None: told by a version that does not tell it, for which
    assigned is as good as accepted.
    """

    type: Literal["chat.state"] = "chat.state"
    chat_id: str
    v: Whole
    state: ChatStatus
    turn: Whole
    department: str
    cause: Cause
    agent_id: str | None = None
    agent_name: str | None = None
    reason: CloseReason | None = None
    former_agent_id: str | None = None
    former_agent_name: str | None = None
    detail: Detail | None = None
    accepted: bool | None = None
    at: datetime


class QueueChanged(Fact):
    """Who waits in a department, the first in line first. `revision` grows with every change.

    `pace`: seconds after which, by recent history, the line moves up by one place; None when that is not known.
    """

    type: Literal["queue.changed"] = "queue.changed"
    department: str
    revision: Whole
    order: list[str]
    pace: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class PlaceWanted(Fact):
    """A waiting chat asks for an agent. `agent_id`: only this one will do (a transfer to a colleague)."""

    type: Literal["place.wanted"] = "place.wanted"
    chat_id: str
    turn: Whole
    department: str
    locale: str = "nl"
    agent_id: str | None = None


class PlaceClaimed(Fact):
    """An agent holds a seat for this turn of this chat. `choice`: why this agent."""

    type: Literal["place.claimed"] = "place.claimed"
    chat_id: str
    turn: Whole
    agent_id: str
    agent_name: str
    choice: Choice | None = None


class PlaceReleased(Fact):
    """An agent does not, or no longer, hold this turn of this chat."""

    type: Literal["place.released"] = "place.released"
    chat_id: str
    turn: Whole
    agent_id: str
    reason: ReleaseReason


class PlacesChanged(Fact):
    """How many places are free in a department. Repeated, so it is the wake-up call of the queue too.

    `places`: all places of the agents who are available, free or not.
    """

    type: Literal["places.changed"] = "places.changed"
    department: str
    free: Whole
    revision: Whole
    places: Whole | None = None


class TransferRefused(Fact):
    """An agent does not want the chat that was transferred to him. Told by a gateway; heard by routing."""

    type: Literal["transfer.refused"] = "transfer.refused"
    chat_id: str
    agent_id: str


class AcceptOverdue(Fact):
    """The agent did not accept the chat in time: he is to be paused. Told by routing; heard by presence."""

    type: Literal["accept.overdue"] = "accept.overdue"
    chat_id: str
    turn: Whole
    agent_id: str


# ── agents and the button ────────────────────────────────────────────────────────────────────────────────────────────


class StateRequested(Fact):
    """An agent made himself available or paused."""

    type: Literal["state.requested"] = "state.requested"
    agent_id: str
    state: AgentState


class AgentChanged(Fact):
    """An agent's state as presence holds it; older `v` are dropped.

    `cause`: `request`, `accept_overdue`, `login`, `gone`, `back`.
    """

    type: Literal["agent.changed"] = "agent.changed"
    agent_id: str
    v: Whole
    online: bool
    state: AgentState
    cause: str


class SessionEnded(Fact):
    """An agent's session is over (logged out, disabled, expired): its sockets close."""

    type: Literal["session.ended"] = "session.ended"
    agent_id: str
    session_id: str


class ButtonChanged(Fact):
    """The button of a department: at each change, and repeated every `topology.BUTTON_INTERVAL` seconds."""

    type: Literal["button.changed"] = "button.changed"
    department: str
    colour: ButtonColour
    reason: ButtonReason
    opens_at: datetime | None = None
    revision: Whole


class GatewayConnections(Fact):
    """All agents with a connection to this gateway and all chats whose citizen has one, every 2 s and at each change.

    Transient and never backlogged. `counter` grows within an `incarnation` (one run of one gateway process); the
    highest wins. `chats` is None in those that speak of agents alone (most: the citizens' list is told every 6 s).
    `active`: agents who used their console lately, with the seconds since; only those whose page said so.
    """

    type: Literal["gateway.connections"] = "gateway.connections"
    incarnation: str
    counter: Whole
    agents: list[AgentConnection]
    chats: list[str] | None = None
    active: dict[str, float] | None = None
    leaving: bool = False


class ListenerEcho(Fact):
    """A listener of `gateway.connections` hears itself: silence counts only while it does."""

    type: Literal["listener.echo"] = "listener.echo"
    listener: str
    counter: Whole
