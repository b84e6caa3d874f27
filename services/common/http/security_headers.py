"""Security headers of every answer: the table of answers that are data, and the middleware that adds what is missing.

Sources: OWASP HTTP Headers Cheat Sheet and REST Security Cheat Sheet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Header = tuple[bytes, bytes]
HeadersOf = Callable[[Scope], Sequence[Header]]


def raw(headers: Mapping[str, str]) -> tuple[Header, ...]:
    """Return headers in the form of ASGI."""
    return tuple((name.lower().encode(), value.encode()) for name, value in headers.items())


DATA = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
"""The headers of an answer that is data and not a page. It is not stored, unless it says so itself."""
RAW_DATA = raw(DATA)


def data_headers(_: Scope) -> Sequence[Header]:
    """Return the headers of a service that answers with data alone."""
    return RAW_DATA


def completed(headers: Iterable[Header], usual: Sequence[Header] = RAW_DATA) -> list[Header]:
    """Return the headers of an answer, and after them those of `usual` that it does not have itself."""
    own = list(headers)
    names = {name.lower() for name, _ in own}
    return own + [header for header in usual if header[0] not in names]


class SecurityHeaders:
    """ASGI middleware: adds the headers of `headers_of` that an answer does not have itself."""

    def __init__(self, app: ASGIApp, headers_of: HeadersOf = data_headers) -> None:
        self._app, self._headers_of = app, headers_of

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable of the answer.

        Neither this nor `answer` is a coroutine: a stream that is open for hours then has no further frame.
        """
        if scope["type"] != "http":
            return self._app(scope, receive, send)

        def answer(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                message = {**message, "headers": completed(message.get("headers", ()), self._headers_of(scope))}
            return send(message)

        return self._app(scope, receive, answer)
