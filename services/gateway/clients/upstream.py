"""Client of the other services' internal APIs, over HTTP with a service token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from functools import partial
from typing import Any, TypeVar

import aiohttp
import orjson
from prometheus_client import Counter

from services.common.config.settings import Settings
from services.common.events.types import Record
from services.common.http.tokens import Actor, Keys
from services.common.internal_api import presence as presence_api
from services.common.internal_api import queries
from services.common.internal_api import routing as routing_api
from services.common.internal_api import transcripts as transcripts_api
from services.common.observability.tracing import span, traceparent
from services.gateway.clients.coalescing import Gathering

R = TypeVar("R", bound=Record)
_Answer = tuple[aiohttp.ClientResponse, bytes]
TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=1)
STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=30)
KEPT = 4  # seconds for which an idle connection is reused
TRIES = 6  # of one request, all within its total time
SLOW = 1.25  # seconds without an answer; a history may take 1 by design
SLOW_AGAIN = 0.6  # the next try may have gone to the same replica
MOST_PAGES = 25  # pages of logs in one shared answer, which is held in memory as a whole
MOST_SLOW = 20  # requests at a time that are repeated for being slow: the load of a slow service is not doubled
BROKEN = (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError)
READING = {
    presence_api.SESSION_LOOKUP,
    presence_api.AGENTS,
    presence_api.BUTTONS,
    routing_api.CHATS,
    routing_api.AGENT_CHATS,
}
READING |= {
    routing_api.ASSIGNMENTS,
    transcripts_api.HISTORY,
    transcripts_api.TAILS,
    transcripts_api.QUESTIONS,
    presence_api.HOLD,
}

AGAIN = Counter("eloket_gateway_asked_again_total", "Questions to another service asked again", ["service", "why"])
for _service in ("presence", "routing", "transcripts"):  # exported from the start: the first is an increase
    AGAIN.labels(_service, "broken")
    AGAIN.labels(_service, "slow")


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


def patience(slow: bool) -> float:
    """Return the seconds that a try may take before another one starts.

    Args:
        slow: Whether another try was already started because the answer was slow.
    """
    return SLOW_AGAIN if slow else SLOW


class Upstream:
    """Client of presence, routing and transcripts, with one pool of connections. Call `close` at the end.

    Behind one address there may be several replicas. A replica that was killed leaves dead connections in the pool: a
    broken request is repeated over a new connection. A replica that hangs accepts connections and never answers, and a
    network failure may leave connections that swallow everything: a slow request is repeated over a new connection,
    then over one of the pool, and so on (hedged requests). Only connections that answered go back to the pool, so the
    pool soon has good ones again.
    """

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._urls = {name: settings.url_of(name) for name in ("presence", "routing", "transcripts")}
        self._keys = keys
        self._sessions: dict[bool, aiohttp.ClientSession] = {}
        self.slow = 0  # requests that are being repeated because no answer came
        self._routing_chats = Gathering(self._some_chats, queries.MAX_CHATS)
        self._routing_alike = Gathering(self._some_alike, queries.MAX_CHATS)
        self._pages = {notes: Gathering(partial(self._some_pages, notes), MOST_PAGES) for notes in (False, True)}

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

    async def ask(self, service: str, path: str, question: Record | None, answer: type[R]) -> R:
        """Send a request and return its answer.

        The request is repeated at once when a connection breaks. A request that only reads is also repeated when no
        answer comes in time; the first answer is used. Every request must therefore be harmless when it arrives twice.

        Args:
            service: `presence`, `routing` or `transcripts`.
            path: The path of the operation.
            question: The body; None for an empty object.
            answer: The model of the answer.

        Raises:
            Unavailable: The service did not answer within 5 s, or answered with an error of its own.
            Declined: The service refused; the exception has the problem document.
        """
        body = question.model_dump_json().encode() if question else b"{}"
        try:
            with span("ask", f"{service} {path}", "client"):
                async with asyncio.timeout(TIMEOUT.total):
                    response, data = await self._first_answer(service, path, body)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(service) from error
        _raise_for(response, data, service)
        return answer.model_validate_json(data or b"{}")

    async def _first_answer(self, service: str, path: str, body: bytes) -> _Answer:
        headers = {**self.headers(), "Content-Type": "application/json"}
        tries, slow = 1, False
        running = {asyncio.create_task(self._try(service, path, body, headers, fresh=False))}
        try:
            while True:
                limit = patience(slow) if path in READING and tries < TRIES else None
                done, running = await asyncio.wait(running, timeout=limit, return_when=asyncio.FIRST_COMPLETED)
                broken = [task for task in done if isinstance(task.exception(), BROKEN)]
                if answered := done.difference(broken):
                    return answered.pop().result()
                if tries == TRIES and not running:
                    return broken[0].result()
                if tries == TRIES or not (done or slow or self.slow < MOST_SLOW):
                    continue
                if not done and not slow:
                    slow = True
                    self.slow += 1
                tries += 1
                AGAIN.labels(service, "broken" if broken else "slow").inc()
                fresh = bool(broken) or tries % 2 == 0
                running.add(asyncio.create_task(self._try(service, path, body, headers, fresh)))
        finally:
            self.slow -= slow
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    async def _try(self, service: str, path: str, body: bytes, headers: dict[str, str], fresh: bool) -> _Answer:
        url = self._urls[service] + path
        async with self._http(fresh).post(url, data=body, headers=headers, timeout=TIMEOUT) as response:
            return response, await response.read()

    async def stream(
        self,
        method: str,
        path: str,
        actor: Actor,
        headers: dict[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        """Open a stream of bytes to or from transcripts. The caller releases the response.

        Raises:
            Unavailable: Transcripts did not answer.
            Declined: Transcripts refused; the exception has the problem document.
        """
        headers = {**self.headers(actor), **(headers or {})}
        try:
            response = await self._opened(method, path, headers, body)
            if response.status >= 400:
                data = await response.read()
                _raise_for(response, data, "transcripts")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable("transcripts") from error
        return response

    async def _opened(
        self, method: str, path: str, headers: dict[str, str], body: AsyncIterator[bytes] | None
    ) -> aiohttp.ClientResponse:
        """Return the head of a response, over a new connection.

        A connection of the pool may be dead, and a body can be sent only once.
        """
        again = aiohttp.ClientConnectionError if body is None else aiohttp.ClientConnectorError
        for tries in range(1, TRIES + 1):
            try:
                return await self._http(fresh=True).request(
                    method, self._urls["transcripts"] + path, headers=headers, data=body, timeout=STREAM_TIMEOUT
                )
            except again as error:
                if tries == TRIES or isinstance(error, TimeoutError):
                    raise
                AGAIN.labels("transcripts", "broken").inc()
        raise AssertionError("the last try returns or raises")

    # ── requests ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def session(self, token: str) -> presence_api.OpenSession | None:
        """Return the agent's session of this cookie, or None when there is none (any more)."""
        question = presence_api.SessionToken(token=token)
        try:
            return await self.ask("presence", presence_api.SESSION_LOOKUP, question, presence_api.OpenSession)
        except Declined as declined:
            if declined.status == 401:
                return None
            raise Unavailable("presence") from declined

    async def chats(self, chat_ids: Iterable[str]) -> dict[str, routing_api.ChatView]:
        """Return what routing knows of these chats (any number). Unknown chats are left out."""
        views: dict[str, routing_api.ChatView] = {}
        for part in _parts(list(chat_ids)):
            answer = await self._sure(
                "routing", routing_api.CHATS, queries.ChatsQuery(chat_ids=part), routing_api.Chats
            )
            views.update((c.chat_id, c) for c in answer.chats)
        return views

    async def chat(self, chat_id: str) -> tuple[routing_api.ChatView | None, bool]:
        """Return what routing knows of this chat, and whether its id is spent: the chat ended before it was opened.

        Callers that arrive while another answer is awaited share the next request.
        """
        answer = await self._routing_chats.ask(chat_id)
        return next((c for c in answer.chats if c.chat_id == chat_id), None), chat_id in answer.spent

    async def chats_like(self, chat_id: str) -> tuple[list[routing_api.ChatView], bool]:
        """Return the chat of this id and recent ones of the same key (`prefix_of`), and whether the id is spent.

        Requests are shared as in `chat`. Routing 1.1 knows no prefixes and answers for the id alone.
        """
        answer = await self._routing_alike.ask(chat_id)
        prefix = routing_api.prefix_of(chat_id)
        return [c for c in answer.chats if routing_api.prefix_of(c.chat_id) == prefix], chat_id in answer.spent

    async def _some_alike(self, chat_ids: list[str]) -> routing_api.Chats:
        question = routing_api.AlikeQuery(chat_ids=chat_ids, prefixes=[routing_api.prefix_of(c) for c in chat_ids])
        return await self._sure("routing", routing_api.CHATS, question, routing_api.Chats)

    async def _some_chats(self, chat_ids: list[str]) -> routing_api.Chats:
        return await self._sure("routing", routing_api.CHATS, queries.ChatsQuery(chat_ids=chat_ids), routing_api.Chats)

    async def chats_of_agent(self, agent_id: str) -> list[routing_api.ChatView]:
        """Return the open chats that are assigned to this agent."""
        question = routing_api.AgentChatsQuery(agent_id=agent_id)
        return (await self._sure("routing", routing_api.AGENT_CHATS, question, routing_api.Chats)).chats

    async def history(
        self, wanted: Iterable[transcripts_api.HistoryWanted], notes: bool = False
    ) -> dict[str, transcripts_api.ChatHistory]:
        """Return the logs of these chats after the given sequence numbers. Unknown chats are left out."""
        found: dict[str, transcripts_api.ChatHistory] = {}
        for part in _parts(list(wanted)):
            question = transcripts_api.HistoryQuery(chats=part, notes=notes)
            answer = await self._sure("transcripts", transcripts_api.HISTORY, question, transcripts_api.History)
            found.update((h.chat_id, h) for h in answer.chats)
        return found

    async def page(
        self, wanted: transcripts_api.HistoryWanted, notes: bool = False
    ) -> transcripts_api.ChatHistory | None:
        """Return one chat's log after the given sequence number, or None for an unknown chat.

        Callers that arrive while another answer is awaited share the next request. This matters after a restart, when
        all browsers reconnect. A request whose answer may take a second is not shared.
        """
        if wanted.at_least > wanted.after:
            return (await self.history([wanted], notes)).get(wanted.chat_id)
        return (await self._pages[notes].ask(wanted)).get(wanted)

    async def _some_pages(
        self, notes: bool, wanted: list[transcripts_api.HistoryWanted]
    ) -> dict[transcripts_api.HistoryWanted, transcripts_api.ChatHistory]:
        found: dict[transcripts_api.HistoryWanted, transcripts_api.ChatHistory] = {}
        while wanted:
            once = {w.chat_id: w for w in wanted}  # an answer has each chat once
            pages = await self.history(once.values(), notes)
            found.update((once[chat_id], page) for chat_id, page in pages.items())
            wanted = [w for w in wanted if once[w.chat_id] is not w]
        return found

    async def grown(self, after: Mapping[str, int]) -> dict[str, int]:
        """Return the chats whose log continues after the given sequence number, with a later number that exists."""
        grown: dict[str, int] = {}
        for part in _parts(list(after)):
            question = transcripts_api.TailsQuery(chat_ids=part, after={c: after[c] for c in part})
            tails = (await self._sure("transcripts", transcripts_api.TAILS, question, transcripts_api.Tails)).tails
            grown.update((c, seq) for c, seq in tails.items() if seq > after.get(c, seq))
        return grown

    async def _sure(self, service: str, path: str, question: Record, answer: type[R]) -> R:
        try:
            return await self.ask(service, path, question, answer)
        except Declined as declined:
            raise Unavailable(service) from declined


def _parts(items: list[Any]) -> Iterable[list[Any]]:
    for start in range(0, len(items), queries.MAX_CHATS):
        yield items[start : start + queries.MAX_CHATS]


def _raise_for(response: aiohttp.ClientResponse, data: bytes, service: str) -> None:
    if response.status < 400:
        return
    if response.status >= 500 or response.content_type != "application/problem+json":
        raise Unavailable(service)
    raise Declined(response.status, orjson.loads(data), response.headers.get("Retry-After"))
