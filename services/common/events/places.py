"""Events of agents' slots: wanted, reserved, released, and how many are free. No I/O."""

from __future__ import annotations

from typing import Literal

from services.common.events.event import Event
from services.common.events.types import Choice, ReleaseReason, Whole


class PlaceWanted(Event):
    """A waiting chat requests an agent. `agent_id`: only this one will do (a transfer to a colleague)."""

    type: Literal["place.wanted"] = "place.wanted"
    chat_id: str
    turn: Whole
    department: str
    locale: str = "nl"
    agent_id: str | None = None


class PlaceClaimed(Event):
    """An agent has a slot for this attempt of this chat. `choice`: why this agent was chosen."""

    type: Literal["place.claimed"] = "place.claimed"
    chat_id: str
    turn: Whole
    agent_id: str
    agent_name: str
    choice: Choice | None = None


class PlaceReleased(Event):
    """An agent does not, or no longer, have a slot for this attempt of this chat."""

    type: Literal["place.released"] = "place.released"
    chat_id: str
    turn: Whole
    agent_id: str
    reason: ReleaseReason


class PlacesChanged(Event):
    """The number of free slots in a department. It is repeated, so that it also triggers the department queue.

    `places`: all slots of the available agents, free or not.
    """

    type: Literal["places.changed"] = "places.changed"
    department: str
    free: Whole
    revision: Whole
    places: Whole | None = None
