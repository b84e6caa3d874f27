"""Internal API of the read API for other systems, which transcripts answers; and the scopes of its clients. No I/O.

A scope is `<kind>:<department>`, such as `chats:premies`; `*` stands for all departments (RFC 6749 section 3.3 allows
these characters). The gateway verifies access tokens. Transcripts has the clients, and decides again by what the
integrations file says now.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from services.common.events.types import CloseReason, Record
from services.common.internal_api.past_chats import Cursor, PastForm

# transcripts
CLIENT_AUTHENTICATE = "/internal/integration/authenticate"  # ClientSecret → ClientScopes | 401 invalid_client | 400
CLIENT_ASSERTED = "/internal/integration/assertion"  # ClientAssertion → ClientScopes | 401 invalid_client | 400
STATISTIC_ROWS = "/internal/integration/statistics"  # RowsQuery → RowsPage | 403 insufficient_scope | 429
CLOSED_CHATS = "/internal/integration/chats"  # ClosedChatsQuery → ClosedChatsPage | 403 insufficient_scope | 429
QUESTION_ROWS = "/internal/integration/questions"  # RowsQuery → RowsPage | 403 insufficient_scope | 429

Kind = Literal["statistics", "chats", "transcripts", "questions"]
EVERY = "*"
MOST_PAGE = 200  # rows in one page
MOST_SCOPE = 2_000  # characters of the scopes of one request
MOST_ASSERTION = 4_096  # characters of what a client signs
Scope = Annotated[
    str, Field(pattern=r"^(statistics|chats|transcripts|questions):(\*|[a-z0-9][a-z0-9-]{0,62})$", max_length=80)
]
RowCursor = Annotated[str, Field(pattern=r"^[0-9]{1,14}-[0-9a-f-]{1,36}$")]


def covers(scopes: Iterable[str], kind: str, department: str) -> bool:
    """Return whether one of these scopes allows to read this kind of thing of this department."""
    return any(scope in (f"{kind}:{EVERY}", f"{kind}:{department}") for scope in scopes)


class ClientSecret(Record):
    """Request to authenticate a client. `scope`: what it asks for, separated by spaces; None: all that it has."""

    client_id: str = Field(max_length=100)
    secret: str = Field(max_length=200)
    scope: str | None = Field(default=None, max_length=MOST_SCOPE)


class ClientAssertion(Record):
    """Request to authenticate a client by what it has signed (RFC 7523).

    Attributes:
        assertion: The JWT.
        audiences: The addresses of the installation, of which the assertion is for one.
        request: A random number of the token request. An assertion is accepted once, and again where the gateway has
            to repeat its question, because a connection broke.
        client_id: The client that the request names; None: the assertion alone does.
        scope: As in `ClientSecret`.
    """

    assertion: str = Field(max_length=MOST_ASSERTION)
    audiences: list[str] = Field(max_length=1_000)
    request: str = Field(min_length=32, max_length=64)
    client_id: str | None = Field(default=None, max_length=100)
    scope: str | None = Field(default=None, max_length=MOST_SCOPE)


class ClientScopes(Record):
    """A client that is authenticated, and the scopes of its token."""

    client_id: str
    scopes: list[Scope]


class ClientReader(Record):
    """The client that reads, for the access log, and the address from which it asks."""

    client_id: str = Field(max_length=100)
    source: str | None = None


class RowsQuery(Record):
    """Request for a page of rows of a department, in the order of time.

    Attributes:
        reader: Who asks.
        department: The department.
        since: The first day, in the configured time zone.
        until: The last day.
        after: The `next` of the page before.
        limit: The most rows of the page.
        of: Rows of `chats` or of `questions`, where there are both.
    """

    reader: ClientReader
    department: str = Field(max_length=63)
    since: date
    until: date
    after: RowCursor | None = None
    limit: int = Field(default=100, ge=1, le=MOST_PAGE)
    of: Literal["chats", "questions"] = "chats"


class RowsPage(Record):
    """A page of rows. `next`: where the next one begins; None: there is none yet."""

    rows: list[dict[str, Any]]
    next: str | None = None


class ClosedChatsQuery(Record):
    """Request for a page of the chats of a department that have ended, the newest first."""

    reader: ClientReader
    department: str = Field(max_length=63)
    since: date | None = None
    until: date | None = None
    before: Cursor | None = None
    limit: int = Field(default=50, ge=1, le=MOST_PAGE)


class ClosedChat(Record):
    """A chat that has ended, without the persons.

    Attributes:
        chat_id: The chat.
        department: The department in which it was opened.
        departments: All departments that it was in.
        locale: The citizen's language.
        opened_at: When it was opened.
        ended_at: When it ended.
        form: The form that the citizen had open.
        ended_by: How it ended.
        agents: How many agents took part.
    """

    chat_id: str
    department: str
    departments: list[str] = Field(default_factory=list)
    locale: str
    opened_at: datetime
    ended_at: datetime
    form: PastForm | None = None
    ended_by: CloseReason | None = None
    agents: int = 0


class ClosedChatsPage(Record):
    """A page. `next`: where the next one begins; None: there is none.

    `searched_until`: the search stopped at this time before the page was full; `next` continues it.
    """

    chats: list[ClosedChat]
    next: str | None = None
    searched_until: datetime | None = None
