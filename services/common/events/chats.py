"""Events of a chat: its start, its state, its department queue and its end. No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from services.common.events.event import Event
from services.common.events.types import (
    Block,
    Cause,
    ChatStatus,
    CloseReason,
    Detail,
    Form,
    Hold,
    Record,
    Revocation,
    Whole,
)


class ChatOpened(Event):
    """A citizen pressed a green button. Published by a gateway; handled by routing and transcripts.

    `held`: an agent who has a slot for attempt 1 of this chat already; None: the chat waits for a slot.
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


class CitizenArrived(Event):
    """The citizen of this chat has said hello. Published by a gateway; handled by routing.

    `name`: the name that the citizen gave in the conversation; None: nothing new. A consumer before version 2.0 ignores
    it.
    """

    type: Literal["citizen.arrived"] = "citizen.arrived"
    chat_id: str
    name: str | None = Field(default=None, max_length=200)


class CloseRequested(Event):
    """A participant ended the chat, or transcripts closes it for inactivity.

    `agent_id`: the agent, when `by` is `agent`. `block`: the agent also blocks the citizen, and their token is revoked;
    this applies also to a chat of this agent that has ended already. `revoke`: the citizen gives up the token of the
    chat, ended already or not.
    """

    type: Literal["close.requested"] = "close.requested"
    chat_id: str
    by: CloseReason
    agent_id: str | None = None
    block: Block | None = None
    revoke: bool = False


class ChatAccepted(Event):
    """An agent has seen the chat that was assigned to them. `turn`: the attempt that is accepted; None: any."""

    type: Literal["chat.accepted"] = "chat.accepted"
    chat_id: str
    agent_id: str
    turn: Whole | None = None


class ChatState(Event):
    """The state of a chat.

    Routing publishes it after each change and in answer to each claim or release, changed or not. `v` grows with every
    change of the chat; older states are dropped. `cause` is what caused this state, and is the same each time the same
    `v` is published. `detail` gives agents more than a citizen is shown. The message also goes to the agents concerned
    (`services/common/messaging/topology.py`, copies).

    `accepted`: whether the agent has accepted an assigned chat, or had accepted one that was closed. None: published by
    a release that does not say it; an assigned chat then counts as accepted.

    `former_departments`: departments that the chat came from or was to go to; their supervisors see it leave. None:
    none, or a release before 2.0.

    `revoked_by`: who has revoked the token of a closed chat; None: nobody.
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
    former_departments: list[str] | None = None
    revoked_by: Revocation | None = None
    at: datetime


class EmptyQueue(Record):
    """A department in which no chat waits, the version of its queue, and its `pace` as in `QueueChanged`."""

    department: str
    revision: Whole
    pace: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class QueueChanged(Event):
    """The waiting chats of a department in order. `revision` grows with every change.

    `pace`: seconds in which, by recent history, the queue moves up by one position; None when that is not known.
    `since`: since when the chat that has waited longest waits; None when no chat waits, or published by a release that
    does not say it. `empty`: in a digest, further departments in which no chat waits (at most
    `topology.MOST_DEPARTMENTS` in one message), for presence. A consumer before version 2.0 ignores both.
    """

    type: Literal["queue.changed"] = "queue.changed"
    department: str
    revision: Whole
    order: list[str]
    since: datetime | None = None
    pace: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    empty: list[EmptyQueue] | None = None


class TransferRefused(Event):
    """An agent does not want the chat that was transferred to them. Published by a gateway; handled by routing."""

    type: Literal["transfer.refused"] = "transfer.refused"
    chat_id: str
    agent_id: str


class AcceptOverdue(Event):
    """The agent did not accept the chat in time and is to be paused. Published by routing; handled by presence."""

    type: Literal["accept.overdue"] = "accept.overdue"
    chat_id: str
    turn: Whole
    agent_id: str


class AnswerOverdue(Event):
    """The citizen of a chat has waited too long for an answer. Published by transcripts, again while it lasts.

    Handled by routing, which decides whether another agent gets the chat.

    Attributes:
        chat_id: The chat.
        turn: The attempt in which the agent has it, as far as transcripts knows.
        since: Since when the citizen has been waiting for an answer of this agent.
        answered: The sequence number of the last message of an agent; 0: there is none.
    """

    type: Literal["answer.overdue"] = "answer.overdue"
    chat_id: str
    turn: Whole
    since: datetime
    answered: Whole = 0
