"""Route with which gateways ask which citizens wait for an answer, for the supervisors' live page."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.internal_api import supervision as supervision_api
from services.common.internal_api.queries import ChatsQuery
from services.common.runtime.service import caller
from services.transcripts.api.context import Context
from services.transcripts.api.responses import json_response
from services.transcripts.unanswered.rules import LOOKED_BACK, unanswered_since


def create_routes(context: Context) -> APIRouter:
    """Return this route. It tells no words of a conversation, so the access log has no entry of it."""
    routes = APIRouter()

    @routes.post(supervision_api.UNANSWERED, response_model=supervision_api.Unanswered)
    async def unanswered(request: Request, query: ChatsQuery) -> Response:
        caller(request)
        latest = await context.store.latest(query.chat_ids, LOOKED_BACK)
        since = {chat_id: at for chat_id, log in latest.items() if (at := unanswered_since(log))}
        return json_response(supervision_api.Unanswered(since=since))

    return routes
