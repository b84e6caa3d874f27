"""Routes of questions that citizens leave without a chat, while the button is blue, and of the files of these."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any
from uuid import UUID, uuid4

import structlog
from fastapi import FastAPI, Header, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.common.clock import utcnow
from services.common.config.departments import LOCALES, Department, Departments
from services.common.events.types import is_id
from services.common.http.problems import Problem
from services.common.http.tokens import Actor, Keys
from services.common.internal_api import transcripts as transcripts_api
from services.common.observability.tracing import begin_trace
from services.common.visible_text import label
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.citizen.start_request import FormMembers, Line, Source, form_of, require_key
from services.gateway.http.console.left_questions import LeaveQuestion, answer_day, masked
from services.gateway.http.dependencies import (
    BODY,
    address_of,
    agent_actor,
    agent_session,
    answered,
    body_of,
    department_of,
    number_refused,
    problems_of,
    read_json,
    require_origin,
    require_question_token,
    require_rate,
)
from services.gateway.http.files import pass_download, receive
from services.gateway.identifying_numbers import NumberRefused, NumberRules
from services.gateway.rate_limits import (
    BARE_QUESTIONS_PER_ADDRESS,
    DOWNLOADS_PER_CHAT,
    PREVIEWS_PER_CHAT,
    QUESTIONS_PER_ADDRESS,
    UPLOADS_PER_CHAT,
    Buckets,
)
from services.gateway.settings import Settings

log = structlog.get_logger()
ASKER = "asker"
SHORTEST_NUMBER = 6  # digits
_ADDRESS = re.compile(r"[^\s@]+@[^\s@.]+(\.[^\s@.]+)+")
_NUMBER = re.compile(r"\+?[\d\s()./-]+")


def _reachable(contact: str) -> str:
    digits = sum(character.isdecimal() for character in contact)
    if _ADDRESS.fullmatch(contact) or (_NUMBER.fullmatch(contact) and digits >= SHORTEST_NUMBER):
        return contact
    raise ValueError("must be an e-mail address or a telephone number")


class AskQuestion(LeaveQuestion):
    """A question without a chat, and how to reach the citizen: an e-mail address or a telephone number."""

    model_config = ConfigDict(extra="ignore", strict=True)
    contact: Annotated[str, Field(max_length=200), AfterValidator(label), AfterValidator(_reachable)]
    department: str | None = None
    locale: str | None = None
    name: Line | None = None
    form: FormMembers | None = None


class QuestionAnswer(BaseModel):
    """The receipt of a question.

    Attributes:
        question_id: Its id.
        number: Its number, which the citizen keeps: eight characters.
        token: Bearer token with which files are added to it, for one hour.
        answer_within: Working days within which it is answered.
        answer_by: The last of these days; null when presence does not answer.
    """

    question_id: str
    number: str | None
    token: str
    answer_within: int | None = Field(ge=1)
    answer_by: date | None = None


class Asking:
    """Stores questions at transcripts. The same request with the same `Idempotency-Key` is one question."""

    def __init__(
        self,
        transcripts: TranscriptsClient,
        presence: PresenceClient,
        departments: Departments,
        keys: Keys,
        numbers: NumberRules,
    ) -> None:
        self._transcripts, self._presence, self._departments = transcripts, presence, departments
        self._keys, self._numbers = keys, numbers

    async def ask(self, wanted: AskQuestion, key: str | None, source: Source) -> QuestionAnswer:
        """Store this question and return its receipt.

        Args:
            wanted: The body of the request.
            key: The `Idempotency-Key`, if any.
            source: Where the request comes from.

        Raises:
            Problem: 404 `unknown_department`, 409 `not_offered`, 422 `invalid` for a key that came with another
                question, 422 `identifying_number`, 503 `unavailable`.
        """
        department = department_of(self._departments, wanted.department)
        if not department.questions:
            detail = "This department takes no questions here. The info sheet tells other ways to reach us."
            raise Problem(409, "not_offered", detail, infofiche_url=f"/infofiche/{department.id}")
        day = await answer_day(self._presence, department)
        question = self._question(department, wanted, key, source, day)
        receipt = await answered(self._transcripts.ask_question(question))
        log.info("question_asked", department=department.id)
        return QuestionAnswer(
            question_id=question.chat_id,
            number=receipt.number,
            token=self._keys.question_token(question.chat_id, receipt.at),
            answer_within=department.answer_within,
            answer_by=receipt.answer_by or day,
        )

    def _question(
        self, department: Department, wanted: AskQuestion, key: str | None, source: Source, day: date | None
    ) -> transcripts_api.AskedQuestion:
        who = f"{source.address}\n{key}"
        by_key = UUID(bytes=self._keys.digest("question", who)[:16], version=4)
        request = self._keys.digest("question request", f"{who}\n{source.origin}\n{wanted.model_dump_json()}")
        given = masked(wanted, department.id, self._numbers)
        return transcripts_api.AskedQuestion(
            chat_id=str(uuid4() if key is None else by_key),
            department=department.id,
            locale=wanted.locale if wanted.locale in LOCALES else "nl",
            name=self._name(wanted, department),
            contact=given.contact,
            text=given.text,
            at=utcnow(),
            source="button",
            form=form_of(wanted.form, self._numbers, department),
            request=request.hex()[:32],
            answer_by=day,
        )

    def _name(self, wanted: AskQuestion, department: Department) -> str | None:
        try:
            return self._numbers.apply((wanted.name or "").strip(), department.id) or None
        except NumberRefused as error:
            raise number_refused(error) from error


def install(
    app: FastAPI,
    presence: PresenceClient,
    transcripts: TranscriptsClient,
    keys: Keys,
    departments: Departments,
    numbers: NumberRules,
    settings: Settings,
) -> None:
    """Add `POST /api/questions` and `/api/questions/{question_id}/attachments…`."""
    asking = Asking(transcripts, presence, departments, keys, numbers)
    questions, bare = Buckets(QUESTIONS_PER_ADDRESS), Buckets(BARE_QUESTIONS_PER_ADDRESS)
    uploads, downloads = Buckets(UPLOADS_PER_CHAT), Buckets(DOWNLOADS_PER_CHAT)
    previews = Buckets(PREVIEWS_PER_CHAT)

    @app.post(
        "/api/questions",
        status_code=201,
        response_model=QuestionAnswer,
        openapi_extra=body_of(AskQuestion),
        responses=problems_of(
            _403="origin_not_allowed",
            _404="unknown_department",
            _409="not_offered",
            **BODY,
            _422="invalid, identifying_number",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def ask(request: Request, idempotency_key: Annotated[str | None, Header()] = None) -> Response:
        """Leave a question without a chat. A repeat with the same `Idempotency-Key` is the same question."""
        begin_trace(request.headers.get("traceparent"), public=True)
        require_origin(request, departments.origins(), settings)
        wanted = await read_json(request, AskQuestion)
        require_origin(request, departments.origins_of(departments.get(wanted.department)), settings)
        require_key(idempotency_key)
        source = Source.of(request, settings)
        require_rate(questions if source.origin else bare, source.address, settings)
        receipt = await asking.ask(wanted, idempotency_key, source)
        return JSONResponse(receipt.model_dump(mode="json"), 201)

    @app.post(
        "/api/questions/{question_id}/attachments",
        status_code=201,
        responses=_problems(_404="no_such_question", _409="question_closed", _413="too_large", _415="type_not_allowed"),
    )
    async def add(request: Request, question_id: str) -> Response:
        """Add one file (multipart, field `file`) to a question that was left within the last hour."""
        begin_trace(request.headers.get("traceparent"), public=True)
        require_origin(request, departments.origins(), settings)
        require_question_token(request, keys, question_id)
        require_rate(uploads, question_id, settings)
        actor = Actor(party=ASKER, id=question_id)
        return await receive(request, transcripts, f"/questions/{question_id}/attachments", actor, numbers, settings)

    @app.get(
        "/api/questions/{question_id}/attachments/{attachment_id}",
        responses=_problems(_404="no_such_question, unknown_attachment"),
    )
    async def download(request: Request, question_id: str, attachment_id: str) -> Response:
        """Return the bytes of a file of a question, for the agent who deals or dealt with it and for supervisors."""
        actor = await reader_of(request, question_id, attachment_id)
        require_rate(downloads, question_id, settings)
        return await pass_download(transcripts, f"/questions/{question_id}/attachments/{attachment_id}", actor)

    @app.get(
        "/api/questions/{question_id}/attachments/{attachment_id}/preview",
        responses=_problems(_404="no_such_question, unknown_attachment"),
    )
    async def preview(
        request: Request, question_id: str, attachment_id: str, size: Annotated[str, Query()] = "small"
    ) -> Response:
        """Return a picture (PNG) of a file of a question, for who may read the file. `size` is small or large.

        204: the file has none.
        """
        actor = await reader_of(request, question_id, attachment_id)
        require_rate(previews, question_id, settings)
        large = "large" if size == "large" else "small"
        path = f"/questions/{question_id}/attachments/{attachment_id}/preview?size={large}"
        return await pass_download(transcripts, path, actor)

    async def reader_of(request: Request, question_id: str, attachment_id: str) -> Actor:
        begin_trace(request.headers.get("traceparent"), public=True)
        actor = agent_actor((await agent_session(request, presence)).agent, address_of(request, settings))
        if not is_id(question_id) or not is_id(attachment_id):
            raise Problem(404, "unknown_attachment", "There is no such file.")
        return actor


def _problems(**codes: str) -> dict[int | str, dict[str, Any]]:
    usual = {"_401": "unauthenticated", "_403": "forbidden", "_429": "rate_limited", "_503": "unavailable"}
    return problems_of(**usual, **codes)
