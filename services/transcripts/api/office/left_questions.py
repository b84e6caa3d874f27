"""Routes of left questions: leave, list, claim, release, and mark as done."""

from __future__ import annotations

from typing import TypeVar

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.http.problems import Problem
from services.common.internal_api import transcripts as transcripts_api
from services.common.runtime.service import caller
from services.transcripts import metrics
from services.transcripts.access_log.store import Access
from services.transcripts.api.access_log import access_of
from services.transcripts.api.context import Context
from services.transcripts.api.responses import json_response

T = TypeVar("T")
log = structlog.get_logger()


def create_routes(context: Context) -> APIRouter:
    """Return these routes."""
    routes = APIRouter()

    @routes.post(transcripts_api.QUESTION_LEAVE, response_model=transcripts_api.QuestionReceipt)
    async def leave(request: Request, question: transcripts_api.LeftQuestion) -> Response:
        caller(request)
        if await context.store.chat(question.chat_id) is None:
            raise Problem(404, "no_such_chat", "There is no such conversation.")
        return await store(question)

    @routes.post(transcripts_api.QUESTION_ASK, response_model=transcripts_api.QuestionReceipt)
    async def ask(request: Request, question: transcripts_api.AskedQuestion) -> Response:
        caller(request)
        return await store(question)

    async def store(question: transcripts_api.LeftQuestion) -> Response:
        if await context.questions.leave(question, context.clock()):
            context.announcer.stored()
            metrics.QUESTIONS.labels("left").inc()
            log.info("question_left", chat_id=question.chat_id, department=question.department, source=question.source)
        receipt = await context.questions.receipt(question)
        if receipt is None:
            raise Problem(422, "invalid", "This Idempotency-Key was used for another question; send a new one.")
        return json_response(receipt)

    @routes.post(transcripts_api.QUESTIONS, response_model=transcripts_api.Questions)
    async def questions(request: Request, query: transcripts_api.QuestionsQuery) -> Response:
        reader = query.reader
        caller(request).require_agent(
            reader.agent_id if reader else None, query.departments, reader is not None and reader.supervisor
        )
        if reader:
            departments = ",".join(query.departments)
            await context.access_log.record(access_of("questions_read", reader, department=departments))
        return json_response(
            transcripts_api.Questions(questions=await context.questions.to_do(query.departments, context.clock()))
        )

    @routes.post(transcripts_api.QUESTION_DONE, status_code=204)
    async def done(request: Request, query: transcripts_api.QuestionDone) -> Response:
        caller(request).require_agent(query.agent_id, query.departments)
        if _found(await context.questions.done(query, context.clock())):
            metrics.QUESTIONS.labels("done").inc()
            await context.access_log.record(Access("question_done", query.agent_id, "agent", query.chat_id))
            log.info("question_done", chat_id=query.chat_id, agent_id=query.agent_id)
        return Response(status_code=204)

    @routes.post(transcripts_api.QUESTION_CLAIM, response_model=transcripts_api.LeftQuestion)
    async def claim(request: Request, query: transcripts_api.QuestionClaim) -> Response:
        caller(request).require_agent(query.agent_id, query.departments)
        found = _found(await context.questions.claim(query, context.clock()))
        log.info("question_claimed", chat_id=query.chat_id, agent_id=query.agent_id)
        await context.access_log.record(Access("question_claimed", query.agent_id, "agent", query.chat_id))
        return json_response(found)

    @routes.post(transcripts_api.QUESTION_UNCLAIM, status_code=204)
    async def unclaim(request: Request, query: transcripts_api.QuestionClaim) -> Response:
        caller(request).require_agent(query.agent_id, query.departments, query.any_agent)
        if not _found(await context.questions.unclaim(query, context.clock())):
            raise Problem(403, "not_yours", "A colleague is dealing with this question.")
        log.info("question_released", chat_id=query.chat_id, agent_id=query.agent_id)
        return Response(status_code=204)

    return routes


def _found(outcome: T | transcripts_api.Claimed | None) -> T:
    """Return what was done with a question.

    Raises:
        Problem: 404 `no_such_question` for None, 409 `claimed` when a colleague deals with it.
    """
    if outcome is None:
        raise Problem(404, "no_such_question", "There is no such question in these departments.")
    if isinstance(outcome, transcripts_api.Claimed):
        detail = f"{outcome.name} is dealing with this question. Choose another one, or ask them to release it."
        raise Problem(409, "claimed", detail, claimed=outcome.model_dump(mode="json"))
    return outcome
