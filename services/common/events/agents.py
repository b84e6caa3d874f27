"""Events of agents and of the button. No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from services.common.events.event import Event
from services.common.events.types import AgentState, ButtonColour, ButtonReason, Whole


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


class ButtonChanged(Event):
    """The state of a department's button, published at each change and every `topology.BUTTON_INTERVAL` seconds."""

    type: Literal["button.changed"] = "button.changed"
    department: str
    colour: ButtonColour
    reason: ButtonReason
    opens_at: datetime | None = None
    revision: Whole
