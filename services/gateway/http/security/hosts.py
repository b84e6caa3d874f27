"""The hosts under which a gateway is reached. Other ones are refused, so that no answer is made for them."""

from __future__ import annotations

from collections.abc import Awaitable

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from services.common.http.problems import document
from services.common.http.security_headers import completed
from services.common.observability.http_metrics import PROBES

log = structlog.get_logger()


class KnownHosts:
    """ASGI middleware: answers 421 `unknown_host` to a request whose `Host` is none of these (RFC 9110 §15.5.20).

    Probes and scrapes come by the address of the pod, so they are answered for every host.
    """

    def __init__(self, app: ASGIApp, hosts: frozenset[str]) -> None:
        self._app, self._hosts = app, hosts
        self._warned = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable of the answer. This is not a coroutine, so that a stream has no further frame."""
        if scope["type"] == "lifespan" or scope["path"] in PROBES or self._is_known(scope):
            return self._app(scope, receive, send)
        if not self._warned:
            self._warned = True
            log.warning("unknown_host", advice="If this is an address of the gateway, add it to PUBLIC_ORIGINS.")
        answer = document(421, "unknown_host", "This is not the address of the chat. Open it by its own address.")
        answer.raw_headers = completed(answer.raw_headers)  # the answer to a websocket's handshake gets no others
        return answer(scope, receive, send)

    def _is_known(self, scope: Scope) -> bool:
        named = [value for name, value in scope["headers"] if name == b"host"]
        return len(named) == 1 and named[0].decode("latin-1").lower() in self._hosts
