"""Routes of questions that citizens leave when no agent comes, and of the agents who answer them."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, TypeVar

import structlog
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.common.clock import utcnow
from services.common.config.departments import Department, Departments
from services.common.events.chats import CloseRequested
from services.common.events.messages import MessagePosted
from services.common.events.types import ChatStatus, CloseReason, Party, Sender, derived_id, is_id
from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.presence import AgentView
from services.common.internal_api.routing import ChatView
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.observability.tracing import begin_trace
from services.common.visible_text import label
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.routing import RoutingClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.console.past_chats import DAY, days_of
from services.gateway.http.dependencies import (
    BODY,
    address_of,
    agent_session,
    answered,
    body_of,
    number_refused,
    passed_on,
    problems_of,
    read_json,
    require_citizen_of,
    require_department_of,
    require_rate,
    unavailable,
)
from services.gateway.identifying_numbers import NumberRefused, NumberRules
from services.gateway.rate_limits import QUESTIONS_PER_CHAT, Buckets
from services.gateway.settings import Settings
from services.gateway.websocket.frames.server import stamp

NUMBER_LENGTH = 8  # of a question
log = structlog.get_logger()


def words(text: str) -> str:
    """Return a text without the white space around it.

    Raises:
        ValueError: It is empty or contains NUL.
    """
    if "\0" in text:
        raise ValueError("must not contain NUL")
    if not text.strip():
        raise ValueError("must not be empty")
    return text.strip()


class LeaveQuestion(BaseModel):
    """A left question, and how to reach the citizen: an e-mail address or a phone number."""

    model_config = ConfigDict(extra="ignore", strict=True)
    contact: Annotated[str, Field(max_length=200), AfterValidator(label), AfterValidator(words)]
    text: Annotated[str, Field(max_length=4_000), AfterValidator(words)]


G = TypeVar("G", bound=LeaveQuestion)


def masked(given: G, department: str, numbers: NumberRules) -> G:
    """Return the question with the numbers masked that the department masks, in its text and its contact details.

    Raises:
        Problem: 422 `identifying_number`.
    """
    try:
        text, contact = numbers.apply(given.text, department), numbers.apply(given.contact, department)
    except NumberRefused as error:
        raise number_refused(error) from error
    return given.model_copy(update={"text": text, "contact": contact})


async def answer_day(presence: PresenceClient, department: Department) -> date | None:
    """Return the day by which this department answers a question that is left now; None when it says no such day."""
    return await presence.answer_day(department.id, department.answer_within) if department.answer_within else None


class LeftAnswer(BaseModel):
    """The receipt of a question that was left in a chat.

    Attributes:
        chat_id: The chat.
        number: Its number; null from a replica of transcripts before version 2.0.
        answer_within: Working days within which it is answered.
        answer_by: The last of these days, which agents see with the question; null when presence does not answer.
    """

    chat_id: str
    number: str | None
    answer_within: int | None
    answer_by: date | None


class Questions:
    """Stores left questions at transcripts, and ends the chats in which they were left."""

    def __init__(
        self,
        publisher: Publisher,
        routing: RoutingClient,
        transcripts: TranscriptsClient,
        presence: PresenceClient,
        departments: Departments,
        numbers: NumberRules,
    ) -> None:
        self._publisher, self._routing, self._transcripts = publisher, routing, transcripts
        self._presence, self._departments, self._numbers = presence, departments, numbers

    async def leave(self, chat_id: str, given: LeaveQuestion) -> LeftAnswer:
        """Store the question and end the chat. Of a question that is left twice the first one counts.

        Raises:
            Problem: 401 `unauthenticated`, 404 `no_such_chat`, 409 `not_waiting`, 422 `identifying_number`, 503
                `unavailable`; after a 503 the question may be left again.
        """
        try:
            view = (await self._routing.chats([chat_id])).get(chat_id)
            if view is None:
                raise Problem(404, "no_such_chat", "There is no such chat.")
            if view.revoked_by:
                raise Problem(401, "unauthenticated", "The access to this chat was ended.")
            if not _nobody_came(view):
                raise Problem(409, "not_waiting", "An agent has this chat, or it has ended; ask the question there.")
            given = masked(given, view.department, self._numbers)
            department = self._departments.get(view.department)
            day = await answer_day(self._presence, department) if department else None
            receipt = await self._transcripts.leave_question(_left(view, given, day))
            if view.state is ChatStatus.WAITING:
                await self._end(view, given.text)
        except (Unavailable, Unconfirmed) as error:
            raise unavailable() from error
        except Declined as declined:
            raise passed_on(declined) from declined
        log.info("question_left", department=view.department)
        return LeftAnswer(
            chat_id=chat_id,
            number=receipt.number,
            answer_within=department.answer_within if department else None,
            answer_by=receipt.answer_by or day,
        )

    async def _end(self, view: ChatView, text: str) -> None:
        if text != (view.question or "").strip() and not await self._was_said(view.chat_id, text):
            said = MessagePosted(
                chat_id=view.chat_id,
                id=derived_id(view.chat_id, "left question"),
                sender=Sender(party=Party.CITIZEN, id="citizen", name=view.name),
                text=text,
            )
            await self._publisher.publish(said)
        await self._publisher.publish(CloseRequested(chat_id=view.chat_id, by=CloseReason.CITIZEN))

    async def _was_said(self, chat_id: str, text: str) -> bool:
        """Return whether the citizen has sent this text in the chat already."""
        page = await self._transcripts.page(transcripts_api.HistoryWanted(chat_id=chat_id))
        said = page.entries if page else []
        return any(e.party is Party.CITIZEN and (e.text or "").strip() == text for e in said)


def _nobody_came(view: ChatView) -> bool:
    """Whether the chat waits, or ended while it waited.

    A question that was left before has ended the chat, and may be repeated.
    """
    if view.state is not ChatStatus.CLOSED:
        return view.state is ChatStatus.WAITING
    return view.agent_id is None and view.reason in (CloseReason.NO_AGENT, CloseReason.CITIZEN)


def _left(view: ChatView, given: LeaveQuestion, day: date | None) -> transcripts_api.LeftQuestion:
    return transcripts_api.LeftQuestion(
        chat_id=view.chat_id,
        department=view.department,
        locale=view.locale,
        name=view.name,
        contact=given.contact,
        text=given.text,
        at=utcnow(),
        answer_by=day,
    )


def install(
    app: FastAPI,
    questions: Questions,
    presence: PresenceClient,
    transcripts: TranscriptsClient,
    keys: Keys,
    departments: Departments,
    settings: Settings,
) -> None:
    """Add `POST /api/chats/{chat_id}/question` for citizens, and `/api/questions…` for agents."""
    buckets = Buckets(QUESTIONS_PER_CHAT)

    @app.post(
        "/api/chats/{chat_id}/question",
        status_code=201,
        openapi_extra=body_of(LeaveQuestion),
        responses=problems_of(
            _401="unauthenticated",
            _403="forbidden, origin_not_allowed",
            _404="no_such_chat",
            _409="not_waiting",
            **BODY,
            _422="invalid, identifying_number",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def leave(request: Request, chat_id: str) -> Response:
        """Leave a question in a chat that waits, or that ended because no agent came. The chat ends."""
        begin_trace(request.headers.get("traceparent"), public=True, chat_id=chat_id)
        require_citizen_of(request, chat_id, keys, departments, settings)
        require_rate(buckets, chat_id, settings)
        receipt = await questions.leave(chat_id, await read_json(request, LeaveQuestion))
        return JSONResponse(receipt.model_dump(mode="json"), 201)

    @app.get("/api/questions", responses=problems_of(_401="unauthenticated", _403="forbidden", _503="unavailable"))
    async def listed(request: Request) -> Response:
        """List the questions that were left in the agent's departments and are not done, the oldest first."""
        agent = (await agent_session(request, presence)).agent
        query = transcripts_api.QuestionsQuery(departments=agent.departments, reader=_reader(agent, request, settings))
        try:
            found = await transcripts.questions(query)
        except Unavailable as error:
            raise unavailable() from error
        return JSONResponse({"questions": [_shown(q) for q in found]})

    @app.get(
        "/api/questions/archive",
        responses=problems_of(
            _401="unauthenticated",
            _403="forbidden",
            _404="unknown_department",
            _422="invalid, invalid_period",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def archive(
        request: Request,
        department: Annotated[str | None, Query(max_length=63, description="one of the agent's departments")] = None,
        number: Annotated[str | None, Query(max_length=40, description="the number of one question")] = None,
        from_: Annotated[str | None, Query(alias="from", pattern=DAY, description="the first day of the act")] = None,
        until: Annotated[str | None, Query(pattern=DAY, description="the last day of the act")] = None,
        before: Annotated[
            transcripts_api.ArchiveCursor | None, Query(description="the `next` of the page before")
        ] = None,
        limit: Annotated[int, Query(ge=1, le=transcripts_api.MOST_ARCHIVED)] = 25,
    ) -> Response:
        """List the questions of the agent's departments that are done, the newest first, and who did them.

        `next` is the `before` of the next page, or null.
        """
        agent = (await agent_session(request, presence)).agent
        require_department_of(agent, department, departments)
        since, last = days_of(from_, until)
        query = transcripts_api.ArchiveQuery(
            reader=_reader(agent, request, settings),
            departments=agent.departments if department is None else [department],
            number=_number(number),
            since=since,
            until=last,
            before=before,
            limit=limit,
        )
        page = await answered(transcripts.question_archive(query))
        return JSONResponse({"questions": list(map(_shown_done, page.questions)), "next": page.next})

    @app.post(
        "/api/questions/{chat_id}/done",
        status_code=204,
        responses=problems_of(
            _401="unauthenticated",
            _403="forbidden",
            _404="no_such_question",
            _409="claimed, question_done",
            _503="unavailable",
        ),
    )
    async def done(
        request: Request,
        chat_id: str,
        once: Annotated[bool, Query(description="refuse with `question_done` when a colleague has done it")] = False,
    ) -> Response:
        """Mark this question as done."""
        _, act = await act_of(request, chat_id)
        await answered(transcripts.finish_question(transcripts_api.QuestionDone(**act, once=once)))
        return Response(status_code=204)

    @app.delete(
        "/api/questions/{chat_id}/done",
        responses=problems_of(
            _401="unauthenticated",
            _403="forbidden, not_yours",
            _404="no_such_question",
            _409="question_done",
            _503="unavailable",
        ),
    )
    async def undo(
        request: Request,
        chat_id: str,
        of: Annotated[str | None, Query(max_length=200, description="only when this agent has done it")] = None,
    ) -> Response:
        """Open this question again, which the agent has done; a supervisor can do so with that of a colleague."""
        agent, act = await act_of(request, chat_id)
        wish = transcripts_api.QuestionUndo(**act, any_agent=agent.supervisor, of=of)
        return JSONResponse(_shown(await answered(transcripts.undo_question(wish))))

    claim_problems = problems_of(
        _401="unauthenticated",
        _403="not_yours",
        _404="no_such_question",
        _409="claimed",
        _429="rate_limited",
        _503="unavailable",
    )

    async def act_of(request: Request, chat_id: str) -> tuple[AgentView, dict[str, Any]]:
        """Return the agent who asks for an act on this question, and the fields that all acts have.

        Raises:
            Problem: As `agent_session`, and 404 `no_such_question`.
        """
        begin_trace(request.headers.get("traceparent"), public=True, chat_id=chat_id)
        agent = (await agent_session(request, presence)).agent
        if not is_id(chat_id):
            raise Problem(404, "no_such_question", "There is no such question.")
        return agent, {
            "chat_id": chat_id,
            "agent_id": agent.id,
            "agent_name": agent.name,
            "departments": agent.departments,
            "source": address_of(request, settings),
        }

    @app.post("/api/questions/{chat_id}/claim", responses=claim_problems)
    async def claim(request: Request, chat_id: str) -> Response:
        """Claim this question, with the right to read its conversation. Only one agent can have the claim."""
        _, act = await act_of(request, chat_id)
        wish = transcripts_api.QuestionClaim(**act)
        return JSONResponse(_shown(await answered(transcripts.claim_question(wish))))

    @app.delete(
        "/api/questions/{chat_id}/claim",
        status_code=204,
        responses={**claim_problems, **problems_of(_409="claim_changed, question_done")},
    )
    async def unclaim(
        request: Request,
        chat_id: str,
        of: Annotated[str | None, Query(max_length=200, description="only the claim of this agent")] = None,
    ) -> Response:
        """Release the agent's claim. A supervisor can release the claim of any agent in their departments."""
        agent, act = await act_of(request, chat_id)
        wish = transcripts_api.QuestionClaim(**act, any_agent=agent.supervisor, of=of)
        await answered(transcripts.unclaim_question(wish))
        return Response(status_code=204)


def _reader(agent: AgentView, request: Request, settings: Settings) -> transcripts_api.Reader:
    return transcripts_api.Reader(agent_id=agent.id, supervisor=agent.supervisor, source=address_of(request, settings))


def _number(text: str | None) -> str | None:
    """Return a number of a question as it is stored, from what was typed: in groups, in small letters.

    Raises:
        Problem: 422 `invalid`.
    """
    if text is None or not text.strip():
        return None
    number = "".join(re.findall(r"[^\s-]", text)).upper()
    if len(number) != NUMBER_LENGTH:
        raise Problem(422, "invalid", f"A number of a question has {NUMBER_LENGTH} characters.")
    return number


def _shown(question: transcripts_api.LeftQuestion) -> dict[str, Any]:
    claimed = question.claimed
    by = {**claimed.model_dump(mode="json"), "at": stamp(claimed.at)} if claimed else None
    undone = stamp(question.undone_at) if question.undone_at else None
    return {**question.model_dump(mode="json"), "at": stamp(question.at), "claimed": by, "undone_at": undone}


def _shown_done(question: transcripts_api.DoneQuestion) -> dict[str, Any]:
    return {**_shown(question), "done": {**question.done.model_dump(mode="json"), "at": stamp(question.done.at)}}
