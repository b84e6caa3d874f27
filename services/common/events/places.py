"""Events of agents' slots: wanted, reserved, released, and how many are free. No I/O."""

from __future__ import annotations

from typing import Literal

from services.common.events.event import Event
from services.common.events.types import Choice, ReleaseReason, Whole


class PlaceWanted(Event):
    """A waiting chat asks for an agent. `agent_id`: only this one will do (a transfer to a colleague)."""

    type: Literal["place.wanted"] = "place.wanted"
    chat_id: str
    turn: Whole
    department: str
    locale: str = "nl"
    agent_id: str | None = None


class PlaceClaimed(Event):
    """An agent holds a seat for this turn of this chat. `choice`: why this agent."""

    type: Literal["place.claimed"] = "place.claimed"
    chat_id: str
    turn: Whole
    agent_id: str
    agent_name: str
    choice: Choice | None = None


class PlaceReleased(Event):
    """An agent does not, or no longer, hold this turn of this chat."""

    type: Literal["place.released"] = "place.released"
    chat_id: str
    turn: Whole
    agent_id: str
    reason: ReleaseReason


class PlacesChanged(Event):
    """How many places are free in a department. Repeated, so it is the wake-up call of the queue too.

    `places`: all places of the agents who are available, free or not.
    """

    type: Literal["places.changed"] = "places.changed"
    department: str
    free: Whole
    revision: Whole
    places: Whole | None = None
