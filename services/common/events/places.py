"""Events of agents' slots: wanted, reserved, released, and how many are free. No I/O."""

from __future__ import annotations

from typing import Literal

from services.common.events.event import Event
from services.common.events.types import Choice, Record, ReleaseReason, Whole


class PlaceWanted(Event):
    """A waiting chat requests an agent. `agent_id`: only this one will do (a transfer to a colleague).

    `not_agent_id`: any but this one, who has left the citizen without an answer. Presence before 2.0 ignores it.
    """

    type: Literal["place.wanted"] = "place.wanted"
    chat_id: str
    turn: Whole
    department: str
    locale: str = "nl"
    agent_id: str | None = None
    not_agent_id: str | None = None


class PlaceClaimed(Event):
    """An agent has a slot for this attempt of this chat.

    `choice`: why this agent was chosen. `reminder`: published only in case routing has freed the slot and presence does
    not know it. Routing answers it only when the chat is not assigned so. Before version 1.2 it answers each one.
    """

    type: Literal["place.claimed"] = "place.claimed"
    chat_id: str
    turn: Whole
    agent_id: str
    agent_name: str
    choice: Choice | None = None
    reminder: bool | None = None


class PlaceReleased(Event):
    """An agent does not, or no longer, have a slot for this attempt of this chat."""

    type: Literal["place.released"] = "place.released"
    chat_id: str
    turn: Whole
    agent_id: str
    reason: ReleaseReason


class DepartmentPlaces(Record):
    """The number of free slots in a department. `places`: all slots of the available agents, free or not."""

    department: str
    free: Whole
    revision: Whole
    places: Whole | None = None


class PlacesChanged(Event):
    """The number of free slots in a department, published at each change.

    Every `topology.BUTTON_INTERVAL` seconds the numbers of all departments are published again, in digests, so that
    they also trigger the department queues.

    `places`: all slots of the available agents, free or not. `others`: in a digest, the numbers of further departments
    (at most `topology.MOST_DEPARTMENTS` in one message). None in an event of one department. A consumer before version
    1.2 ignores them.
    """

    type: Literal["places.changed"] = "places.changed"
    department: str
    free: Whole
    revision: Whole
    places: Whole | None = None
    others: list[DepartmentPlaces] | None = None

    @property
    def departments(self) -> list[DepartmentPlaces]:
        """The numbers of every department in this event."""
        return [DepartmentPlaces.model_validate(self, from_attributes=True), *(self.others or ())]
