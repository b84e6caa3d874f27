"""The frames of a citizen over HTTP, as an independent client speaks it: a stream down, one request at a time up."""

import asyncio
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Any
from zlib import crc32

import aiohttp

from tests.support.clients import Citizen, Frame, new_id
from tests.support.lasting_clients import Lasting

REOPENINGS = 3
STATES = ("status", "read", "inactive")
SECONDS_LEFT = ',"seconds":'  # of `inactive`: not part of its id
RETRY_LATER = ("rate_limited", "unavailable")


class HttpFrames:
    """Frames of one chat. Iterating gives those of the server, until it is closed; `close_code` says how.

    Args:
        participant: The citizen whose chat was started.
        poll: Whether each answer is a poll.
    """

    def __init__(self, participant: Citizen, poll: bool = False) -> None:
        self.participant, self.poll = participant, poll
        self.after = 0
        self.close_code: int | None = None
        self.session = new_id()
        self.posts: deque[str] = deque(maxlen=20)  # how the last requests with frames ended
        self._known: dict[str, str] = {}
        self._frames: asyncio.Queue[Frame | None] = asyncio.Queue()
        self._outbox: list[Frame] = []
        self._news = asyncio.Event()
        self._answer: asyncio.Task[bool] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        return f"{self.participant.base}/api/chats/{self.participant.chat_id}"

    async def __aenter__(self) -> "HttpFrames":
        self._tasks = [
            asyncio.create_task(self._read(), name="reading"),
            asyncio.create_task(self._post(), name="posting"),
        ]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._end(None)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def __aiter__(self) -> AsyncIterator[Frame]:
        while (frame := await self._frames.get()) is not None:
            yield frame

    async def send_json(self, frame: Frame) -> None:
        """Send a frame; a hello opens the stream anew."""
        if frame["type"] == "hello":
            self.after = frame["after"]
            if self._answer:
                self._answer.cancel()
            return
        if frame["type"] == "message" and frame in self._outbox:  # sent again after a welcome: it is still on its way
            return
        self._outbox.append(frame)
        self._news.set()

    async def close(self) -> None:
        self._end(1000)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """A half that ended by itself ends the session: its client begins another one, and a test sees why."""
        if self.close_code is None:
            failure = "cancelled" if task.cancelled() else repr(task.exception())
            self.posts.append(f"{task.get_name()} ended: {failure}")
            self._end(1006)

    def _end(self, code: int | None) -> None:
        self.close_code = code if self.close_code is None else self.close_code
        self._frames.put_nowait(None)
        if self._answer:
            self._answer.cancel()

    # ── down ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read(self) -> None:
        vain = 0
        while self.close_code is None:
            began = asyncio.get_running_loop().time()
            self._answer = asyncio.create_task(self._read_one())
            await asyncio.wait([self._answer])
            if self._answer.cancelled():
                continue
            got = not self._answer.exception() and self._answer.result()
            vain = 0 if got else vain + 1
            if vain >= REOPENINGS:
                return self._end(1006)
            taken = asyncio.get_running_loop().time() - began
            await asyncio.sleep(0.5 if vain else max(0, 0.2 - taken) if self.poll else 0)
        return None

    async def _read_one(self) -> bool:
        """Whether a frame came."""
        query = {"after": str(self.after), "session": self.session}
        if self.poll:
            query |= {"poll": "true", "known": ",".join(self._known.values())}
        timeout = aiohttp.ClientTimeout(total=None, sock_read=15)
        received, event = False, {}
        with contextlib.suppress(aiohttp.ClientPayloadError, ConnectionError):  # cut off: what came, came
            async with self.participant.http.get(
                f"{self.url}/stream", params=query, headers=self.participant.bearer, timeout=timeout
            ) as answer:
                if answer.status != 200:
                    return False
                assert answer.content_type == "text/event-stream"
                async for line in answer.content:
                    name, _, value = line.decode().removesuffix("\n").partition(": ")
                    if name:
                        event[name] = value
                    elif "data" in event:
                        received = True
                        self._receive(event)
                        event = {}
                    else:
                        event = {}
        return received

    def _receive(self, event: dict[str, str]) -> None:
        frame: Any = json.loads(event["data"])
        if event.get("event") == "close":
            return self._end(frame["code"])
        if "id" in event:
            assert frame["type"] in STATES
            assert event["id"] == f"{crc32(event['data'].partition(SECONDS_LEFT)[0].encode()):08x}"
            self._known[frame["type"]] = event["id"]
        if frame["type"] == "message" and frame["seq"] == self.after + 1:
            self.after += 1
        return self._frames.put_nowait(frame)

    # ── up ───────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _post(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._outbox:
                frames = self._outbox[:32]
                refused = await self._post_one(frames)
                if refused is None:
                    await asyncio.sleep(0.3)
                    continue
                del self._outbox[: len(frames)]
                if any(frame["code"] in RETRY_LATER for frame in refused):
                    self._outbox.clear()
                for frame in refused:
                    self._frames.put_nowait(frame)

    async def _post_one(self, frames: list[Frame]) -> list[Frame] | None:
        timeout = aiohttp.ClientTimeout(total=25)
        try:
            async with self.participant.http.post(
                f"{self.url}/frames", json={"frames": frames}, headers=self.participant.bearer, timeout=timeout
            ) as answer:
                self.posts.append(f"{answer.status}")
                if answer.status == 200:
                    refused: list[Frame] = (await answer.json())["frames"]
                    return refused
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            self.posts.append(repr(error))
        return None


class LastingOverHttp(Lasting):
    """A citizen who continues whatever fails, without a websocket."""

    def __init__(self, participant: Citizen, poll: bool = False) -> None:
        super().__init__(
            participant.http, f"{participant.base}/ws/citizen", lambda after: {"type": "hello", "after": after}
        )
        self.participant, self.poll = participant, poll
        self._posts: deque[str] = deque()

    def carrier(self) -> str:
        """Return how the last requests with frames ended."""
        return "; the last requests: " + ", ".join(self._posts)

    async def _connection(self) -> None:
        async with HttpFrames(self.participant, self.poll) as frames:
            self._posts = frames.posts
            frames.after = max(self.log, default=0)
            async for frame in frames:
                await self._receive(frames, frame)  # type: ignore[arg-type]
        self.closes.append(frames.close_code)
