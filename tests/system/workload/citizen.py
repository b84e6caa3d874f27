"""A citizen: presses the button until they are served, chats, and leaves."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from tests.support import clients
from tests.support.clients import Frame, http_client
from tests.system.history import CITIZEN, Pressed, Recorder, digest
from tests.system.workload.participant import Participant
from tests.system.workload.reconnecting import FAILED, WITH_BACKOFF, Reconnecting

ANSWER = 30.0  # seconds that a citizen waits for the answer to a press


@contextlib.asynccontextmanager
async def many_browsers() -> AsyncIterator[aiohttp.ClientSession]:
    """A client for any number of citizens: no cookies, no limit of connections."""
    connector = aiohttp.TCPConnector(limit=0)
    async with http_client(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield http


class LastingCitizen:
    """A citizen who continues whatever fails; `chat` is there from the press that began it."""

    def __init__(
        self, http: aiohttp.ClientSession, base: str, recorder: Recorder, reconnecting: Reconnecting = WITH_BACKOFF
    ) -> None:
        self._client = clients.Citizen(base, http)
        self._recorder, self._reconnecting = recorder, reconnecting
        self._running: asyncio.Task[None] | None = None
        self.participant: Participant | None = None

    async def press(self, key: str, **body: Any) -> int:
        """Press the button; the status of the answer, 0 when none came."""
        began, status = time.monotonic(), 0
        with contextlib.suppress(*FAILED):
            async with asyncio.timeout(ANSWER):
                status = (await self._client.start(key=key, **body)).status
        chat_id = self._client.chat_id if status == 201 else ""
        question = digest(body["question"]) if body.get("question") else ""
        self._recorder.record(Pressed(chat_id, CITIZEN, key, began, status, question))
        if chat_id:
            self.participant = self._participant()
        return status

    def _participant(self, second_tab: bool = False) -> Participant:
        def hello(after: int) -> Frame:
            return {"type": "hello", "token": self._client.token, "after": after}

        return Participant(
            self._client.http,
            self._client.base,
            hello,
            self._recorder,
            self._client.chat_id,
            headers=self._client.bearer,
            second_tab=second_tab,
            reconnecting=self._reconnecting,
        )

    @property
    def chat(self) -> Participant:
        """The chat that a press has begun."""
        assert self.participant, "no press was answered with a chat"
        return self.participant

    @property
    def is_served(self) -> bool:
        """Whether the dot has ever been green."""
        return self.participant is not None and any(f.get("dot") == "green" for _, f in self.participant.frames)

    def join(self) -> None:
        """Connect, and from now on again whenever the connection is lost."""
        self._running = asyncio.create_task(self.chat.run())

    async def second_tab(self, seconds: float) -> None:
        """Open the chat in another tab for so many seconds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._participant(second_tab=True).run()

    async def until(self, condition: Callable[[], object], wait: float) -> bool:
        """Whether the condition came to hold in time; it is evaluated with each frame."""
        try:
            await self.chat.until(condition, "", wait)
        except AssertionError:
            return False
        return True

    async def until_closed(self, wait: float) -> bool:
        """Whether the chat ended in time."""
        return await self.until(lambda: self.chat.over, wait)

    async def until_green(self, wait: float) -> bool:
        """Whether the dot was green in time, or the chat ended before."""
        return await self.until(lambda: self.chat.last("status").get("dot") == "green" or self.chat.over, wait)

    async def say(self, text: str) -> None:
        """Post a text; it is sent again by itself for as long as the chat lasts."""
        with contextlib.suppress(AssertionError):
            await self.chat.say(text)

    async def disconnect(self) -> bool:
        """End the connection, as a browser that goes to another page; whether there was one. Another one follows."""
        return await self.chat.hang_up()

    async def leave(self, wait: float = 120.0) -> bool:
        """Close the chat; whether it ended in time."""
        if not self.chat.over:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await self.chat.end()
        return self.chat.over

    async def close(self) -> None:
        """Close the browser."""
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
