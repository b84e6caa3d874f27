"""Routes that reserve an agent's slot while a form is open, for departments that ask name and question first."""

from __future__ import annotations

import math
from typing import Annotated

import structlog
from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from services.common.config.departments import LOCALES, Department, Departments
from services.common.http.problems import Problem
from services.common.http.tokens import Keys
from services.common.internal_api import presence as presence_api
from services.common.observability.tracing import begin_trace
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.http.citizen.start_chat import Starting
from services.gateway.http.citizen.start_request import Source, require_key
from services.gateway.http.dependencies import (
    BODY,
    body_of,
    department_of,
    problems_of,
    read_json,
    require_origin,
    require_rate,
    unavailable,
)
from services.gateway.rate_limits import RENEWALS_PER_RESERVATION, RESERVATIONS_PER_ADDRESS, Buckets
from services.gateway.settings import Settings

log = structlog.get_logger()
Token = Annotated[str, Field(max_length=1_000)]


class Reserve(BaseModel):
    """What a page sends when a form opens. All members are optional."""

    model_config = ConfigDict(extra="ignore", strict=True)
    department: str | None = None
    locale: str | None = None
    browser: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{22,64}$")] | None = None


class Renew(BaseModel):
    """What a page sends while the citizen types. `reservation`: the token of the reservation."""

    model_config = ConfigDict(extra="ignore", strict=True)
    reservation: Token
    browser: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{22,64}$")] | None = None


class Release(BaseModel):
    """What a page sends when the form is closed."""

    model_config = ConfigDict(extra="ignore", strict=True)
    reservation: Token


def install(
    app: FastAPI,
    starting: Starting,
    presence: PresenceClient,
    departments: Departments,
    keys: Keys,
    settings: Settings,
) -> None:
    """Add `POST /api/reservations`, and the routes below it that renew and release a reservation."""
    opened, renewed = Buckets(RESERVATIONS_PER_ADDRESS), Buckets(RENEWALS_PER_RESERVATION)

    def known(token: str) -> tuple[str, Department]:
        chat_id, department = keys.reservation_of(token) or ("", "")
        found = departments.get(department) if chat_id else None
        if found is None:
            raise Problem(409, "reservation_lapsed", "This is no reservation (any more). Ask for a new one.")
        return chat_id, found

    def answer(chat_id: str, department: Department, seconds: float, status: int) -> Response:
        token = keys.reservation_token(chat_id, department.id)
        body = {"reservation": token, "expires_in": math.floor(seconds)}
        return JSONResponse(body, status)

    @app.post(
        "/api/reservations",
        status_code=201,
        openapi_extra=body_of(Reserve),
        responses=problems_of(
            _403="origin_not_allowed, blocked",
            _404="unknown_department",
            _409="button_blue, not_a_form",
            **BODY,
            _422="invalid",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def reserve(request: Request, idempotency_key: Annotated[str | None, Header()] = None) -> Response:
        """Reserve an agent's slot while a form is open. A repeat with the same `Idempotency-Key` is the same one."""
        begin_trace(request.headers.get("traceparent"), public=True)
        require_origin(request, departments.origins(), settings)
        wanted = await read_json(request, Reserve)
        require_key(idempotency_key)
        department = department_of(departments, wanted.department)
        require_origin(request, departments.origins_of(department), settings)
        if department.start != "form":
            raise Problem(409, "not_a_form", "A press starts the chat of this department at once: there is no form.")
        source = Source.of(request, settings)
        require_rate(opened, source.address, settings)
        chat_id = starting.reservation_id(idempotency_key, source)
        locale = wanted.locale if wanted.locale in LOCALES else "nl"
        seconds = await starting.reserve(department, chat_id, locale, source, wanted.browser, renew=False)
        return answer(chat_id, department, seconds, 201)

    @app.post(
        "/api/reservations/renew",
        openapi_extra=body_of(Renew),
        responses=problems_of(
            _403="origin_not_allowed, blocked",
            _409="reservation_lapsed",
            _422="invalid",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def renew(request: Request) -> Response:
        """Renew a reservation while the citizen types, for ten minutes in all."""
        begin_trace(request.headers.get("traceparent"), public=True)
        require_origin(request, departments.origins(), settings)
        wanted = await read_json(request, Renew)
        chat_id, department = known(wanted.reservation)
        require_origin(request, departments.origins_of(department), settings)
        require_rate(renewed, chat_id, settings)
        source = Source.of(request, settings)
        seconds = await starting.reserve(department, chat_id, "nl", source, wanted.browser, renew=True)
        return answer(chat_id, department, seconds, 200)

    @app.post(
        "/api/reservations/release",
        status_code=204,
        openapi_extra=body_of(Release),
        responses=problems_of(_403="origin_not_allowed", _422="invalid", _429="rate_limited", _503="unavailable"),
    )
    async def release(request: Request) -> Response:
        """Release a reservation because the form was closed. A repeat, or one that has lapsed, returns 204 too."""
        begin_trace(request.headers.get("traceparent"), public=True)
        require_origin(request, departments.origins(), settings)
        wanted = await read_json(request, Release)
        if (found := keys.reservation_of(wanted.reservation)) is None:
            return Response(status_code=204)
        require_rate(renewed, found[0], settings)
        try:
            await presence.release(presence_api.ReleaseQuery(chat_id=found[0]))
        except (Unavailable, Declined) as error:
            raise unavailable() from error
        return Response(status_code=204)
