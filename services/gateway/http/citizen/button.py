"""The button: `GET /api/button` and its event stream.

Every open page requests these two addresses. A middleware therefore sends the same answers as the routes, before the
router. Measured: 52 µs of the gateway for an answer (44 for a 304), against 107 by way of the router.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Annotated
from urllib.parse import parse_qs

from fastapi import FastAPI, Query
from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.common.config.departments import Departments
from services.common.observability.http_metrics import name_route
from services.gateway.button_state import Button, Buttons
from services.gateway.http.dependencies import department_of, problems_of

STATE, EVENTS = "/api/button", "/api/button/events"


async def send_state(button: Button, scope: Scope, receive: Receive, send: Send) -> None:
    """Send the button's colour and reason; 304 when the ETag still matches."""
    shown = button.shown
    tags = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
    if tags and shown.etag in [tag.strip().removeprefix(b"W/") for tag in tags.split(b",")]:
        await send({"type": "http.response.start", "status": 304, "headers": shown.headers[:2]})
        await send({"type": "http.response.body"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": shown.headers})
        await send({"type": "http.response.body", "body": shown.body})


def send_events(button: Button, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
    """Send the button's events until the page disconnects.

    This is not a coroutine itself: a stream that is open for hours then has one frame less.
    """
    return button.listeners.listen(receive, send)


ANSWERS = {STATE: send_state, EVENTS: send_events}


class ButtonResponse(Response):
    """The answer of one of the two addresses."""

    def __init__(self, path: str, button: Button) -> None:
        super().__init__()
        self._path, self._button = path, button

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        await ANSWERS[self._path](self._button, scope, receive, send)


class BeforeRouter:
    """Middleware that answers requests for the button of a known department. Every other request goes on to `app`."""

    def __init__(self, app: ASGIApp, buttons: Buttons, departments: Departments) -> None:
        self._app, self._buttons, self._departments = app, buttons, departments

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable of the answer. This is not a coroutine itself, for the same reason as `send_events`."""
        if scope["type"] == "http" and scope["method"] == "GET":
            answer = ANSWERS.get(scope["path"])
            if answer and (button := self._button_of(scope)):
                name_route(scope, scope["path"])
                return answer(button, scope, receive, send)
        return self._app(scope, receive, send)

    def _button_of(self, scope: Scope) -> Button | None:
        wanted = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get("department")
        found = self._departments.get(wanted[-1] if wanted else None)
        return self._buttons.of[found.id] if found else None


def install(app: FastAPI, buttons: Buttons, departments: Departments) -> None:
    """Add `GET /api/button` and its event stream, and the middleware that answers them before the router."""
    app.add_middleware(BeforeRouter, buttons=buttons, departments=departments)
    add_routes(app, buttons, departments)


def add_routes(app: FastAPI, buttons: Buttons, departments: Departments) -> None:
    """Add the two routes. They are complete without the middleware."""
    unknown = problems_of(_404="unknown_department")

    def button_of(department: str | None) -> Button:
        return buttons.of[department_of(departments, department).id]

    @app.get(STATE, responses=unknown)
    async def button(department: Annotated[str | None, Query()] = None) -> Response:
        """Return the button's colour and reason; 304 when the ETag still matches. A shared cache may answer for 2 s."""
        return ButtonResponse(STATE, button_of(department))

    @app.get(EVENTS, responses=unknown)
    async def events(department: Annotated[str | None, Query()] = None) -> Response:
        """Stream server-sent events: the present state at once, then one for each change."""
        return ButtonResponse(EVENTS, button_of(department))
