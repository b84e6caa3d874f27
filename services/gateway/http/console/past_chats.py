"""Route with which agents find chats that have ended: their own, and as a supervisor those of their departments."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from services.common.config.departments import Departments
from services.common.events.types import CloseReason
from services.common.http.problems import Problem
from services.common.internal_api.past_chats import MOST_ROWS, QUERY, Cursor, Helped, PastChat, PastChatsQuery
from services.common.internal_api.presence import AgentView
from services.common.internal_api.transcripts import Reader
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.dependencies import (
    BODY,
    address_of,
    agent_session,
    answered,
    body_of,
    problems_of,
    read_json,
    require_department_of,
)
from services.gateway.settings import Settings
from services.gateway.websocket.frames.server import stamp

DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
Day = Annotated[str, Field(pattern=DAY)]
FOR_SUPERVISORS = ("agent", "helped", "score")


class SearchChats(BaseModel):
    """What to search for. Every member that is left out, or null, does not narrow the search.

    Attributes:
        own: The chats that the agent had. Left out: true for agents, false for supervisors; false is for supervisors.
        since: The first day on which a chat ended, such as 2026-11-01.
        until: The last day.
        department: The department.
        agent: An agent who took part; for supervisors.
        form: The id, the title or the address of the form, as a whole.
        locale: The citizen's language.
        helped: What the citizen answered; for supervisors.
        score: The score that the citizen gave; for supervisors.
        ended_by: How the chat ended.
        tag: The id of a tag that the chat has.
        text: Words, all of which are in the chat; the last one may be the beginning of a word.
        before: The `next` of the page before.
        limit: The most chats in the answer.
    """

    model_config = ConfigDict(extra="ignore", populate_by_name=True)
    own: bool | None = None
    since: Day | None = Field(None, alias="from")
    until: Day | None = None
    department: str | None = Field(None, max_length=200)
    agent: str | None = Field(None, min_length=1, max_length=200)
    form: str | None = Field(None, min_length=1, max_length=2_000)
    locale: str | None = Field(None, min_length=1, max_length=35)
    helped: Helped | None = None
    score: int | None = Field(None, ge=1, le=5)
    ended_by: CloseReason | None = None
    tag: str | None = Field(None, min_length=1, max_length=40)
    text: str | None = Field(None, max_length=QUERY)
    before: Cursor | None = None
    limit: int = Field(25, ge=1, le=MOST_ROWS)


def install(
    app: FastAPI,
    presence: PresenceClient,
    transcripts: TranscriptsClient,
    departments: Departments,
    settings: Settings,
) -> None:
    """Add `POST /api/agent/chats/search`. The words are in the body: addresses end up in the logs of proxies.

    The access log of transcripts has the searches of supervisors in their departments.
    """

    @app.post(
        "/api/agent/chats/search",
        openapi_extra=body_of(SearchChats),
        responses=problems_of(
            _401="unauthenticated",
            _403="forbidden",
            _404="unknown_department",
            **BODY,
            _422="invalid, invalid_period, query_too_short, too_many_words",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def search(request: Request) -> Response:
        """List chats that have ended and that the agent may read, the newest first.

        `next` is the `before` of the next page, or null. `searched_until` is a time when the search stopped there
        before the page was full: `next` continues it.
        """
        agent = (await agent_session(request, presence)).agent
        wanted = await read_json(request, SearchChats)
        query = _query(agent, wanted, departments, address_of(request, settings))
        found = await answered(transcripts.past_chats(query))
        until = stamp(found.searched_until) if found.searched_until else None
        return JSONResponse({"chats": list(map(_shown, found.chats)), "next": found.next, "searched_until": until})


def _query(agent: AgentView, wanted: SearchChats, departments: Departments, source: str) -> PastChatsQuery:
    """Return the question for transcripts.

    Raises:
        Problem: 403, 404 or 422.
    """
    own = not agent.supervisor if wanted.own is None else wanted.own
    if not agent.supervisor and (not own or any(getattr(wanted, name) is not None for name in FOR_SUPERVISORS)):
        raise Problem(403, "forbidden", "Only a supervisor may search chats of others, by agent or by rating.")
    if own and wanted.department is not None:
        if departments.get(wanted.department) is None:
            raise Problem(404, "unknown_department", "There is no such department.")
    else:
        require_department_of(agent, wanted.department, departments)
    since, until = days_of(wanted.since, wanted.until)
    everywhere = [] if own else list(agent.departments)
    return PastChatsQuery(
        reader=Reader(agent_id=agent.id, supervisor=agent.supervisor, source=source),
        own=own,
        departments=everywhere if wanted.department is None else [wanted.department],
        since=since,
        until=until,
        agent_id=wanted.agent,
        text=wanted.text,
        **wanted.model_dump(include={"form", "locale", "helped", "score", "ended_by", "tag", "before", "limit"}),
    )


def day_of(text: str | None) -> date | None:
    """Return a day of the calendar from its text, such as 2026-11-01; None for None.

    Raises:
        Problem: 422 `invalid_period`.
    """
    if text is None:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Problem(422, "invalid_period", "There is no such day in the calendar.") from None
    if not 2 <= day.year <= 9_998:  # a day more or less is still a day
        raise Problem(422, "invalid_period", "There is no such day in the calendar.")
    return day


def days_of(first: str | None, last: str | None) -> tuple[date | None, date | None]:
    """Return the first and the last day of a period; None for a bound that is None.

    Raises:
        Problem: 422 `invalid_period`.
    """
    since, until = day_of(first), day_of(last)
    if since and until and until < since:
        raise Problem(422, "invalid_period", "The last day is before the first day.")
    return since, until


def _shown(chat: PastChat) -> dict[str, Any]:
    shown = chat.model_dump(mode="json")
    return {**shown, "opened_at": stamp(chat.opened_at), "ended_at": stamp(chat.ended_at)}
