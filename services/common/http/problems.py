"""HTTP errors as problem documents (RFC 9457) with one extra member, `code`: a stable word that clients branch on."""

from __future__ import annotations

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """An expected refusal, raised in a route. `detail` says what happened and what to do next."""

    def __init__(
        self, status: int, code: str, detail: str, headers: dict[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.headers, self.extra = status, code, detail, headers, extra


def document(status: int, code: str, detail: str, headers: dict[str, str] | None = None, **extra: Any) -> Response:
    """Return the response with this problem document. `extra` has additional members."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **extra,
    }
    return Response(_json(body), status, headers, MEDIA_TYPE)


def _json(body: dict[str, Any]) -> bytes:
    try:
        return orjson.dumps(body)
    except TypeError:  # a lone surrogate of the request
        return json.dumps(body, default=str).encode()


_CODES = {
    400: "invalid",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "too_large",
}


Noted = Callable[[Request, int, str], None]
"""Takes a request that was refused, with the status and the code."""


def install(app: FastAPI) -> None:
    """Turn every error of this application into a problem document. `app.state.refused` (`Noted`) gets the refusals."""

    def note(request: Request, status: int, code: str) -> None:
        refused: Noted | None = getattr(app.state, "refused", None)
        if refused is not None:
            refused(request, status, code)

    @app.exception_handler(ClientDisconnect)
    async def disconnected(_: Request, __: ClientDisconnect) -> Response:
        """Answer a client that disconnected while its body was read.

        It gets no answer, and this is no error of the service.
        """
        return document(400, "invalid", "The request was broken off.")

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> Response:
        note(request, error.status, error.code)
        return document(error.status, error.code, error.detail, error.headers, **error.extra)

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> Response:
        note(request, 422, "invalid")
        where = [{"at": ".".join(str(p) for p in e["loc"]), "problem": e["msg"]} for e in error.errors()]
        return document(422, "invalid", "The request is not as documented; mend what `errors` names.", errors=where)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        headers, code = dict(error.headers or {}), _CODES.get(error.status_code, "error")
        note(request, error.status_code, code)
        return document(error.status_code, code, str(error.detail), headers)

    @app.exception_handler(Exception)
    async def unexpected(_: Request, __: Exception) -> Response:
        return document(500, "unexpected", "Something went wrong on our side. Please try again.")
