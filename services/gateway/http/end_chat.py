"""Route that ends a chat over HTTP, for citizens whose network lets no websocket through."""

from __future__ import annotations

import time

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import Response

from services.common.config.departments import Departments
from services.common.events.chats import CloseRequested
from services.common.events.types import CloseReason
from services.common.http.tokens import Keys
from services.common.messaging.connection import Publisher, Unconfirmed
from services.common.observability.tracing import begin_trace
from services.gateway.http.dependencies import limited, problems_of, require_chat_token, require_origin, unavailable
from services.gateway.http.rate_limits import ENDINGS_PER_CHAT, Buckets
from services.gateway.settings import Settings

log = structlog.get_logger()


def install(app: FastAPI, publisher: Publisher, departments: Departments, keys: Keys, settings: Settings) -> None:
    """Add `DELETE /api/chats/{chat_id}`."""
    buckets, origins = Buckets(ENDINGS_PER_CHAT), departments.origins()

    @app.delete(
        "/api/chats/{chat_id}",
        status_code=204,
        responses=problems_of(_401="unauthenticated", _403="forbidden", _429="rate_limited", _503="unavailable"),
    )
    async def end(request: Request, chat_id: str) -> Response:
        """End the chat for its citizen, as the frame `close` does.

        A repeat, or a chat that has ended, returns 204 too.
        """
        begin_trace(request.headers.get("traceparent"), public=True, chat_id=chat_id)
        require_origin(request, origins, settings)
        require_chat_token(request, keys, chat_id)
        if settings.rate_limits == "on":
            limited(buckets.retry_after(chat_id, time.monotonic()))
        try:
            await publisher.publish(CloseRequested(chat_id=chat_id, by=CloseReason.CITIZEN))
        except Unconfirmed as error:
            raise unavailable() from error
        log.info("chat_end_requested", chat_id=chat_id)
        return Response(status_code=204)
