"""Events of the identification of a citizen during a chat. No I/O.

An agent asks, the citizen declines or logs in at the citizens' issuer, and transcripts writes each step into the log.
The gateway, which talks with browsers, may not publish `identification.ended`: presence alone says who a citizen is.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from pydantic import Field, model_validator

from services.common.events.event import Event
from services.common.events.types import AssuranceLevel

MOST_NAME = 200  # characters
OPEN_FOR = timedelta(minutes=10)  # from the request of the agent, in which the citizen may begin to identify


class IdentificationAsked(Event):
    """An agent asks the citizen of their chat to identify. Published by a gateway; handled by transcripts.

    Attributes:
        chat_id: The chat.
        id: The request, made by the agent's page; a repeated one makes one entry.
        agent_id: The agent.
        agent_name: Their name.
        department: The department that the chat is in, which may be another one than it was opened in.
    """

    type: Literal["identification.asked"] = "identification.asked"
    chat_id: str
    id: str
    agent_id: str
    agent_name: str
    department: str | None = None


class IdentificationDeclined(Event):
    """The citizen prefers not to identify. Published by a gateway; handled by transcripts."""

    type: Literal["identification.declined"] = "identification.declined"
    chat_id: str
    id: str


class IdentificationEnded(Event):
    """The citizen has come back from the citizens' issuer. Published by presence; handled by transcripts.

    Attributes:
        chat_id: The chat.
        id: The request.
        name: The name that the issuer gives; None: the login was cancelled, or is not accepted.
        level: The assurance level of the login; given with a name.
        issuer: The name of the issuer, in the language of the chat; given with a name.
    """

    type: Literal["identification.ended"] = "identification.ended"
    chat_id: str
    id: str
    name: str | None = Field(default=None, min_length=1, max_length=MOST_NAME)
    level: AssuranceLevel | None = None
    issuer: str | None = Field(default=None, min_length=1, max_length=MOST_NAME)

    @model_validator(mode="after")
    def _all_or_nothing(self) -> IdentificationEnded:
        if len({value is None for value in (self.name, self.level, self.issuer)}) > 1:
            raise ValueError("name, level and issuer are given together")
        return self
