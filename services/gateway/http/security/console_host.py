"""The agents' console on a host of its own (`CONSOLE_ORIGIN`): what each host answers.

A script that gets into a page of citizens is then of another origin than the console, and has no cookie of an agent
(OWASP ASVS 5.0.0, 3.5.4). What the other host answers is 404 `other_host` here. The console's own page alone leads
there, because people have bookmarks of it.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Mapping
from typing import Literal

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.common.http.problems import document
from services.common.http.security_headers import completed
from services.common.observability.http_metrics import PROBES
from services.gateway.settings import hosts_of

Site = Literal["console", "public", "both"]
CONSOLE_PAGE = "/agent"
_BOTH = re.compile(r"/favicon\.ico|/api/settings|/api/oidc-keys/[^/]+", re.DOTALL)
_STATIC = re.compile(r"/static/(?:[0-9a-f]{8}/)?([^/]+)/(.*)", re.DOTALL)  # a digest of all files may stand in front
_OF_CITIZENS = frozenset({"demo", "identify", "infofiche", "loket-chat"})
_OF_CONSOLE, _ICON = "agent", "icon.svg"  # pages of citizens have the icon too
_CONSOLE = re.compile(
    r"/agent|/ws/agent|/api/(agent|agents|assignments|configuration|accounts|sessions|access-log)(/.*)?"
    r"|/api/chats/[^/]+/notes|/api/questions/(?![^/]+/attachments$).+",
    re.DOTALL,
)
_BY_CREDENTIAL = re.compile(r"/api/chats/[^/]+/(attachments(/.*)?|transcript)", re.DOTALL)
_BY_METHOD = "/api/questions"


def site_of(method: str, path: str, has_token: bool) -> Site:
    """Return which host answers a request. What is not known is public.

    Args:
        method: The method of the request; `GET` for the handshake of a websocket.
        path: Its path.
        has_token: Whether it has the header `Authorization`: the files and the transcript of a chat are for its citizen
            with a token, and for agents with their cookie.
    """
    if path in PROBES or _BOTH.fullmatch(path):
        return "both"
    if static := _STATIC.fullmatch(path):
        if static[1] in _OF_CITIZENS:
            return "public"
        return "console" if static[1] == _OF_CONSOLE and static[2] != _ICON else "both"
    if _CONSOLE.fullmatch(path):
        return "console"
    if method == "OPTIONS":  # the browser's question before a citizen's request; the console asks none
        return "public"
    if path == _BY_METHOD:
        return "public" if method == "POST" else "console"
    if _BY_CREDENTIAL.fullmatch(path):
        return "public" if has_token else "console"
    return "public"


class ConsoleHost:
    """The rule of which requests are of the console's host."""

    def __init__(self, origin: str) -> None:
        """Create the rule. `origin`: that of the console; empty: it has no host of its own."""
        self.origin, self._hosts = origin, frozenset(hosts_of(origin)) if origin else frozenset[str]()

    def is_of(self, scope: Scope) -> bool:
        """Return whether this request was sent to the console's host."""
        host = next((value for name, value in scope["headers"] if name == b"host"), b"")
        return host.decode("latin-1").lower() in self._hosts


class Hosts:
    """ASGI middleware: answers 404 `other_host` to what the other host answers."""

    def __init__(self, app: ASGIApp, console: ConsoleHost) -> None:
        """Pass requests on to `app`. `console`: the console's host."""
        self._app, self._console = app, console

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable of the answer. This is not a coroutine, so that a stream has no further frame."""
        if scope["type"] == "lifespan":
            return self._app(scope, receive, send)
        method, path = scope.get("method", "GET"), scope["path"]
        has_token = any(name == b"authorization" for name, _ in scope["headers"])
        site = site_of(method, path, has_token)
        here: Site = "console" if self._console.is_of(scope) else "public"
        if site in ("both", here):
            return self._app(scope, receive, send)
        if site == "console" and path == CONSOLE_PAGE and method in ("GET", "HEAD"):
            headers: Mapping[str, str] = {"Location": self._console.origin + CONSOLE_PAGE, "Cache-Control": "no-store"}
            return Response(status_code=302, headers=headers)(scope, receive, send)
        where = "on the console's own host" if site == "console" else "on the public host of the chat"
        answer = document(404, "other_host", f"This is not at this address; it is {where}.")
        answer.raw_headers = completed(answer.raw_headers)  # the answer to a websocket's handshake gets no others
        return answer(scope, receive, send)
