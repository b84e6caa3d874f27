"""Route of the list and the search of chats that have ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.http.problems import Problem
from services.common.internal_api import past_chats as past_chats_api
from services.common.internal_api.past_chats import PastChat, PastChatsPage, PastChatsQuery
from services.common.runtime.service import caller
from services.transcripts.access_log.store import Act
from services.transcripts.api.access_log import access_of
from services.transcripts.api.context import Context
from services.transcripts.api.responses import json_response
from services.transcripts.past_chats.rows import form_key
from services.transcripts.past_chats.store import Wanted
from services.transcripts.past_chats.words import MOST_QUERIED, Query, QueryProblem, parsed
from services.transcripts.statistics.rules import bounds

_DETAILS = {
    QueryProblem.TOO_SHORT: "Give a word of two or more letters or digits.",
    QueryProblem.TOO_MANY: f"A search has at most {MOST_QUERIED} words; leave some out.",
}


def create_routes(context: Context) -> APIRouter:
    """Return this route."""
    routes = APIRouter()

    @routes.post(past_chats_api.PAST_CHATS, response_model=PastChatsPage)
    async def past_chats(request: Request, query: PastChatsQuery) -> Response:
        """Return a page. What is shown of other agents' chats is logged before, without the words of the search."""
        own, reader = query.own, query.reader
        caller(request).require_agent(reader.agent_id, () if own else query.departments, reader.supervisor)
        wanted = _wanted(context, query)
        release = await context.slot(context.searches, query.reader.agent_id)
        try:
            if not own:
                act: Act = "chats_listed" if query.text is None else "chats_searched"
                departments = ",".join(query.departments)
                await context.access_log.record(access_of(act, query.reader, department=departments))
            found = await context.past_chats.search(wanted)
        finally:
            release()
        chats = [_chat(row, query) for row in found.rows]
        return json_response(PastChatsPage(chats=chats, next=found.next, searched_until=found.until))

    return routes


def _wanted(context: Context, query: PastChatsQuery) -> Wanted:
    """Return what the store is asked for.

    Raises:
        Problem: 422, the words cannot be searched.
    """
    words: Query | QueryProblem = Query() if query.text is None else parsed(query.text)
    if isinstance(words, QueryProblem):
        raise Problem(422, words.value, _DETAILS[words])
    if not query.own and not query.reader.supervisor:
        raise Problem(403, "forbidden", "Only a supervisor may see the chats of others.")
    if not query.reader.supervisor and (query.agent_id or query.helped or query.score):
        raise Problem(403, "forbidden", "Only a supervisor may search by agent or by rating.")
    since = bounds(query.since, query.since, context.zone)[0] if query.since else None
    until = bounds(query.until, query.until, context.zone)[1] if query.until else None
    if query.own:
        readable = context.clock() - timedelta(seconds=context.settings.former_access)
        since = max(since, readable) if since else readable
    more: dict[str, Any] = {
        "took_part": query.agent_id,
        "forms": form_key(query.form) if query.form else None,
        "locale": query.locale,
        "rating.helped": query.helped,
        "rating.score": query.score,
        "ended_by": query.ended_by.value if query.ended_by else None,
        "label.tags": query.tag,
        "department": {"$in": query.departments} if query.own and query.departments else None,
    }
    return Wanted(
        agent_id=query.reader.agent_id if query.own else None,
        departments=tuple(query.departments),
        since=since,
        until=until,
        before=query.before,
        limit=query.limit,
        query=words,
        more={name: value for name, value in more.items() if value is not None},
    )


def _chat(row: dict[str, Any], query: PastChatsQuery) -> PastChat:
    members = {name: row[name] for name in PastChat.model_fields if name in row and name != "rating"}
    rating = row.get("rating") if query.reader.supervisor else None
    shown = {name: rating.get(name) for name in ("helped", "score")} if rating else None
    label = row.get("label") or {}
    labelled = {"closing_reason": label.get("reason"), "tags": label.get("tags") or []}
    return PastChat.model_validate({**members, **labelled, "agents": row["who"], "rating": shown})
