"""Routes of what a citizen does after a chat: rate it, get a code, and download with the code on another device."""

from __future__ import annotations

from typing import Annotated, Literal
from urllib.parse import parse_qs

import structlog
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from services.common.config.departments import LOCALES, Departments
from services.common.events.types import Party
from services.common.http.problems import Problem
from services.common.http.tokens import Actor, Keys
from services.common.internal_api import transcripts as transcripts_api
from services.common.observability.tracing import begin_trace
from services.common.texts import preferred_language
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.dependencies import (
    address_of,
    answered,
    body_of,
    problems_of,
    read_bounded,
    read_json,
    require_citizen_of,
    require_origin,
    require_rate,
)
from services.gateway.http.files import pass_download
from services.gateway.http.pages.download_page import page as download_page
from services.gateway.rate_limits import CODE_USES_PER_ADDRESS, CODES_PER_CHAT, RATINGS_PER_CHAT, Buckets
from services.gateway.settings import Settings
from services.gateway.websocket.frames.server import stamp

log = structlog.get_logger()
PAGE = "/gesprek"
MOST_FORM = 4 * 1024  # bytes of the form that the page sends


class GiveRating(BaseModel):
    """A rating: at least one of the two answers."""

    model_config = ConfigDict(extra="ignore", strict=True)
    helped: Literal["yes", "partly", "no"] | None = None
    score: Annotated[int, Field(ge=1, le=5)] | None = None

    @model_validator(mode="after")
    def _an_answer(self) -> GiveRating:
        if self.helped is None and self.score is None:
            raise ValueError("give `helped`, `score`, or both")
        return self


def install(
    app: FastAPI, transcripts: TranscriptsClient, keys: Keys, departments: Departments, settings: Settings
) -> None:
    """Add `POST /api/chats/{chat_id}/rating` and `…/download-code`, and the page `/gesprek`."""
    ratings, codes, uses = Buckets(RATINGS_PER_CHAT), Buckets(CODES_PER_CHAT), Buckets(CODE_USES_PER_ADDRESS)

    def citizen(request: Request, chat_id: str, buckets: Buckets) -> Actor:
        begin_trace(request.headers.get("traceparent"), public=True, chat_id=chat_id)
        require_citizen_of(request, chat_id, keys, departments, settings)
        require_rate(buckets, chat_id, settings)
        return Actor(party=Party.CITIZEN.value, id=chat_id)

    problems = {"_401": "unauthenticated", "_403": "forbidden", "_404": "no_such_chat"}
    later = {"_429": "rate_limited", "_503": "unavailable"}

    @app.post(
        "/api/chats/{chat_id}/rating",
        status_code=204,
        openapi_extra=body_of(GiveRating),
        responses=problems_of(**problems, _422="invalid", **later),
    )
    async def rate(request: Request, chat_id: str) -> Response:
        """Rate a chat: whether it helped, and a score from 1 to 5. A later rating replaces the one before."""
        actor = citizen(request, chat_id, ratings)
        given = await read_json(request, GiveRating)
        rating = transcripts_api.Rating(chat_id=chat_id, helped=given.helped, score=given.score)
        await answered(transcripts.rate(rating, actor))
        return Response(status_code=204)

    @app.post("/api/chats/{chat_id}/download-code", status_code=201, responses=problems_of(**problems, **later))
    async def create_code(request: Request, chat_id: str) -> Response:
        """Create a code with which the conversation can be downloaded on another device. It replaces the one before."""
        actor = citizen(request, chat_id, codes)
        made = await answered(transcripts.create_code(transcripts_api.CodeWanted(chat_id=chat_id), actor))
        answer = {"code": made.code, "expires_at": stamp(made.expires_at), "url": PAGE}
        return JSONResponse(answer, 201)

    @app.get(PAGE, include_in_schema=False)
    async def form(request: Request, lang: Annotated[str | None, Query()] = None) -> Response:
        return _page(_language(request, lang))

    @app.post(PAGE, include_in_schema=False)
    async def download(request: Request, lang: Annotated[str | None, Query()] = None) -> Response:
        begin_trace(request.headers.get("traceparent"), public=True)
        locale = _language(request, lang)
        typed = chosen = ""
        try:
            require_origin(request, departments.origins(), settings)
            sent = await _read_form(request)
            typed, chosen = sent.get("code", "")[:40], sent.get("format", "pdf")
            if not typed.strip() or chosen not in download_page.FORMATS:
                raise Problem(422, "invalid", "Give a code and a file type.")
            require_rate(uses, address_of(request, settings), settings)
            found = await transcripts.use_code(transcripts_api.CodeGiven(code=typed))
            reader = Actor(party=Party.CITIZEN.value, id=found.chat_id, by_code=True)
            return await pass_download(transcripts, f"/chats/{found.chat_id}/transcript?format={chosen}", reader)
        except Unavailable:
            return _page(locale, "unavailable", typed, chosen, status=503)
        except Declined as declined:
            code = "unknown_code" if declined.status == 404 else declined.code
            return _page(locale, code, typed, chosen, status=declined.status)
        except Problem as problem:
            wait = int((problem.headers or {}).get("Retry-After", "0"))
            return _page(locale, problem.code, typed, chosen, wait, problem.status)


async def _read_form(request: Request) -> dict[str, str]:
    """Return the fields of the form (`application/x-www-form-urlencoded`, WHATWG URL standard section 5).

    Raises:
        Problem: 408 `timeout`, 413 `too_large`, 422 `invalid`.
    """
    body = await read_bounded(request, MOST_FORM)
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=10, errors="strict")
    except ValueError:
        raise Problem(422, "invalid", "The form cannot be read.") from None
    return {name: values[-1] for name, values in fields.items()}


def _language(request: Request, lang: str | None) -> str:
    return lang if lang in LOCALES else preferred_language(request.headers.get("accept-language", ""))


def _page(
    locale: str, problem: str = "", typed: str = "", chosen: str = "pdf", seconds: int = 0, status: int = 200
) -> Response:
    content = download_page.render(locale, problem, typed, chosen, seconds)
    headers = {"Content-Language": locale, "Vary": "Accept-Language"}
    return Response(content, status, headers, "text/html; charset=utf-8")
