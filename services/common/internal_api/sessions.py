"""Internal API of presence for lists of sessions: a person's own, and for administrators those of others. No I/O."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from services.common.events.types import Record

SESSIONS_OWN = "/internal/sessions/own"  # OwnSessions → Sessions | 401 unauthenticated
SESSIONS_OWN_END = "/internal/sessions/own/end"  # OwnSessionEnd → 204 | 401 | 404 no_such_session | 409 current_session
SESSIONS_SEARCH = "/internal/sessions/search"  # SessionsQuery → Sessions | 403
SESSIONS_END = "/internal/sessions/end-other"  # OtherSessionEnd → 204 | 403 | 404 no_such_session

PAGE = 100  # sessions in one answer
SessionId = Annotated[str, Field(min_length=1, max_length=36)]
Kind = Annotated[str, Field(max_length=20)]
"""A family of browsers or of operating systems, as `firefox` or `windows`; empty: not known."""


class Client(Record):
    """The browser of a login, as coarse as a person needs to recognise it.

    Attributes:
        browser: Its family.
        system: The family of its operating system.
    """

    browser: Kind = ""
    system: Kind = ""


class OwnSessions(Record):
    """Request for the sessions of the person who has this session. `token`: its token."""

    token: str


class OwnSessionEnd(OwnSessions):
    """Request to end another session of the person who has this one."""

    session_id: SessionId


class SessionsQuery(Record):
    """Request for live sessions, those that were used last first.

    Attributes:
        search: Only those of people whose name has this text in it; None: of all.
        session_id: Only this one; None: all.
    """

    search: str | None = Field(default=None, min_length=1, max_length=100)
    session_id: SessionId | None = None


class OtherSessionEnd(Record):
    """Request of an administrator to end a session. `by`: the id of the administrator."""

    session_id: SessionId
    by: str


class SessionView(Record):
    """A live session.

    Attributes:
        id: The session.
        agent_id: The agent or officer who is logged in.
        name: Their name; empty when it is not known any more.
        current: Whether it is the one of the person who asks.
        begun_at: When it began; None: it is of an earlier release.
        used_at: When it was last used, to a minute; None: it is of an earlier release.
        expires_at: When it ends in any case.
        network: The beginning of the client's address, with a star for the rest; empty: not known.
        client: The browser.
    """

    id: str
    agent_id: str
    name: str = ""
    current: bool = False
    begun_at: datetime | None = None
    used_at: datetime | None = None
    expires_at: datetime
    network: str = ""
    client: Client = Client()


class Sessions(Record):
    """Live sessions. `more`: there are others than these."""

    sessions: list[SessionView]
    more: bool = False
