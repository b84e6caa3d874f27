"""Cross-origin requests (Fetch standard §3.2): from the pages that the departments list, as the lists are now."""

from __future__ import annotations

import re
from collections.abc import Coroutine
from typing import Any
from urllib.parse import parse_qs

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from services.common.config.departments import Department, Departments
from services.gateway.http.citizen.button import EVENTS, STATE
from services.gateway.http.security.console_host import ConsoleHost

_ABOUT = re.compile(r"/api/departments/([^/]+)")
_GRANTED: dict[str, Any] = {
    "allow_methods": ["GET", "POST", "DELETE"],
    "allow_headers": ["Authorization", "Content-Type", "Idempotency-Key"],
    "expose_headers": ["Content-Disposition", "Retry-After", "ETag"],
    "max_age": 600,
}


class ListedOrigins(CORSMiddleware):
    """Lets pages of the listed origins send requests and read the answers.

    Where the address of a request names a department, the page has to be of an origin of that department. Elsewhere
    one of any department is enough: the route checks the department that it reads in the body or the token.
    """

    def __init__(self, app: ASGIApp, departments: Departments, console: ConsoleHost) -> None:
        """Pass requests on to `app`.

        Args:
            app: What answers them.
            departments: List the origins.
            console: The console's host, where nothing is for pages of other origins.
        """
        super().__init__(app, **_GRANTED)
        self._departments, self._console = departments, console
        self._closed = CORSMiddleware(app, **_GRANTED)  # to every origin

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Coroutine[Any, Any, None]:
        """Return the awaitable of the answer. This is not a coroutine itself, so that a stream has no further frame."""
        if scope["type"] == "http" and self._is_refused(scope):
            return self._closed(scope, receive, send)
        return super().__call__(scope, receive, send)

    def is_allowed_origin(self, origin: str) -> bool:
        """Return whether a department lists this origin."""
        return origin in self._departments.origins()

    def _is_refused(self, scope: Scope) -> bool:
        """Return whether the page of this request gets nothing: on the console's host, or of another department."""
        origin = next((value for name, value in scope["headers"] if name == b"origin"), None)
        if origin is None:
            return False
        if self._console.is_of(scope):
            return True
        department = self._department_of(scope)
        if department is None:
            return False
        return origin.decode("latin-1") not in self._departments.origins_of(department)

    def _department_of(self, scope: Scope) -> Department | None:
        """Return the department that the address names; None where it names none, or one that is not there."""
        path = scope["path"]
        if path in (STATE, EVENTS):
            wanted = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True).get("department")
            return self._departments.get(wanted[-1] if wanted else None)
        found = _ABOUT.fullmatch(path)
        return self._departments.get(found[1]) if found else None
