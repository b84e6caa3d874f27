"""Routes of what a citizen does after a chat: rate it, and get a code for a later download."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.events.types import Revocation
from services.common.http.problems import Problem
from services.common.internal_api import transcripts as transcripts_api
from services.common.runtime.service import caller
from services.transcripts import metrics
from services.transcripts.api.context import Admitted, Context
from services.transcripts.api.responses import json_response

log = structlog.get_logger()


def create_routes(context: Context) -> APIRouter:
    """Return these routes."""
    routes = APIRouter()

    async def citizen(request: Request, chat_id: str) -> Admitted:
        admitted = await context.admit(request, chat_id)
        if admitted.actor.party != "citizen":
            raise Problem(403, "forbidden", "Only the citizen of this conversation may do this.")
        return admitted

    @routes.post(transcripts_api.RATING, status_code=204)
    async def rate(request: Request, rating: transcripts_api.Rating) -> Response:
        admitted = await citizen(request, rating.chat_id)
        department = admitted.chat.in_department
        is_first = await context.ratings.rate(rating, department, context.clock())
        context.announcer.stored()
        if is_first:
            metrics.RATINGS.labels(department).inc()
            log.info("chat_rated", chat_id=rating.chat_id, department=department)
        return Response(status_code=204)

    @routes.post(transcripts_api.CODE_CREATE, response_model=transcripts_api.DownloadCode)
    async def create_code(request: Request, wanted: transcripts_api.CodeWanted) -> Response:
        await citizen(request, wanted.chat_id)
        code, expires_at = await context.codes.create(wanted.chat_id, context.clock())
        log.info("download_code_created", chat_id=wanted.chat_id)
        return json_response(transcripts_api.DownloadCode(code=code, expires_at=expires_at))

    @routes.post(transcripts_api.CODE_USE, response_model=transcripts_api.CodeFound)
    async def use_code(request: Request, given: transcripts_api.CodeGiven) -> Response:
        caller(request)
        chat_id = await context.codes.chat_of(given.code, context.clock())
        chat = await context.store.chat(chat_id) if chat_id else None
        if chat is None or chat.revoked_by == Revocation.OFFICER:
            raise Problem(404, "unknown_code", "This code is not known, or it is no longer valid.")
        log.info("download_code_used", chat_id=chat.chat_id)
        return json_response(transcripts_api.CodeFound(chat_id=chat.chat_id, locale=chat.locale))

    return routes
