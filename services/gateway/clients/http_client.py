"""Requests to the other services' internal APIs: HTTP with a service token, from one pool.

Behind one address there may be several replicas. A replica that was killed leaves dead connections in the pool: a
broken request is repeated over a new connection. A replica that hangs accepts connections and never answers, and a
network failure may leave connections that swallow everything: a slow request is repeated over a new connection, then
over one of the pool, and so on. Only connections that answered go back to the pool, so the pool soon has good ones
again.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Hashable
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

import aiohttp
import orjson
from prometheus_client import Counter

from services.common.config.settings import Settings
from services.common.events.types import Record
from services.common.http.service_tokens import AGENT_HEADER
from services.common.http.tokens import Actor, Keys
from services.common.observability.tracing import span, traceparent
from services.common.runtime.certificate import verifying

K = TypeVar("K", bound=Hashable)
R = TypeVar("R", bound=Record)
A = TypeVar("A")
UNDER_WAY = 4  # requests at a time: one that meets a slow replica does not delay the others
TRIES = 6  # of one request, all within its total time
SLOW = 1.25  # seconds without an answer; a history may take 1 by design
SLOW_AGAIN = 0.6  # the next try may have gone to the same replica
MOST_SLOW = 20  # requests at a time that are repeated for being slow: the load of a slow service is not doubled
BROKEN = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)
AGAIN = Counter("eloket_gateway_asked_again_total", "Questions to another service asked again", ["service", "why"])
for _service in ("presence", "routing", "transcripts"):  # exported from the start: the first is an increase
    AGAIN.labels(_service, "broken")
    AGAIN.labels(_service, "slow")
_Answer = tuple[aiohttp.ClientResponse, bytes]
acting_for: ContextVar[str | None] = ContextVar("acting_for", default=None)
"""What presence says of the agent whose request is being handled (`OpenSession.identity`)."""
TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=1)
STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=30)
KEPT = 4  # seconds for which an idle connection is reused


class Gathering(Generic[K, A]):
    """Combines requests for several keys into one call of `question`, with at most `most` keys.

    A caller never waits for others to join: while fewer than `UNDER_WAY` requests are in flight, a request starts at
    once. Keys that arrive while all are in flight go together into the next request. It is the gateway's own, for no
    agent: an answer that several get cannot depend on the rights of the one who was first, nor on their session.
    """

    def __init__(self, question: Callable[[list[K]], Awaitable[A]], most: int) -> None:
        self._question, self._most = question, most
        self._waiting: dict[K, list[asyncio.Future[A]]] = {}
        self._asking: set[asyncio.Task[None]] = set()

    async def ask(self, wanted: K) -> A:
        """Return the answer to a request that started after this call and contains `wanted`.

        Raises what that request raised.
        """
        answer: asyncio.Future[A] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(wanted, []).append(answer)
        if len(self._asking) < UNDER_WAY:
            task = asyncio.create_task(self._ask_all())
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        return await answer

    async def _ask_all(self) -> None:
        acting_for.set(None)  # of this task alone, which has begun with what the first caller had
        while self._waiting:
            asked = list(self._waiting)[: self._most]
            waiting = [future for wanted in asked for future in self._waiting.pop(wanted)]
            try:
                answer = await self._question(asked)
            except Exception as error:
                _settle(waiting, lambda future, error=error: future.set_exception(error))  # type: ignore[misc]
            else:
                _settle(waiting, lambda future, answer=answer: future.set_result(answer))  # type: ignore[misc]


def _settle(waiting: list[asyncio.Future[A]], how: Callable[[asyncio.Future[A]], None]) -> None:
    for future in waiting:
        if not future.done():  # a caller still waits for it
            how(future)


def patience(slow: bool) -> float:
    """Return the seconds that a try may take before another one starts.

    Args:
        slow: Whether another try was already started because the answer was slow.
    """
    return SLOW_AGAIN if slow else SLOW


class SlowRequests:
    """The number of requests that are being repeated because no answer came, at most `MOST_SLOW`."""

    def __init__(self) -> None:
        self.count = 0

    def enter(self) -> bool:
        """Count one more request. Return False when there are too many, and it may not be repeated."""
        if self.count >= MOST_SLOW:
            return False
        self.count += 1
        return True

    def leave(self) -> None:
        """Count a request that has ended."""
        self.count -= 1


class HedgedRequest(Generic[A]):
    """One request, with at most `TRIES` tries. It is `slow` from its first repetition for want of an answer."""

    def __init__(
        self,
        send: Callable[[bool], Coroutine[Any, Any, A]],
        service: str,
        slow_requests: SlowRequests | None,
    ) -> None:
        """Prepare the request.

        Args:
            send: Sends it once and returns the answer; its argument is whether to use a new connection.
            service: The service, for metrics.
            slow_requests: The count of slow requests; None when the request is repeated only after a broken
                connection, because it changes something.
        """
        self._send, self._service, self._slow_requests = send, service, slow_requests
        self._running: set[asyncio.Task[A]] = set()
        self._tries = 0
        self._slow = False

    async def answer(self) -> A:
        """Return the first answer.

        Raises:
            aiohttp.ClientError: The last try failed, or a try failed in another way than by a broken connection.
        """
        self._start(fresh=False)
        try:
            while True:
                ended = await self._wait()
                broken = [task for task in ended if isinstance(task.exception(), BROKEN)]
                if answered := ended.difference(broken):
                    return answered.pop().result()
                if self._tries < TRIES:
                    self._repeat(after_break=bool(broken))
                elif not self._running:
                    return broken[0].result()
        finally:
            await self._end()

    async def _wait(self) -> set[asyncio.Task[A]]:
        """Return the tries that have ended; none when the patience for an answer is over."""
        hedged = self._slow_requests is not None and self._tries < TRIES
        limit = patience(self._slow) if hedged else None
        ended, self._running = await asyncio.wait(self._running, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        return ended

    def _repeat(self, after_break: bool) -> None:
        """Start another try: at once after a broken connection, or for want of an answer if that is allowed."""
        if after_break:
            AGAIN.labels(self._service, "broken").inc()
            self._start(fresh=True)
        elif self._may_be_slow():
            AGAIN.labels(self._service, "slow").inc()
            self._start(fresh=self._tries % 2 == 1)

    def _may_be_slow(self) -> bool:
        if not self._slow and self._slow_requests:
            self._slow = self._slow_requests.enter()
        return self._slow

    def _start(self, fresh: bool) -> None:
        self._tries += 1
        self._running.add(asyncio.create_task(self._send(fresh)))

    async def _end(self) -> None:
        """Cancel the tries whose answer is not needed any more."""
        if self._slow and self._slow_requests:
            self._slow_requests.leave()
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)


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
        self._tls = verifying(settings.tls_ca) if settings.tls_ca else True  # True: by the CAs of the system
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
                connector=aiohttp.TCPConnector(limit=200, ssl=self._tls, **kept),
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._sessions[fresh]

    def headers(self, service: str, actor: Actor | None = None) -> dict[str, str]:
        """Return the headers of a request to a service.

        They are the service token, with the participant it acts for, what presence says of the agent for whom the
        gateway works just now (`acting_for`), and the trace.
        """
        token = self._keys.service_token("gateway", actor, service)
        said = acting_for.get()
        agent = {AGENT_HEADER: said} if said else {}
        return {"Authorization": f"Bearer {token}", "traceparent": traceparent(), **agent}

    async def ask(
        self,
        service: str,
        path: str,
        question: Record | None,
        answer: type[R],
        hedged: bool = False,
        actor: Actor | None = None,
    ) -> R:
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
            actor: The participant for whom it is sent.

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
                # With the span as the parent.
                headers = {**self.headers(service, actor), "Content-Type": "application/json"}
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
        actor: Actor | None,
        headers: dict[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        """Open a stream of bytes to or from a service. The caller releases the response.

        Raises:
            Unavailable: The service did not answer.
            Declined: The service refused; the exception has the problem document.
        """
        headers = {**self.headers(service, actor), **(headers or {})}
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
