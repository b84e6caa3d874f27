"""The two addresses of the button, answered before the router, because every open page asks for them.

Measured: 52 µs of the gateway for an answer (44 for a 304), against 107 by way of the router.
"""

from __future__ import annotations

from collections.abc import Awaitable
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

from services.common.config.departments import Departments
from services.gateway.button_state import Button, Buttons


class Shortcut:
    """Answers for the button of a department that there is; everything else goes on to `app`."""

    def __init__(self, app: ASGIApp, buttons: Buttons, departments: Departments) -> None:
        self._app, self._buttons, self._departments = app, buttons, departments

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Not a coroutine itself: what is open for hours has one frame less."""
        if scope["type"] == "http" and scope["method"] == "GET":
            if scope["path"] == "/api/button" and (button := self._asked(scope)):
                return _answer(button, scope, send)
            if scope["path"] == "/api/button/events" and (button := self._asked(scope)):
                return button.listeners.listen(receive, send)
        return self._app(scope, receive, send)

    def _asked(self, scope: Scope) -> Button | None:
        wanted = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get("department")
        found = self._departments.get(wanted[-1] if wanted else None)
        return self._buttons.of[found.id] if found else None


async def _answer(button: Button, scope: Scope, send: Send) -> None:
    """The button's colour and reason; 304 when the ETag is still right."""
    shown = button.shown
    tags = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
    if tags and shown.etag in [tag.strip().removeprefix(b"W/") for tag in tags.split(b",")]:
        await send({"type": "http.response.start", "status": 304, "headers": shown.headers[:2]})
        await send({"type": "http.response.body"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": shown.headers})
        await send({"type": "http.response.body", "body": shown.body})
