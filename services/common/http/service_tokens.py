"""Requests between services: each has a service token, and a service answers no request without one."""

from __future__ import annotations

from collections.abc import Awaitable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from services.common.http.problems import Problem, document
from services.common.http.tokens import Actor, Keys
from services.common.observability.http_metrics import PROBES

_CALLER = "eloket.caller"  # key of the scope: the participant for whom the request is sent


def caller_of(scope: Scope, keys: Keys) -> Actor | None:
    """Return the participant for whom another service sends this request; None: for itself.

    Raises:
        Problem: 401 `unauthenticated` without a valid service token.
    """
    if _CALLER not in scope:
        scheme, _, token = Headers(scope=scope).get("authorization", "").partition(" ")
        known = keys.service_of(token) if scheme.lower() == "bearer" else None
        if known is None:
            raise Problem(401, "unauthenticated", "This address is for the other services only.")
        scope[_CALLER] = known[1]
    found: Actor | None = scope[_CALLER]
    return found


class ServiceTokenRequired:
    """ASGI middleware of a service that only other services ask: 401 `unauthenticated` before a body is read.

    Probes and scrapes have no token. What a route may do for the participant of the token is for the route to say.
    """

    def __init__(self, app: ASGIApp, keys: Keys) -> None:
        self._app, self._keys = app, keys

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable of the answer."""
        if scope["type"] == "http" and scope["path"] not in PROBES:
            try:
                caller_of(scope, self._keys)
            except Problem as problem:
                return document(problem.status, problem.code, problem.detail)(scope, receive, send)
        return self._app(scope, receive, send)
