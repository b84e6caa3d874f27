"""Internal API of the list and the search of chats that have ended, which transcripts answers. No I/O."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field

from services.common.events.types import CloseReason, Record
from services.common.internal_api.transcripts import Reader

# transcripts
PAST_CHATS = "/internal/past-chats"  # PastChatsQuery → PastChatsPage | 422 query_too_short, too_many_words | 429

MOST_ROWS = 50  # in one page
QUERY = 200  # characters of the words
Helped = Literal["yes", "partly", "no"]
Cursor = Annotated[str, Field(pattern=r"^[0-9]{14}-[0-9a-f]{0,16}$")]


class PastChatsQuery(Record):
    """Request for a page of chats that have ended, the newest first. A member that is None does not narrow it.

    Attributes:
        reader: Who asks.
        own: The chats that the reader had, for as long as they may read them; else those of `departments`.
        departments: The departments of a supervisor; those of the reader's own chats are not narrowed by an empty list.
        since: The first day on which a chat ended, in the configured time zone.
        until: The last day.
        agent_id: An agent who took part.
        form: The id, the title or the address of the form.
        locale: The citizen's language.
        helped: What the citizen answered to "were you helped".
        score: The score that they gave.
        ended_by: How the chat ended.
        tag: The id of a tag that the chat has.
        text: The words of a search.
        before: The `next` of the page before.
        limit: The most chats of the page.
    """

    reader: Reader
    own: bool
    departments: list[str]
    since: date | None = None
    until: date | None = None
    agent_id: str | None = Field(default=None, max_length=200)
    form: str | None = Field(default=None, max_length=2_000)
    locale: str | None = Field(default=None, max_length=35)
    helped: Helped | None = None
    score: int | None = Field(default=None, ge=1, le=5)
    ended_by: CloseReason | None = None
    tag: str | None = Field(default=None, max_length=40)
    text: str | None = Field(default=None, max_length=QUERY)
    before: Cursor | None = None
    limit: int = Field(default=25, ge=1, le=MOST_ROWS)


class PastForm(Record):
    """The form that the citizen had open."""

    id: str | None = None
    title: str | None = None
    url: str | None = None


class PastAgent(Record):
    """An agent who took part."""

    id: str
    name: str | None = None


class GivenRating(Record):
    """What a citizen answered after the chat."""

    helped: Helped | None = None
    score: int | None = None


class PastChat(Record):
    """A chat that has ended.

    Attributes:
        chat_id: The chat.
        department: The department in which it was opened.
        departments: All departments that it was in; empty in a chat that the reader left.
        locale: The citizen's language.
        opened_at: When it was opened.
        ended_at: When it ended, or when the reader left it.
        name: The citizen's name.
        form: The form.
        agents: The agents who took part, as far as the reader may know.
        ended_by: How it ended; None in a chat that the reader left.
        rating: The rating, for supervisors.
        left: Whether the reader left the chat before its end.
        complete: Whether all its words can be found.
        closing_reason: The id of the closing reason; None in a chat that the reader left.
        tags: The ids of its tags; empty in a chat that the reader left.
    """

    chat_id: str
    department: str
    departments: list[str] = Field(default_factory=list)
    locale: str
    opened_at: datetime
    ended_at: datetime
    name: str | None = None
    form: PastForm | None = None
    agents: list[PastAgent] = Field(default_factory=list)
    ended_by: CloseReason | None = None
    rating: GivenRating | None = None
    left: bool = False
    complete: bool = True
    closing_reason: str | None = None
    tags: list[str] = Field(default_factory=list)


class PastChatsPage(Record):
    """A page. `next`: where the next one begins; None: there is none.

    `searched_until`: the search stopped at this time before the page was full; `next` continues it.
    """

    chats: list[PastChat]
    next: str | None = None
    searched_until: datetime | None = None
