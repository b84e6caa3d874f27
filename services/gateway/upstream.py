"""What a gateway asks the other services, over HTTP with a service token. `Unavailable` when one cannot answer now."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any, TypeVar

import aiohttp
import orjson

from services import internal
from services.contracts import Record
from services.settings import Settings
from services.tokens import Actor, Keys
from services.tracing import traceparent

R = TypeVar("R", bound=Record)
TIMEOUT = aiohttp.ClientTimeout(total=5, sock_connect=1)
STREAM_TIMEOUT = aiohttp.ClientTimeout(total=None, sock_connect=2, sock_read=60)


class Unavailable(Exception):
    """The service did not answer, or not in a way that can be used now."""


class Declined(Exception):
    """The service answered with a problem document."""

    def __init__(self, status: int, problem: dict[str, Any], retry_after: str | None) -> None:
        super().__init__(problem.get("code", ""))
        self.status, self.problem, self.retry_after = status, problem, retry_after

    @property
    def code(self) -> str:
        return str(self.problem.get("code", "error"))


class Upstream:
    """Asks presence, routing and transcripts. One pool of connections; call `close` at the end."""

    def __init__(self, settings: Settings, keys: Keys) -> None:
        self._urls = {name: settings.url_of(name) for name in ("presence", "routing", "transcripts")}
        self._keys = keys
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        if self._session:
            await self._session.close()

    def _http(self) -> aiohttp.ClientSession:
        if self._session is None:
            connector = aiohttp.TCPConnector(limit=200, keepalive_timeout=50)
            self._session = aiohttp.ClientSession(
                connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar()
            )
        return self._session

    def headers(self, actor: Actor | None = None) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._keys.service_token('gateway', actor)}", "traceparent": traceparent()}

    async def ask(self, service: str, path: str, question: Record | None, answer: type[R]) -> R:
        """The answer to a question. Raises `Unavailable`, or `Declined` with the problem that came back."""
        body = question.model_dump_json().encode() if question else b"{}"
        headers = {**self.headers(), "Content-Type": "application/json"}
        try:
            async with self._http().post(self._urls[service] + path, data=body, headers=headers, timeout=TIMEOUT) as r:
                data = await r.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(service) from error
        _raise_for(r, data, service)
        return answer.model_validate_json(data or b"{}")

    async def stream(
        self,
        method: str,
        path: str,
        actor: Actor,
        headers: dict[str, str] | None = None,
        body: AsyncIterator[bytes] | None = None,
    ) -> aiohttp.ClientResponse:
        """Bytes to or from transcripts. The caller releases the response. Raises like `ask`."""
        try:
            response = await self._http().request(
                method,
                self._urls["transcripts"] + path,
                headers={**self.headers(actor), **(headers or {})},
                data=body,
                timeout=STREAM_TIMEOUT,
            )
            if response.status >= 400:
                data = await response.read()
                _raise_for(response, data, "transcripts")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable("transcripts") from error
        return response

    # ── what is asked ────────────────────────────────────────────────────────────────────────────────────────────────

    async def session(self, token: str) -> internal.OpenSession | None:
        """The agent's session that this cookie stands for, or None when it is none (any more)."""
        question = internal.SessionToken(token=token)
        try:
            return await self.ask("presence", internal.SESSION_LOOKUP, question, internal.OpenSession)
        except Declined as declined:
            if declined.status == 401:
                return None
            raise Unavailable("presence") from declined

    async def chats(self, chat_ids: Iterable[str]) -> dict[str, internal.ChatView]:
        """What routing knows of these chats (any number); unknown ones are left out."""
        views: dict[str, internal.ChatView] = {}
        for part in _parts(list(chat_ids)):
            answer = await self._sure("routing", internal.CHATS, internal.ChatsQuery(chat_ids=part), internal.Chats)
            views.update((c.chat_id, c) for c in answer.chats)
        return views

    async def chats_of_agent(self, agent_id: str) -> list[internal.ChatView]:
        """The open chats that are assigned to this agent."""
        question = internal.AgentChatsQuery(agent_id=agent_id)
        return (await self._sure("routing", internal.AGENT_CHATS, question, internal.Chats)).chats

    async def history(
        self, wanted: Iterable[internal.HistoryWanted], notes: bool = False
    ) -> dict[str, internal.ChatHistory]:
        """The logs of these chats after what is named; unknown ones are left out."""
        found: dict[str, internal.ChatHistory] = {}
        for part in _parts(list(wanted)):
            question = internal.HistoryQuery(chats=part, notes=notes)
            answer = await self._sure("transcripts", internal.HISTORY, question, internal.History)
            found.update((h.chat_id, h) for h in answer.chats)
        return found

    async def tails(self, chat_ids: Iterable[str]) -> dict[str, int]:
        """The last seq of each of these chats."""
        tails: dict[str, int] = {}
        for part in _parts(list(chat_ids)):
            question = internal.ChatsQuery(chat_ids=part)
            tails |= (await self._sure("transcripts", internal.TAILS, question, internal.Tails)).tails
        return tails

    async def _sure(self, service: str, path: str, question: Record, answer: type[R]) -> R:
        try:
            return await self.ask(service, path, question, answer)
        except Declined as declined:
            raise Unavailable(service) from declined


def _parts(items: list[Any]) -> Iterable[list[Any]]:
    for start in range(0, len(items), internal.MAX_CHATS):
        yield items[start : start + internal.MAX_CHATS]


def _raise_for(response: aiohttp.ClientResponse, data: bytes, service: str) -> None:
    if response.status < 400:
        return
    if response.status >= 500 or response.content_type != "application/problem+json":
        raise Unavailable(service)
    raise Declined(response.status, orjson.loads(data), response.headers.get("Retry-After"))
