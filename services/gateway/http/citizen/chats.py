"""Routes that start a chat, and that end one for citizens whose network lets no websocket through."""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response

from services.common.config.departments import Departments
from services.common.events.chats import CloseRequested
from services.common.events.types import CloseReason
from services.common.http.tokens import Keys
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.common.observability.tracing import begin_trace
from services.gateway.http.citizen.start_chat import Starting
from services.gateway.http.citizen.start_request import Source, StartChat, require_key
from services.gateway.http.dependencies import (
    BODY,
    body_of,
    problems_of,
    read_json,
    require_citizen_of,
    require_origin,
    require_rate,
    unavailable,
)
from services.gateway.rate_limits import BARE_CHATS_PER_ADDRESS, CHATS_PER_ADDRESS, ENDINGS_PER_CHAT, Buckets
from services.gateway.settings import Settings

log = structlog.get_logger()


def install(
    app: FastAPI,
    starting: Starting,
    publisher: Publisher,
    departments: Departments,
    keys: Keys,
    settings: Settings,
) -> None:
    """Add `POST /api/chats`, `DELETE /api/chats/{chat_id}` and `DELETE /api/chats/{chat_id}/token`."""
    presses, bare, endings = Buckets(CHATS_PER_ADDRESS), Buckets(BARE_CHATS_PER_ADDRESS), Buckets(ENDINGS_PER_CHAT)

    @app.post(
        "/api/chats",
        status_code=201,
        openapi_extra=body_of(StartChat),
        responses=problems_of(
            _403="origin_not_allowed, blocked",
            _404="unknown_department",
            _409="button_blue, queue_full",
            **BODY,
            _422="invalid, identifying_number",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def start(request: Request, idempotency_key: Annotated[str | None, Header()] = None) -> Response:
        """Start a chat. A repeat with the same `Idempotency-Key` within ten minutes returns the same chat."""
        begin_trace(request.headers.get("traceparent"), public=True)
        require_origin(request, departments.origins(), settings)
        wanted = await read_json(request, StartChat)
        require_origin(request, departments.origins_of(departments.get(wanted.department)), settings)
        require_key(idempotency_key)
        source = Source.of(request, settings)
        require_rate(presses if source.origin else bare, source.address, settings)
        started = await starting.start(wanted, idempotency_key, source)
        return JSONResponse(started.body(), 201)

    @app.delete(
        "/api/chats/{chat_id}",
        status_code=204,
        responses=problems_of(_401="unauthenticated", _403="forbidden", _429="rate_limited", _503="unavailable"),
    )
    async def end(request: Request, chat_id: str) -> Response:
        """End the chat for its citizen, as the frame `close` does.

        A repeat, or a chat that has ended, returns 204 too.
        """
        await request_end(request, chat_id, revoke=False)
        log.info("chat_end_requested", chat_id=chat_id)
        return Response(status_code=204)

    @app.delete(
        "/api/chats/{chat_id}/token",
        status_code=204,
        responses=problems_of(_401="unauthenticated", _403="forbidden", _429="rate_limited", _503="unavailable"),
    )
    async def give_up(request: Request, chat_id: str) -> Response:
        """Give up the token with which this is sent: it opens nothing any more, and the chat ends.

        A download code that was made before stays valid. A repeat returns 204 too.
        """
        await request_end(request, chat_id, revoke=True)
        log.info("chat_token_given_up", chat_id=chat_id)
        return Response(status_code=204)

    async def request_end(request: Request, chat_id: str, revoke: bool) -> None:
        begin_trace(request.headers.get("traceparent"), public=True, chat_id=chat_id)
        require_citizen_of(request, chat_id, keys, departments, settings)
        require_rate(endings, chat_id, settings)
        try:
            await publisher.publish(CloseRequested(chat_id=chat_id, by=CloseReason.CITIZEN, revoke=revoke))
        except Unconfirmed as error:
            raise unavailable() from error
