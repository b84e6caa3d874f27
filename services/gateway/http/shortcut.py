"""Middleware that answers the two addresses of the button before the router, because every open page requests them.

Measured: 52 µs of the gateway for an answer (44 for a 304), against 107 by way of the router.
"""

from __future__ import annotations

from collections.abc import Awaitable
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from services.common.config.departments import Departments
from services.common.observability.http_metrics import name_route
from services.gateway.button_state import Button, Buttons


class Shortcut:
    """Answers requests for the button of a known department. Every other request goes on to `app`."""

    def __init__(self, app: ASGIApp, buttons: Buttons, departments: Departments) -> None:
        self._app, self._buttons, self._departments = app, buttons, departments

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable of the answer.

        This is not a coroutine itself: a stream that is open for hours then has one frame less.
        """
        if scope["type"] == "http" and scope["method"] == "GET":
            if scope["path"] == "/api/button" and (button := self._asked(scope)):
                name_route(scope, "/api/button")
                return _answer(button, scope, send)
            if scope["path"] == "/api/button/events" and (button := self._asked(scope)):
                name_route(scope, "/api/button/events")
                return button.listeners.listen(receive, send)
        return self._app(scope, receive, send)

    def _asked(self, scope: Scope) -> Button | None:
        wanted = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get("department")
        found = self._departments.get(wanted[-1] if wanted else None)
        return self._buttons.of[found.id] if found else None


async def _answer(button: Button, scope: Scope, send: Send) -> None:
    """Send the button's colour and reason; 304 when the ETag still matches."""
    shown = button.shown
    tags = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
    if tags and shown.etag in [tag.strip().removeprefix(b"W/") for tag in tags.split(b",")]:
        await send({"type": "http.response.start", "status": 304, "headers": shown.headers[:2]})
        await send({"type": "http.response.body"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": shown.headers})
        await send({"type": "http.response.body", "body": shown.body})
