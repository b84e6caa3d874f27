"""Security headers for every answer that has none of its own: JSON, problem documents, files."""

from __future__ import annotations

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common.http.problems import DATA_HEADERS
from services.gateway.http.dependencies import scheme_of
from services.gateway.settings import Settings

_EMBEDDED = ("/widget.js", "/static/")  # loaded by pages of other origins
HSTS = "max-age=31536000"  # a year (RFC 6797); the operator decides whether it covers sub-domains


class SecurityHeaders:
    """ASGI middleware: `nosniff`, a policy that allows nothing, CORP, and on https HSTS."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app, self._settings = app, settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and add the missing headers to its answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in DATA_HEADERS.items():
                    headers.setdefault(name, value)
                embedded = scope["path"].startswith(_EMBEDDED)
                headers.setdefault("Cross-Origin-Resource-Policy", "cross-origin" if embedded else "same-origin")
                if scheme_of(Request(scope), self._settings) == "https":
                    headers.setdefault("Strict-Transport-Security", HSTS)
            await send(message)

        await self._app(scope, receive, sending)
