"""Routes of the operator's command: what targets have not got, and their dead letters."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.http.problems import Problem
from services.common.internal_api import outbox as outbox_api
from services.common.runtime.service import caller
from services.transcripts.api.context import Context
from services.transcripts.api.responses import json_response

log = structlog.get_logger()


def create_routes(context: Context) -> APIRouter:
    """Return these routes."""
    routes = APIRouter()

    @routes.post(outbox_api.TARGETS, response_model=outbox_api.Targets)
    async def targets(request: Request, query: outbox_api.TargetsQuery) -> Response:
        caller(request).require_operator()
        found = []
        for target in context.announcer.targets:
            backlog = await context.outbox.backlog(target)
            found.append(outbox_api.Target(id=target, due=backlog.due, oldest=backlog.oldest, dead=backlog.dead))
        return json_response(outbox_api.Targets(targets=found))

    @routes.post(outbox_api.DEAD, response_model=outbox_api.DeadLetters)
    async def dead(request: Request, query: outbox_api.DeadQuery) -> Response:
        caller(request).require_operator()
        found = await context.outbox.dead(query.target, query.after, outbox_api.PAGE)
        letters = [outbox_api.DeadLetter.model_validate({**d, "key": d["_id"], "id": d["notice"]}) for d in found]
        return json_response(outbox_api.DeadLetters(letters=letters))

    @routes.post(outbox_api.REPLAY, response_model=outbox_api.LettersDone)
    async def replay(request: Request, wanted: outbox_api.LettersWanted) -> Response:
        caller(request).require_operator()
        if wanted.target not in context.announcer.targets:
            raise Problem(404, "no_such_target", "The integrations file has no such target. Nothing would be sent.")
        number = await context.outbox.replay(wanted.target, wanted.id, context.clock())
        context.announcer.added.set()
        log.info("outbox_replayed", target=wanted.target, deliveries=number)
        return json_response(outbox_api.LettersDone(number=number))

    @routes.post(outbox_api.DISCARD, response_model=outbox_api.LettersDone)
    async def discard(request: Request, wanted: outbox_api.LettersWanted) -> Response:
        caller(request).require_operator()
        number = await context.outbox.discard(wanted.target, wanted.id)
        log.info("outbox_discarded", target=wanted.target, deliveries=number)
        return json_response(outbox_api.LettersDone(number=number))

    return routes
