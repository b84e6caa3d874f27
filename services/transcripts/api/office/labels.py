"""Route with which the agent of a chat gives it a closing reason and tags."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.events.types import Party
from services.common.http.problems import Problem
from services.common.internal_api import transcripts as transcripts_api
from services.transcripts.api.context import Context

log = structlog.get_logger()


def create_routes(context: Context) -> APIRouter:
    """Return this route."""
    routes = APIRouter()

    @routes.post(transcripts_api.LABEL, status_code=204)
    async def label(request: Request, given: transcripts_api.Label) -> Response:
        """Store the label. Only the agent who has the chat, or had it at its end, may give one."""
        admitted = await context.admit(request, given.chat_id)
        if admitted.actor.party != Party.AGENT or not admitted.adds:
            raise Problem(403, "forbidden", "Only the agent of this chat may do this.")
        chat = admitted.chat
        of = sorted({chat.department, *chat.departments})
        reasons, tags = (context.departments.options(of, name) for name in ("closing_reasons", "tags"))
        if given.reason not in {None, *reasons} or not set(given.tags) <= set(tags):
            raise Problem(422, "unknown_label", "This reason or tag is not in the list any more: choose another one.")
        await context.labels.put(given, context.clock())
        context.announcer.stored()
        log.info("chat_labelled", chat_id=chat.chat_id, reason=given.reason, tags=given.tags)
        return Response(status_code=204)

    return routes
