"""Which refused requests are a matter of security, and their log lines (`services/gateway/refusal_log.py`)."""

from __future__ import annotations

from fastapi import FastAPI, Request

from services.common.events.types import is_id
from services.gateway.http.security.cookies import session_token
from services.gateway.refusal_log import FORBIDDEN, INVALID, LIMITED, REFUSALS

EVENTS = {403: FORBIDDEN, 428: FORBIDDEN, 429: LIMITED, 408: LIMITED, 413: LIMITED, 415: INVALID}
"""What a status is. 401 is one only where somebody has shown a token; other refusals are none, but for `invalid`."""


def install(app: FastAPI) -> None:
    """Note the requests of this application that are refused."""
    app.state.refused = note


def note(request: Request, status: int, code: str) -> None:
    """Note a request that was refused with this status and code, if that is a matter of security."""
    event = INVALID if code == "invalid" else EVENTS.get(status)
    if status == 401 and _shows_a_token(request):
        event = FORBIDDEN
    if event is None:
        return
    chat_id = request.path_params.get("chat_id", "")
    REFUSALS.note(
        event,
        method=request.method,
        route=getattr(request.scope.get("route"), "path", None),
        status=status,
        code=code,
        of_chat=chat_id if is_id(chat_id) else None,
    )


def _shows_a_token(request: Request) -> bool:
    if "authorization" in request.headers:
        return True
    return bool(session_token(request.cookies, request.headers.get("host", "")))
