"""Security headers of the gateway's answers, by route: pages, files that pages of other sites load, and data."""

from __future__ import annotations

from collections.abc import Sequence

from starlette.requests import Request
from starlette.types import Scope

from services.common.http.security_headers import DATA, Header, HeadersOf, raw
from services.common.observability.http_metrics import route_of
from services.gateway.http.dependencies import scheme_of
from services.gateway.settings import Settings

PAGE = {
    **DATA,
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "media-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "same-origin",
}
"""The headers of a page of ours."""
FILE = {**PAGE, "Cross-Origin-Resource-Policy": "cross-origin"}
"""The headers of a file that pages of other sites load: the widget's modules."""
ROUTES = {
    "/": PAGE,
    "/agent": PAGE,
    "/gesprek": PAGE,
    "/identify": PAGE,
    "/identify/done": PAGE,
    "/infofiche/{department}": PAGE,
    "/toegankelijkheid": PAGE,
    "/verify": PAGE,
    "/favicon.ico": PAGE,
    "/widget.js": FILE,
    "/static/{name:path}": FILE,
}
"""The routes whose answers are no data, by their templates."""
HSTS = {"Strict-Transport-Security": "max-age=31536000"}
"""A year (RFC 6797). The operator decides whether it covers sub-domains."""


def headers_of(settings: Settings) -> HeadersOf:
    """Return the function that returns the security headers of an answer, by the route of its request."""
    on_http = {route: raw(headers) for route, headers in ROUTES.items()}
    on_https = {route: raw(headers | HSTS) for route, headers in ROUTES.items()}
    data_on_http, data_on_https = raw(DATA), raw(DATA | HSTS)

    def of(scope: Scope) -> Sequence[Header]:
        route = route_of(scope) or ""
        if _is_https(scope, settings):
            return on_https.get(route, data_on_https)
        return on_http.get(route, data_on_http)

    return of


def _is_https(scope: Scope, settings: Settings) -> bool:
    """Return whether the browser sent the request over HTTPS."""
    if not any(name == b"x-forwarded-proto" for name, _ in scope["headers"]):
        return bool(scope["scheme"] == "https")
    return scheme_of(Request(scope), settings) == "https"
