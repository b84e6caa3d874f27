"""Events of the departments that presence stores (`CONFIG_SOURCE=database`). No I/O."""

from __future__ import annotations

from typing import Literal

from services.common.events.event import Event
from services.common.events.types import Whole


class ConfigurationVersion(Event):
    """The newest version of the departments. Published by presence: at each change, repeatedly, and when it is asked.

    Every process of the other services receives it in a queue of its own. A release before 2.0 binds no queue to it.

    Attributes:
        version: The number of the version. A message with an older one is dropped.
        text: The departments in TOML. None in a repetition, by which a process notices that it lacks the version.
    """

    type: Literal["configuration.version"] = "configuration.version"
    version: Whole
    text: str | None = None


class ConfigurationWanted(Event):
    """A process asks for the departments, of which it has this version; 0: none. Handled by every replica of presence.

    Published by gateway, routing and transcripts.
    """

    type: Literal["configuration.wanted"] = "configuration.wanted"
    version: Whole
