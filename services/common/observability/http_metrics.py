"""Metrics of HTTP requests: how many, and how long until the first byte of the answer.

Labels follow OpenTelemetry's convention for HTTP metrics (`http.route`, `http.request.method`,
`http.response.status_code`). Each has few values: the route is its template, never the path of a request.
"""

from __future__ import annotations

from collections.abc import Awaitable
from time import perf_counter

from prometheus_client import Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
PROBES = frozenset({"/healthz", "/readyz", "/metrics"})
NO_ROUTE, OTHER_METHOD = "none", "other"
SECONDS = Histogram(
    "eloket_http_request_seconds",
    "Seconds from the head of a request to the first byte of its answer; streams and downloads count when they begin",
    ["route", "method", "status"],
    buckets=(0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 10),
)
_ROUTE = "eloket.route"


def name_route(scope: Scope, template: str) -> None:
    """Set the route of a request that a middleware answers before the router sees it."""
    scope[_ROUTE] = template


def route_of(scope: Scope) -> str | None:
    """The template of the route that answers, for example `/api/chats/{chat_id}`; None while no route matches."""
    template: str | None = scope.get(_ROUTE) or getattr(scope.get("route"), "path", None)
    return template


def method_of(scope: Scope) -> str:
    """The request's method, or `other` for one that no route has."""
    method: str = scope["method"]
    return method if method in METHODS else OTHER_METHOD


class RequestMetrics:
    """Middleware: counts each HTTP request and its seconds when the head of the answer is sent.

    A time to the end of the answer would say how long a page listens or how slowly a client reads, and would come
    minutes late. The time to the first byte includes what a client takes to send a body that the route reads first.

    Probes, scrapes and websockets are not counted. Neither is a request that ends without an answer.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._series: dict[tuple[str, str, int], Histogram] = {}  # `labels` would add half as much again

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable of the answer.

        Neither this nor `answer` is a coroutine: a stream that is open for hours has no further frame, and each of its
        parts passes without a further await.
        """
        if scope["type"] != "http" or scope["path"] in PROBES:
            return self._app(scope, receive, send)
        began = perf_counter()

        def answer(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                self._observe(scope, message["status"], perf_counter() - began)
            return send(message)

        return self._app(scope, receive, answer)

    def _observe(self, scope: Scope, status: int, seconds: float) -> None:
        key = (route_of(scope) or NO_ROUTE, method_of(scope), status)
        series = self._series.get(key)
        if series is None:
            series = self._series[key] = SECONDS.labels(*key)
        series.observe(seconds)
