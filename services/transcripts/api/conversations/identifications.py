"""Route with which a gateway finds out whether the citizen of a chat is asked to identify."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.http.problems import Problem
from services.common.internal_api import transcripts as transcripts_api
from services.transcripts.api.context import Context
from services.transcripts.api.responses import json_response


def create_routes(context: Context) -> APIRouter:
    """Return this route."""
    routes = APIRouter()

    @routes.post(transcripts_api.IDENTIFICATION_OPEN, response_model=transcripts_api.OpenIdentification)
    async def open_request(request: Request, sought: transcripts_api.IdentificationSought) -> Response:
        """Return the request that the citizen of this chat may answer."""
        admitted = await context.admit(request, sought.chat_id)
        if admitted.actor.party != "citizen":
            raise Problem(403, "forbidden", "Only the citizen of this conversation may do this.")
        found = await context.identifications.open_request(admitted.chat)
        if found is None:
            raise Problem(404, "no_request", "Nobody asks you to identify at the moment.")
        return json_response(found)

    return routes
