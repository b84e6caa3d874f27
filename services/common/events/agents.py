"""Events of agents and of the button. No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from services.common.events.event import Event
from services.common.events.types import AgentState, ButtonColour, ButtonReason, Intake, Record, Whole


class WrapUp(Record):
    """The time after a chat in which its agent still has its slot, to wrap the chat up. It ends at `until`."""

    chat_id: str
    department: str
    until: datetime


class WrapUpDone(Event):
    """The agent has wrapped up this chat: its slot is free. Published by a gateway; handled by presence."""

    type: Literal["wrapup.done"] = "wrapup.done"
    agent_id: str
    chat_id: str


class WrapUpEnded(Event):
    """The wrap-up of a chat took so many whole seconds. Published by presence; handled by transcripts (statistics).

    It names no agent.
    """

    type: Literal["wrapup.ended"] = "wrapup.ended"
    chat_id: str
    department: str
    seconds: Whole


class PauseEnded(Event):
    """A pause of an agent has ended, or goes on for another reason. Published by presence; handled by transcripts.

    Only the time for which the agent was paused and online counts, in whole seconds from `since` on.

    Attributes:
        pause_id: The same in each repetition.
        departments: Those that the agent serves.
        reason: The id of the reason that the agent chose; None: they chose none, or the system paused them.
    """

    type: Literal["pause.ended"] = "pause.ended"
    pause_id: str
    agent_id: str
    departments: list[str]
    reason: str | None = None
    since: datetime
    seconds: Whole


class StateRequested(Event):
    """An agent asked to become available or paused. `reason`: the id of the reason for a pause; since version 2.0."""

    type: Literal["state.requested"] = "state.requested"
    agent_id: str
    state: AgentState
    reason: str | None = None


class AgentChanged(Event):
    """The state of an agent, published by presence. A message with an older `v` is dropped.

    `cause`: `request`, `accept_overdue`, `login`, `gone`, `back`; since version 2.0 also `supervisor`, who has paused
    the agent. It stays as it was when only the wrap-ups changed. `wrap_ups`: the chats that the agent wraps up; None:
    published by a release that does not know them. `departments`: those that the agent serves, for their supervisors.
    None: by a release before 2.0. `pause_reason`: the id of the reason that a paused agent chose.
    """

    type: Literal["agent.changed"] = "agent.changed"
    agent_id: str
    v: Whole
    online: bool
    state: AgentState
    cause: str
    wrap_ups: list[WrapUp] | None = None
    departments: list[str] | None = None
    pause_reason: str | None = None


class SessionEnded(Event):
    """A session of an agent has ended (logged out, disabled, expired). Gateways close its websockets.

    `cause`: `supervisor`, who has logged the agent out; None: another one. A consumer before version 2.0 ignores it.
    """

    type: Literal["session.ended"] = "session.ended"
    agent_id: str
    session_id: str
    cause: str | None = None


class DepartmentButton(Record):
    """The state of a department's button. `intake`: as in `ButtonChanged`."""

    department: str
    colour: ButtonColour
    reason: ButtonReason
    opens_at: datetime | None = None
    revision: Whole
    intake: Intake | None = None


class ButtonChanged(Event):
    """The state of a department's button, published at each change.

    Every `topology.BUTTON_INTERVAL` seconds the states of all departments are published again, in digests.

    `others`: in a digest, the buttons of further departments (at most `topology.MOST_DEPARTMENTS` in one message). None
    in an event of one department. A consumer before version 2.0 ignores them. `intake`: a supervisor has closed the
    intake; colour and reason are those of a department outside its opening hours.
    """

    type: Literal["button.changed"] = "button.changed"
    department: str
    colour: ButtonColour
    reason: ButtonReason
    opens_at: datetime | None = None
    revision: Whole
    intake: Intake | None = None
    others: list[DepartmentButton] | None = None
