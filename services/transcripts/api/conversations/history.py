"""Routes with which gateways read logs: pages of entries, what was added since, and internal notes."""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.http.problems import Problem
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.transcripts import ChatHistory, HistoryWanted
from services.common.runtime.service import caller
from services.transcripts import metrics
from services.transcripts.api.context import Context
from services.transcripts.api.responses import json_response
from services.transcripts.concurrency_limits import LimitReached
from services.transcripts.log import reader

MOST_HISTORY = 2 * 1024 * 1024  # bytes of text in one answer with histories of several chats
LEAST_PAGE = 32 * 1024  # bytes of each of these histories, at least


def create_routes(context: Context) -> APIRouter:
    """Return these routes."""
    routes = APIRouter()

    @routes.post(transcripts_api.HISTORY, response_model=transcripts_api.History)
    async def history(request: Request, query: transcripts_api.HistoryQuery) -> Response:
        caller(request)
        most = max(LEAST_PAGE, min(reader.PAGE_BYTES, MOST_HISTORY // max(len(query.chats), 1)))
        read = (_page(context, wanted, query.notes, most) for wanted in query.chats)
        found = [page for page in await asyncio.gather(*read) if page is not None]
        return json_response(transcripts_api.History.model_construct(chats=found))

    @routes.post(transcripts_api.TAILS, response_model=transcripts_api.Tails)
    async def tails(request: Request, query: transcripts_api.TailsQuery) -> Response:
        caller(request)
        if query.after is not None:
            return json_response(transcripts_api.Tails(tails=await context.store.grown(query.after)))
        tails = await context.store.tails(query.chat_ids)  # gateways of an earlier release send this
        return json_response(transcripts_api.Tails(tails={c: t.seq for c, t in tails.items() if t.seq}))

    @routes.get("/chats/{chat_id}/notes", response_model=transcripts_api.Notes)
    async def notes(request: Request, chat_id: str) -> Response:
        """List the internal notes, the oldest first, for agents only."""
        admitted = await context.admit(request, chat_id)
        if admitted.actor.party != "agent":
            raise Problem(403, "forbidden", "Internal notes are for agents.")
        await context.log_read("notes_read", admitted)
        until, own = admitted.last.at if admitted.last else None, admitted.actor.id
        found = await context.store.notes(chat_id)
        readable = [note for note in found if until is None or note.at <= until or note.agent_id == own]
        return json_response(transcripts_api.Notes(notes=readable))

    return routes


async def _page(context: Context, wanted: HistoryWanted, notes: bool, most: int) -> ChatHistory | None:
    """Return one page of a log, or None.

    None also stands for a chat with too many waiting requests. The gateway requests it again, and other chats of the
    same request are not delayed.
    """
    try:
        release = await context.histories.take(wanted.chat_id)
    except LimitReached:
        metrics.HISTORIES_PUT_OFF.inc()
        return None
    try:
        return await reader.history(context.store, wanted, notes, most)
    finally:
        release()
