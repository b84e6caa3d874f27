"""Routes of canned answers: list, add, change, remove. The access log has every change."""

from __future__ import annotations

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.http.problems import Problem
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.transcripts import CannedAnswer, Reader
from services.common.runtime.service import caller
from services.transcripts.access_log.store import Act
from services.transcripts.api.access_log import access_of
from services.transcripts.api.context import Context
from services.transcripts.api.responses import json_response
from services.transcripts.canned_answers import MOST, MOST_BYTES, Obstacle, Refused

log = structlog.get_logger()

_PROBLEMS = {
    Obstacle.UNKNOWN: (404, "There is no such canned answer in these departments."),
    Obstacle.NOT_YOURS: (403, "Other departments have this answer too; a supervisor of all of them can change it."),
    Obstacle.CHANGED: (409, "This answer was changed meanwhile; `current` is what is stored."),
    Obstacle.CODE_TAKEN: (409, "Another answer of these departments has this code; choose another one."),
    Obstacle.TOO_MANY: (
        409,
        f"A department has at most {MOST} canned answers, and {MOST_BYTES:,} bytes of text; remove some first.",
    ),
}


def create_routes(context: Context) -> APIRouter:
    """Return these routes."""
    routes = APIRouter()

    @routes.post(transcripts_api.CANNED_ANSWERS, response_model=transcripts_api.CannedAnswers)
    async def listed(request: Request, query: transcripts_api.CannedAnswersQuery) -> Response:
        caller(request)
        tag = await context.canned_answers.tag(query.departments)
        answers = None if tag == query.known else await context.canned_answers.listed(query.departments)
        return json_response(transcripts_api.CannedAnswers(tag=tag, answers=answers))

    @routes.post(transcripts_api.CANNED_ANSWER_ADD, response_model=CannedAnswer)
    async def add(request: Request, new: transcripts_api.NewCannedAnswer) -> Response:
        caller(request).require_agent(new.by.agent_id, new.departments, new.by.supervisor, new.by.role)
        added = _done(await context.canned_answers.add(new, context.clock()))
        await note("canned_answer_added", new.by, added)
        return json_response(added)

    @routes.post(transcripts_api.CANNED_ANSWER_CHANGE, response_model=CannedAnswer)
    async def change(request: Request, wanted: transcripts_api.CannedAnswerChange) -> Response:
        caller(request).require_agent(wanted.by.agent_id, wanted.own, wanted.by.supervisor, wanted.by.role)
        changed = _done(await context.canned_answers.change(wanted, context.clock()))
        await note("canned_answer_changed", wanted.by, changed)
        return json_response(changed)

    @routes.post(transcripts_api.CANNED_ANSWER_REMOVE, status_code=204)
    async def remove(request: Request, wanted: transcripts_api.CannedAnswerRemoval) -> Response:
        caller(request).require_agent(wanted.by.agent_id, wanted.own, wanted.by.supervisor, wanted.by.role)
        removed = await context.canned_answers.remove(wanted)
        if removed is not None:
            await note("canned_answer_removed", wanted.by, _done(removed))
        return Response(status_code=204)

    async def note(act: Act, by: Reader, answer: CannedAnswer) -> None:
        access = access_of(act, by, department=",".join(answer.departments), item=answer.id)
        await context.access_log.record(access)
        log.info(act, answer_id=answer.id, revision=answer.revision, agent_id=by.agent_id)

    return routes


def _done(outcome: CannedAnswer | Refused) -> CannedAnswer:
    """Return the answer.

    Raises:
        Problem: The request was refused.
    """
    if isinstance(outcome, CannedAnswer):
        return outcome
    status, detail = _PROBLEMS[outcome.why]
    current = outcome.current.model_dump(mode="json") if outcome.current else None
    raise Problem(status, outcome.why.value, detail, current=current)
