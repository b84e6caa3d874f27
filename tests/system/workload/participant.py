"""A participant of a chat who continues whatever fails, and records what they send and what they are shown."""

from __future__ import annotations

import asyncio
import contextlib
import io
import time
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from tests.support.clients import Frame
from tests.support.lasting_clients import Lasting
from tests.system.history import (
    CITIZEN,
    Answered,
    Closed,
    CloseRequested,
    Connected,
    Disconnected,
    Downloaded,
    ErrorShown,
    Fetched,
    Recorder,
    Refused,
    Sent,
    Shown,
    StatusShown,
    Unassigned,
    Uploaded,
    digest,
    message_of,
)
from tests.system.workload.reconnecting import FAILED, SOON, Reconnecting, until_done

NOT_FOR_GOOD = ("unavailable", "rate_limited")  # codes of messages that are sent again


class Participant(Lasting):
    """A citizen in their chat, over a connection of their own.

    Args:
        http: The client for the websocket and for HTTP.
        base: The gateway's address.
        hello: Makes the first frame from the last `seq` that was shown.
        recorder: Receives the history.
        chat: The id of the chat.
        who: `citizen`, or an agent's username.
        headers: What is sent with each request over HTTP.
        second_tab: Whether this is a further tab, whose dot is not recorded.
        reconnecting: When to connect again.
    """

    def __init__(
        self,
        http: aiohttp.ClientSession,
        base: str,
        hello: Callable[[int], Frame],
        recorder: Recorder,
        chat: str,
        who: str = CITIZEN,
        headers: Mapping[str, str] | None = None,
        second_tab: bool = False,
        reconnecting: Reconnecting = SOON,
    ) -> None:
        path = "citizen" if who == CITIZEN else "agent"
        super().__init__(http, f"{base}/ws/{path}", hello, None if who == CITIZEN else chat)
        self.base, self.chat, self.who, self.headers = base, chat, who, dict(headers or {})
        self._recorder, self._second_tab, self._reconnecting = recorder, second_tab, reconnecting
        self._connection_number = 0
        self._close_code: int | None = None
        self._from_the_start = False
        self._fetching: set[asyncio.Task[None]] = set()
        self.sent_at: dict[str, float] = {}
        """Id of a message → when it was sent for the first time."""
        self.shown_at: dict[str, float] = {}
        """Id of a message → when it was shown for the first time."""
        self.unassigned = False

    # ── what they do ─────────────────────────────────────────────────────────────────────────────────────────────────

    def wrote(self, frame: Frame) -> None:
        """Record a message that is about to be sent for the first time."""
        content = digest(frame.get("attachment") or frame.get("text"))
        self.sent_at[frame["id"]] = time.monotonic()
        self._recorder.record(Sent(self.chat, self.who, frame["id"], content))

    async def reload(self) -> None:
        """Forget what was shown and ask for all of it again; messages without a receipt are kept."""
        self._from_the_start = True
        await self.hang_up()

    async def end(self) -> None:
        """Close the chat; returns when the server has said that it is closed."""
        self._recorder.record(CloseRequested(self.chat, self.who))
        await super().end()

    async def download(self, format: str = "json", final: bool = False) -> bool:
        """Request the transcript until it comes, or for too long.

        Returns:
            Whether a JSON transcript says that the chat has ended; of another format, whether it came.
        """
        ended: list[bool] = []

        async def get() -> bool:
            asked = time.monotonic()
            answer = await self._request("GET", "GET transcript", f"transcript?format={format}")
            if answer.status != 200:
                return False
            if format != "json":
                ended.append(bool(await answer.read()))
                return ended[-1]
            given = await answer.json()
            messages = tuple(message_of(m) for m in given["messages"])
            ended.append(given["closed_at"] is not None)
            self._recorder.record(Downloaded(self.chat, self.who, asked, messages, ended[-1], final))
            return True

        await until_done(get)
        return ended[-1:] == [True]

    async def attach(self, name: str, body: bytes, content_type: str = "application/octet-stream") -> bool:
        """Upload a file and post it; whether it was stored."""
        stored: list[str] = []

        async def put() -> bool:
            form = aiohttp.FormData()
            form.add_field("file", io.BytesIO(body), filename=name, content_type=content_type)
            answer = await self._request("POST", "upload", "attachments", data=form)
            if answer.status == 201:
                stored.append((await answer.json())["id"])
                self._recorder.record(Uploaded(self.chat, self.who, stored[0], digest(body)))
            return answer.status < 500

        if not await until_done(put, lambda: self.over) or not stored or self.over:
            return False
        await self.post(attachment=stored[0])
        return True

    async def fetch(self, attachment: str) -> None:
        """Get an attachment's bytes, and try again when it fails."""
        got: list[bytes] = []

        async def get() -> bool:
            answer = await self._request("GET", "GET attachments", f"attachments/{attachment}")
            if answer.status == 200:
                got.append(await answer.read())
            return answer.status < 500 and answer.status != 429

        await until_done(get)
        self._recorder.record(Fetched(self.chat, self.who, attachment, digest(got[0]) if got else ""))

    async def fetched(self) -> None:
        """Returns when they have every attachment that they were shown."""
        await asyncio.gather(*self._fetching)

    def unassign(self) -> None:
        """The chat is no longer this agent's."""
        self._recorder.record(Unassigned(self.chat, self.who))
        self.over = self.unassigned = True

    async def _request(self, method: str, name: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Send a request about this chat, and record its status under this name."""
        began, status = time.monotonic(), 0
        try:
            url = f"{self.base}/api/chats/{self.chat}/{path}"
            answer = await self.http.request(method, url, headers=self.headers, **options)
            status = answer.status
            return answer
        finally:
            self._recorder.record(Answered(self.chat, self.who, name, began, status))

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Connect again and again until the chat is over."""
        tries = 0
        while not self.over:
            received, self._close_code = len(self.frames), None
            with contextlib.suppress(*FAILED):
                await self._connection()
            self._ws = None
            tries = 0 if len(self.frames) > received else tries + 1
            if not self.over:
                await asyncio.sleep(self._reconnecting.delay(tries, self._close_code))

    async def _connection(self) -> None:
        self._connection_number = self._recorder.new_connection()
        timeout = aiohttp.ClientWSTimeout(ws_receive=self._reconnecting.silence, ws_close=1)
        async with asyncio.timeout(self._reconnecting.opening):
            ws = await self.http.ws_connect(self.url, headers={"Origin": self.base}, timeout=timeout)
        try:
            after, self._from_the_start = 0 if self._from_the_start else max(self.log, default=0), False
            await ws.send_json(self.hello(after))
            async for message in ws:
                await self._receive(ws, message.json())
                if self.over:
                    break
            self._close_code = ws.close_code
        finally:
            self._ws = None
            self._recorder.record(Disconnected(self.chat, self.who, self._connection_number, self._close_code))
            with contextlib.suppress(*FAILED):
                await ws.close()

    async def _receive(self, ws: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        kind, mine = frame["type"], self.chat_id is None or frame.get("chat_id") == self.chat_id
        if kind == "welcome" and self.chat_id is None:
            self._recorder.record(Connected(self.chat, self.who, self._connection_number))
        elif kind == "status" and not self._second_tab:
            agent = (frame["agent"] or {}).get("name", "")
            self._recorder.record(StatusShown(self.chat, self.who, frame["dot"], agent, frame.get("position")))
        elif kind == "closed" and mine and not self._second_tab:
            self._recorder.record(Closed(self.chat, self.who, frame["reason"]))
        elif kind == "unassigned" and mine:
            self.unassign()
        elif kind == "error" and mine:
            self._recorder.record(ErrorShown(self.chat, self.who, frame.get("id") or "", frame["code"]))
        await super()._receive(ws, frame)

    async def _keep(self, ws: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        if frame["seq"] <= max(self.log, default=0) + 1:  # else there is a hole: it is not shown, but asked for again
            message = message_of(frame)
            self._recorder.record(Shown(self.chat, self.who, self._connection_number, message))
            is_new = message.id not in self.shown_at
            self.shown_at.setdefault(message.id, time.monotonic())
            if is_new and message.attachment and message.id not in self.sent_at and not self._second_tab:
                task = asyncio.create_task(self.fetch(message.attachment))
                self._fetching.add(task)
                task.add_done_callback(self._fetching.discard)
        await super()._keep(ws, frame)

    def _refuse(self, frame: Frame) -> None:
        if frame["code"] not in NOT_FOR_GOOD and frame.get("id"):
            self._recorder.record(Refused(self.chat, self.who, frame["id"], frame["code"]))
            self.pending.pop(frame["id"], None)
        super()._refuse(frame)
