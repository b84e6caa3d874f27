"""One who takes part in a chat, goes on whatever fails, and writes down what they try and what they are shown."""

from __future__ import annotations

import asyncio
import contextlib
import io
import random
import time
from collections.abc import Awaitable, Callable, Mapping

import aiohttp

from tests.support.clients import Frame
from tests.support.lasting_clients import Lasting
from tests.system.chaos.history import (
    CITIZEN,
    Closed,
    Connected,
    Dot,
    Downloaded,
    Ending,
    Event,
    Fetched,
    Left,
    Lost,
    Refused,
    Shown,
    Tried,
    Uploaded,
    digest,
    message_of,
)

OPENING = 6.0  # seconds for a connection to open
SILENCE, AGENT_SILENCE = 12.0, 5.5  # seconds without a word: a connection that is dead, as browsers take it
ANSWER = 10.0  # seconds for an answer over HTTP
PATIENCE = 120.0  # seconds for which something over HTTP is tried again
FAILED = (aiohttp.ClientError, OSError, TimeoutError)


class Notes:
    """The history while it is being made."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._connections = 0

    def note(self, event: Event) -> None:
        self.events.append(event)

    def connection(self) -> int:
        """The number of a new connection."""
        self._connections += 1
        return self._connections


class Side(Lasting):
    """`who` is `citizen`, or an agent's username; `headers` are what they show over HTTP. `mere`: a second tab."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base: str,
        hello: Callable[[int], Frame],
        notes: Notes,
        chat: str,
        who: str = CITIZEN,
        headers: Mapping[str, str] | None = None,
        mere: bool = False,
    ) -> None:
        path = "citizen" if who == CITIZEN else "agent"
        super().__init__(http, f"{base}/ws/{path}", hello, None if who == CITIZEN else chat)
        self.base, self.chat, self.who, self.headers = base, chat, who, dict(headers or {})
        self._notes, self._mere, self._number, self._from_the_start = notes, mere, 0, False
        self._fetching: set[asyncio.Task[None]] = set()
        self.written: dict[str, float] = {}  # id → when it was tried first
        self.seen: dict[str, float] = {}  # id → when it was shown first
        self.left = False

    # ── what they do ─────────────────────────────────────────────────────────────────────────────────────────────────

    def wrote(self, frame: Frame) -> None:
        said = digest(frame.get("attachment") or frame.get("text"))
        self.written[frame["id"]] = time.monotonic()
        self._notes.note(Tried(self.chat, self.who, frame["id"], said))

    async def reload(self) -> None:
        """Their page forgets what it was shown and asks for all of it; what has no receipt it still has."""
        self._from_the_start = True
        await self.hang_up()

    async def ask_for_the_end(self) -> None:
        """Closes the chat; returns when they were told that it is over."""
        self._notes.note(Ending(self.chat, self.who))
        await self.end()

    async def download(self, final: bool = False) -> bool:
        """Asks for the transcript until they have it, or for too long; whether it says that the chat has ended."""
        ended: list[bool] = []

        async def get() -> bool:
            asked = time.monotonic()
            url = f"{self.base}/api/chats/{self.chat}/transcript?format=json"
            answer = await self.http.get(url, headers=self.headers)
            if answer.status != 200:
                return False
            given = await answer.json()
            messages = tuple(message_of(m) for m in given["messages"])
            ended.append(given["closed_at"] is not None)
            self._notes.note(Downloaded(self.chat, self.who, asked, messages, ended[0], final))
            return True

        await until_done(get)
        return ended == [True]

    async def attach(self, name: str, body: bytes) -> bool:
        """Uploads a file and posts it; whether it was taken."""
        taken: list[str] = []

        async def put() -> bool:
            form = aiohttp.FormData()
            form.add_field("file", io.BytesIO(body), filename=name, content_type="application/octet-stream")
            url = f"{self.base}/api/chats/{self.chat}/attachments"
            answer = await self.http.post(url, data=form, headers=self.headers)
            if answer.status == 201:
                taken.append((await answer.json())["id"])
                self._notes.note(Uploaded(self.chat, self.who, taken[0], digest(body)))
            return answer.status < 500

        if not await until_done(put, lambda: self.over) or not taken or self.over:
            return False
        await self.post(attachment=taken[0])
        return True

    async def fetch(self, attachment: str) -> None:
        """Gets an attachment's bytes, however often it has to try."""
        got: list[bytes] = []

        async def get() -> bool:
            url = f"{self.base}/api/chats/{self.chat}/attachments/{attachment}"
            answer = await self.http.get(url, headers=self.headers)
            if answer.status == 200:
                got.append(await answer.read())
            return answer.status < 500 and answer.status != 429

        await until_done(get)
        self._notes.note(Fetched(self.chat, self.who, attachment, digest(got[0]) if got else ""))

    async def fetched(self) -> None:
        """Returns when they have every attachment that they were shown."""
        await asyncio.gather(*self._fetching)

    def gone_elsewhere(self) -> None:
        """The chat is somebody else's."""
        self._notes.note(Left(self.chat, self.who))
        self.over = self.left = True

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _connection(self) -> None:
        self._number, code = self._notes.connection(), None
        silence = SILENCE if self.who == CITIZEN else AGENT_SILENCE
        timeout = aiohttp.ClientWSTimeout(ws_receive=silence, ws_close=1)
        async with asyncio.timeout(OPENING):
            ws = await self.http.ws_connect(self.url, headers={"Origin": self.base}, timeout=timeout)
        try:
            after, self._from_the_start = 0 if self._from_the_start else max(self.log, default=0), False
            await ws.send_json(self.hello(after))
            async for message in ws:
                await self._hear(ws, message.json())
                if self.over:
                    break
            code = ws.close_code
        finally:
            self._ws = None
            self._notes.note(Lost(self.chat, self.who, self._number, code))
            with contextlib.suppress(*FAILED):
                await ws.close()

    async def _hear(self, ws: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        kind, mine = frame["type"], self.chat_id is None or frame.get("chat_id") == self.chat_id
        if kind == "welcome":
            self._notes.note(Connected(self.chat, self.who, self._number))
            if self.chat_id and self.chat_id not in [c["chat_id"] for c in frame["chats"]]:
                self.over = True  # it ended, or went elsewhere, while they were away
        elif kind == "status" and not self._mere:
            self._notes.note(Dot(self.chat, self.who, frame["dot"], (frame["agent"] or {}).get("name", "")))
        elif kind == "closed" and mine and not self._mere:
            self._notes.note(Closed(self.chat, self.who, frame["reason"]))
        elif kind == "unassigned" and mine:
            self.gone_elsewhere()
        if not (kind == "welcome" and self.over):
            await super()._hear(ws, frame)

    async def _keep(self, ws: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        if frame["seq"] <= max(self.log, default=0) + 1:  # else there is a hole: it is not shown, but asked for again
            message = message_of(frame)
            self._notes.note(Shown(self.chat, self.who, self._number, message))
            fresh = message.id not in self.seen
            self.seen.setdefault(message.id, time.monotonic())
            if fresh and message.attachment and message.id not in self.written and not self._mere:
                task = asyncio.create_task(self.fetch(message.attachment))
                self._fetching.add(task)
                task.add_done_callback(self._fetching.discard)
        await super()._keep(ws, frame)

    def _refuse(self, frame: Frame) -> None:
        if frame["code"] not in ("unavailable", "rate_limited") and frame.get("id"):
            self._notes.note(Refused(self.chat, self.who, frame["id"], frame["code"]))
            self.pending.pop(frame["id"], None)
        super()._refuse(frame)


async def until_done(work: Callable[[], Awaitable[bool]], given_up: Callable[[], bool] = lambda: False) -> bool:
    """Tries `work`, which says whether it is done, again and again; whether it came to that in time."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end and not given_up():
        with contextlib.suppress(*FAILED):
            async with asyncio.timeout(ANSWER):
                if await work():
                    return True
        await asyncio.sleep(random.uniform(0.2, 0.8))
    return False
