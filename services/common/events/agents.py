"""Events of agents and of the button. No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from services.common.events.event import Event
from services.common.events.types import AgentState, ButtonColour, ButtonReason, Record, Whole


class StateRequested(Event):
    """An agent asked to become available or paused."""

    type: Literal["state.requested"] = "state.requested"
    agent_id: str
    state: AgentState


class AgentChanged(Event):
    """The state of an agent, published by presence. A message with an older `v` is dropped.

    `cause`: `request`, `accept_overdue`, `login`, `gone`, `back`.
    """

    type: Literal["agent.changed"] = "agent.changed"
    agent_id: str
    v: Whole
    online: bool
    state: AgentState
    cause: str


class SessionEnded(Event):
    """A session of an agent has ended (logged out, disabled, expired). Gateways close its websockets."""

    type: Literal["session.ended"] = "session.ended"
    agent_id: str
    session_id: str


class DepartmentButton(Record):
    """The state of a department's button."""

    department: str
    colour: ButtonColour
    reason: ButtonReason
    opens_at: datetime | None = None
    revision: Whole


class ButtonChanged(Event):
    """The state of a department's button, published at each change.

    Every `topology.BUTTON_INTERVAL` seconds the states of all departments are published again, in digests.

    `others`: in a digest, the buttons of further departments (at most `topology.MOST_DEPARTMENTS` in one message). None
    in an event of one department. A consumer before version 2.0 ignores them.
    """

    type: Literal["button.changed"] = "button.changed"
    department: str
    colour: ButtonColour
    reason: ButtonReason
    opens_at: datetime | None = None
    revision: Whole
    others: list[DepartmentButton] | None = None
