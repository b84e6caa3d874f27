"""Routes of left questions: leave, list, claim, release, mark as done, open again, and the archive."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TypeVar

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response

from services.common.http.problems import Problem
from services.common.internal_api import transcripts as transcripts_api
from services.common.runtime.service import caller
from services.transcripts import metrics
from services.transcripts.access_log.store import Access, OwnAct
from services.transcripts.api.access_log import access_of
from services.transcripts.api.context import Context
from services.transcripts.api.responses import json_response
from services.transcripts.questions.job import log_act
from services.transcripts.questions.number import is_number
from services.transcripts.questions.store import ArchiveWanted, LogBehind, Unlogged
from services.transcripts.statistics.rules import bounds

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

    @routes.post(transcripts_api.QUESTION_ARCHIVE, response_model=transcripts_api.ArchivePage)
    async def archive(request: Request, query: transcripts_api.ArchiveQuery) -> Response:
        reader = query.reader
        caller(request).require_agent(reader.agent_id, query.departments, reader.supervisor)
        if query.number is not None and not is_number(query.number):
            raise Problem(422, "invalid", "This is no number of a question: it has an error.")
        wanted = ArchiveWanted(
            departments=query.departments,
            number=query.number,
            since=bounds(query.since, query.since, context.zone)[0] if query.since else None,
            until=bounds(query.until, query.until, context.zone)[1] if query.until else None,
            before=query.before,
            limit=query.limit,
        )
        release = await context.slot(context.searches, reader.agent_id)
        try:
            departments = ",".join(query.departments)
            await context.access_log.record(
                access_of("question_archive_read", reader, department=departments, item=query.number)
            )
            found, more = await context.questions.archive(wanted)
        finally:
            release()
        return json_response(transcripts_api.ArchivePage(questions=found, next=more))

    @routes.post(transcripts_api.QUESTION_DONE, status_code=204)
    async def done(request: Request, query: transcripts_api.QuestionDone) -> Response:
        caller(request).require_agent(query.agent_id, query.departments)
        entry = _entry("question_done", query)
        outcome = await _acted(context.questions.done(query, context.clock(), entry))
        if isinstance(outcome, transcripts_api.Finished):
            raise _done_by(outcome)
        if _found(outcome):
            metrics.QUESTIONS.labels("done").inc()
            log.info("question_done", chat_id=query.chat_id, agent_id=query.agent_id)
            await logged(query, entry)
        return Response(status_code=204)

    @routes.post(transcripts_api.QUESTION_UNDO, response_model=transcripts_api.LeftQuestion)
    async def undo(request: Request, query: transcripts_api.QuestionUndo) -> Response:
        caller(request).require_agent(query.agent_id, query.departments, query.any_agent)
        entry = _entry("question_undone", query, query.any_agent)
        outcome = await _acted(context.questions.undo(query, context.clock(), entry))
        if isinstance(outcome, transcripts_api.Finished):
            if query.of not in (None, outcome.agent_id):
                raise _done_by(outcome)
            raise Problem(403, "not_yours", "A colleague has dealt with this question. A supervisor can undo that.")
        question, opened = _found(outcome)
        if opened:
            metrics.QUESTIONS.labels("undone").inc()
            log.info("question_undone", chat_id=query.chat_id, agent_id=query.agent_id)
            await logged(query, entry)
        return json_response(question)

    @routes.post(transcripts_api.QUESTION_CLAIM, response_model=transcripts_api.LeftQuestion)
    async def claim(request: Request, query: transcripts_api.QuestionClaim) -> Response:
        caller(request).require_agent(query.agent_id, query.departments)
        entry = _entry("question_claimed", query)
        found = _found(await _acted(context.questions.claim(query, context.clock(), entry)))
        log.info("question_claimed", chat_id=query.chat_id, agent_id=query.agent_id)
        await logged(query, entry)
        return json_response(found)

    @routes.post(transcripts_api.QUESTION_UNCLAIM, status_code=204)
    async def unclaim(request: Request, query: transcripts_api.QuestionClaim) -> Response:
        caller(request).require_agent(query.agent_id, query.departments, query.any_agent)
        entry = _entry("question_released", query, query.any_agent)
        outcome = await _acted(context.questions.unclaim(query, context.clock(), entry))
        if isinstance(outcome, transcripts_api.Finished):
            raise _done_by(outcome)
        if isinstance(outcome, transcripts_api.Claimed):
            detail = f"{outcome.name} is dealing with this question now. Look at the list again."
            raise Problem(409, "claim_changed", detail, claimed=outcome.model_dump(mode="json"))
        if not _found(outcome):
            raise Problem(403, "not_yours", "A colleague is dealing with this question.")
        log.info("question_released", chat_id=query.chat_id, agent_id=query.agent_id)
        await logged(query, entry)
        return Response(status_code=204)

    async def logged(query: transcripts_api.QuestionDone, entry: Unlogged) -> None:
        await log_act(context.questions, context.access_log, query.chat_id, entry.id)

    return routes


async def _acted(acting: Awaitable[T]) -> T:
    """Return what came of an act.

    Raises:
        Problem: 503 `unavailable`: the access log lacks too many acts on this question.
    """
    try:
        return await acting
    except LogBehind:
        detail = "The access log lacks earlier acts on this question. Please try again."
        raise Problem(503, "unavailable", detail, {"Retry-After": "15"}) from None


def _entry(act: OwnAct, query: transcripts_api.QuestionDone, supervisor: bool = False) -> Unlogged:
    role = "supervisor" if supervisor else "agent"
    return Unlogged(Access(act, query.agent_id, role, query.chat_id, source=query.source))


def _done_by(done: transcripts_api.Finished) -> Problem:
    """Return the problem of an act on a question that a colleague has done."""
    detail = f"{done.name or done.agent_id} has dealt with this question. It is in the archive."
    return Problem(409, "question_done", detail, done=done.model_dump(mode="json"))


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
