"""Routes of the access log: notes of other services, and its entries for auditors."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.transcripts import Reader
from services.common.runtime.service import caller
from services.transcripts.access_log.store import Access
from services.transcripts.api.context import Context, role_of
from services.transcripts.api.responses import json_response


def create_routes(context: Context) -> APIRouter:
    """Return these routes."""
    routes = APIRouter()

    @routes.post(transcripts_api.ACCESS_NOTE, status_code=204)
    async def note(request: Request, noted: transcripts_api.AccessNoted) -> Response:
        caller(request)
        departments = ",".join(noted.departments) or None
        await context.access_log.record(access_of(noted.act, noted.reader, noted.chat_id, departments))
        return Response(status_code=204)

    @routes.post(transcripts_api.ACCESS_LOG, response_model=transcripts_api.AccessEntries)
    async def entries(request: Request, query: transcripts_api.AccessQuery) -> Response:
        """Return a page. That an export began is an entry of the log too."""
        caller(request)
        if not query.after:
            await context.access_log.record(Access("access_log_read", query.by, "operator"))
        return json_response(transcripts_api.AccessEntries(entries=await context.access_log.entries(query.after)))

    return routes


def access_of(act: str, reader: Reader, chat_id: str | None = None, department: str | None = None) -> Access:
    """Return the entry for what an agent reads."""
    role = role_of("agent", reader.supervisor)
    return Access(act, reader.agent_id, role, chat_id, department=department, source=reader.source)
