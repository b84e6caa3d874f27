"""Transport of requests to the other services' internal APIs: HTTP with a service token, from one pool."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import aiohttp
import orjson

from services.common.config.settings import Settings
from services.common.events.types import Record
from services.common.http.tokens import Actor, Keys
from services.common.observability.tracing import span, traceparent
from services.gateway.clients.hedging import AGAIN, TRIES, HedgedRequest, SlowRequests

R = TypeVar("R", bound=Record)
_Answer = tuple[aiohttp.ClientResponse, bytes]
TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=1)
STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=30)
KEPT = 4  # seconds for which an idle connection is reused


class Unavailable(Exception):
    """The service did not answer, or its answer cannot be used now."""


class Declined(Exception):
    """The service answered with a problem document (RFC 9457)."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after: str | None) -> None:
        super().__init__(problem.get("code", ""))
        self.status, self.problem, self.retry_after = status, problem, retry_after

    @property
    def code(self) -> str:
        """The stable code of the problem."""
        return str(self.problem.get("code", "error"))


class HttpClient:
    """Sends requests to presence, routing and transcripts. Call `close` at the end."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._urls = {name: settings.url_of(name) for name in ("presence", "routing", "transcripts")}
        self._keys = keys
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self.slow_requests = SlowRequests()

    async def close(self) -> None:
        """Close all connections."""
        for session in self._sessions.values():
            await session.close()

    def _http(self, fresh: bool = False) -> aiohttp.ClientSession:
        """Return the session with the pool, or with `fresh` one that opens a new connection for each request."""
        if fresh not in self._sessions:
            kept: dict[str, Any] = {"force_close": True} if fresh else {"keepalive_timeout": KEPT}
            self._sessions[fresh] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=200, **kept),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._sessions[fresh]

    def headers(self, actor: Actor | None = None) -> dict[str, str]:
        """Return the headers of a request: the service token, with the participant it acts for, and the trace."""
        return {"Authorization": f"Bearer {self._keys.service_token('gateway', actor)}", "traceparent": traceparent()}

    async def ask(self, service: str, path: str, question: Record | None, answer: type[R], hedged: bool = False) -> R:
        """Send a request and return its answer.

        The request is repeated at once when a connection breaks. Every request must therefore be harmless when it
        arrives twice.

        Args:
            service: `presence`, `routing` or `transcripts`.
            path: The path of the operation.
            question: The body; None for an empty object.
            answer: The model of the answer.
            hedged: Whether the request is also repeated when no answer comes in time; the first answer is used. Only
                for requests that read.

        Raises:
            Unavailable: The service did not answer within 5 s, or answered with an error of its own.
            Declined: The service refused; the exception has the problem document.
        """
        body = question.model_dump_json().encode() if question else b"{}"
        url = self._urls[service] + path

        async def send(fresh: bool) -> _Answer:
            async with self._http(fresh).post(url, data=body, headers=headers, timeout=TIMEOUT) as response:
                return response, await response.read()

        try:
            with span("ask", f"{service} {path}", "client"):
                headers = {**self.headers(), "Content-Type": "application/json"}  # with the span as the parent
                async with asyncio.timeout(TIMEOUT.total):
                    request = HedgedRequest(send, service, self.slow_requests if hedged else None)
                    response, data = await request.answer()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(service) from error
        _raise_for(response, data, service)
        return answer.model_validate_json(data or b"{}")

    async def read(self, service: str, path: str, question: Record | None, answer: type[R]) -> R:
        """Send a hedged request of which no refusal is expected, and return its answer.

        Raises:
            Unavailable: As `ask`, or the service refused.
        """
        try:
            return await self.ask(service, path, question, answer, hedged=True)
        except Declined as declined:
            raise Unavailable(service) from declined

    async def stream(
        self,
        service: str,
        method: str,
        path: str,
        actor: Actor,
        headers: dict[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        """Open a stream of bytes to or from a service. The caller releases the response.

        Raises:
            Unavailable: The service did not answer.
            Declined: The service refused; the exception has the problem document.
        """
        headers = {**self.headers(actor), **(headers or {})}
        try:
            response = await self._opened(service, method, path, headers, body)
            if response.status >= 400:
                data = await response.read()
                _raise_for(response, data, service)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(service) from error
        return response

    async def _opened(
        self, service: str, method: str, path: str, headers: dict[str, str], body: AsyncIterator[bytes] | None
    ) -> aiohttp.ClientResponse:
        """Return the head of a response, over a new connection.

        A connection of the pool may be dead, and a body can be sent only once.
        """
        again = aiohttp.ClientConnectionError if body is None else aiohttp.ClientConnectorError
        for tries in range(1, TRIES + 1):
            try:
                return await self._http(fresh=True).request(
                    method, self._urls[service] + path, headers=headers, data=body, timeout=STREAM_TIMEOUT
                )
            except again as error:
                if tries == TRIES or isinstance(error, TimeoutError):
                    raise
                AGAIN.labels(service, "broken").inc()
        raise AssertionError("the last try returns or raises")


def _raise_for(response: aiohttp.ClientResponse, data: bytes, service: str) -> None:
    if response.status < 400:
        return
    if response.status >= 500 or response.content_type != "application/problem+json":
        raise Unavailable(service)
    raise Declined(response.status, orjson.loads(data), response.headers.get("Retry-After"))
