"""Participants who continue whatever fails, as the protocol asks of every client.

They reconnect, say hello with the last seq shown, and send messages without a receipt again under the same id. They
record what they were shown, and when.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp

from tests.support.clients import Agent, Citizen, Frame, agent, begin, citizen, new_id

UNDER_WAY = 32
AGAIN = 0.3  # seconds before what was refused for now is sent again
OVERALL = 300.0  # seconds: a guard against hanging, never a promise


class Lasting:
    """One participant of one chat. `hello` makes the first frame from the last seq that was shown."""

    def __init__(
        self, http: aiohttp.ClientSession, url: str, hello: Callable[[int], Frame], chat_id: str | None = None
    ) -> None:
        self.http, self.url, self.hello, self.chat_id = http, url, hello, chat_id
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._news = asyncio.Condition()
        self._saying = asyncio.Lock()  # one after the other waits for room
        self._sending = asyncio.Lock()  # what is sent again keeps its order
        self._again: asyncio.Task[None] | None = None
        self.pending: dict[str, Frame] = {}
        self.posted: list[str] = []
        self.log: dict[int, Frame] = {}
        self.frames: list[tuple[float, Frame]] = []
        self.closes: list[int | None] = []
        self.refused: list[str] = []
        self.twice: list[Frame] = []
        self.over = False
        self.reason: str | None = None

    # ── what a test asks ─────────────────────────────────────────────────────────────────────────────────────────────

    async def say(self, text: str) -> str:
        """Posts a text and returns its id at once; waits while 32 are without a receipt."""
        return await self.post(text=text)

    async def post(self, **content: str) -> str:
        """Like `say`, for a text or an attachment."""
        id_ = new_id()
        members = {"chat_id": self.chat_id} if self.chat_id else {}
        async with self._saying:
            await self.until(lambda: len(self.pending) < UNDER_WAY, f"room for {content}")
            async with self._sending:
                self.pending[id_] = {"type": "message", "id": id_, **content, **members}
                self.posted.append(id_)
                self.wrote(self.pending[id_])
                await self._send(self.pending[id_])
        return id_

    def wrote(self, frame: Frame) -> None:
        """Called before a message is sent for the first time, in the order of writing."""

    async def until(self, condition: Callable[[], object], what: str, wait: float = OVERALL) -> None:
        """Returns as soon as the condition holds; looks at each frame that comes."""
        try:
            async with asyncio.timeout(wait), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            errors = [f for _, f in self.frames if f["type"] == "error"]
            raise AssertionError(
                f"waited {wait:.0f} s in vain for {what}; {len(self.pending)} without a receipt, "
                f"closes: {self.closes}, errors: {errors[-3:]}{self.carrier()}"
            ) from None

    async def shown(self, id_: str, wait: float = OVERALL) -> None:
        """Returns when the message with this id was shown."""
        await self.until(lambda: any(m["id"] == id_ for m in self.log.values()), f"message {id_}", wait)

    async def status(self, **members: Any) -> Frame:
        """The last status frame, as soon as it has these members."""
        await self.until(lambda: members.items() <= self.last("status").items(), f"status {members}")
        return self.last("status")

    def last(self, kind: str) -> Frame:
        """The last frame of this type, or an empty one."""
        return next((f for _, f in reversed(self.frames) if f["type"] == kind), {})

    def messages(self) -> list[Frame]:
        """What was shown, in the order of seq, as the transcript has it."""
        return [
            {k: v for k, v in self.log[s].items() if k not in ("type", "chat_id", "about")} for s in sorted(self.log)
        ]

    async def end(self) -> None:
        """Closes the chat and waits until the server says that it is closed."""
        while not self.over:
            if self._ws is not None:
                await self._send({"type": "close", **({"chat_id": self.chat_id} if self.chat_id else {})})
            with contextlib.suppress(AssertionError):
                await self.until(lambda: self.over, "the end of the chat", 2)

    def carrier(self) -> str:
        """What is known of the connection beside its frames."""
        return ""

    async def hang_up(self) -> bool:
        """Close the connection; whether there was one. Another one comes by itself while the chat lasts."""
        ws = self._ws
        if ws is not None:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                await ws.close()
        return ws is not None

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────────────────

    async def run(self) -> None:
        """Connects again and again until the chat is over."""
        while not self.over:
            with contextlib.suppress(aiohttp.ClientError, OSError, TimeoutError):
                await self._connection()
            self._ws = None
            await asyncio.sleep(random.uniform(0.05, 0.3))

    async def _connection(self) -> None:
        timeout = aiohttp.ClientWSTimeout(ws_close=2)
        base = self.url.replace("/ws/", "/").rsplit("/", 1)[0]
        async with self.http.ws_connect(self.url, headers={"Origin": base}, timeout=timeout) as ws:
            await ws.send_json(self.hello(max(self.log, default=0)))
            async for message in ws:
                await self._receive(ws, message.json())
            self.closes.append(ws.close_code)

    async def _receive(self, ws: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        self.frames.append((time.monotonic(), frame))
        kind = frame["type"]
        mine = self.chat_id is None or frame.get("chat_id") == self.chat_id
        for chat_id in self._offered(frame):
            await ws.send_json({"type": "accept", "chat_id": chat_id})
        if kind == "welcome":
            async with self._sending:
                self._ws = ws
                await self._send_pending()
        elif kind == "message" and mine:
            await self._keep(ws, frame)
        elif kind == "error" and mine:
            self._refuse(frame)
        elif kind == "sync" and mine and frame["last_seq"] > max(self.log, default=0):
            await ws.send_json(self.hello(max(self.log, default=0)))
        elif kind == "closed" and mine:
            self.over, self.reason = True, frame["reason"]
        async with self._news:
            self._news.notify_all()

    def _offered(self, frame: Frame) -> list[str]:
        """The chats that this agent has been given and has not accepted."""
        if self.chat_id is None or frame["type"] not in ("welcome", "assigned"):
            return []
        chats = frame["chats"] if frame["type"] == "welcome" else [frame["chat"]]
        return [c["chat_id"] for c in chats if not c["accepted"]]

    async def _keep(self, ws: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        known = self.log.get(frame["seq"])
        if known is None and frame["seq"] > max(self.log, default=0) + 1:
            await ws.send_json(self.hello(max(self.log, default=0)))
            return
        if known is not None and known != frame:
            self.twice.append(frame)
        self.log[frame["seq"]] = frame
        self.pending.pop(frame["id"], None)

    def _refuse(self, frame: Frame) -> None:
        if frame["code"] not in ("unavailable", "rate_limited"):
            self.refused.append(frame["code"])
        elif frame.get("id") in self.pending and (self._again is None or self._again.done()):
            self._again = asyncio.create_task(self._send_again())

    async def _send_again(self) -> None:
        await asyncio.sleep(AGAIN)
        async with self._sending:
            await self._send_pending()

    async def _send_pending(self) -> None:
        for pending in tuple(self.pending.values()):
            await self._send(pending)

    async def _send(self, frame: Frame) -> None:
        with contextlib.suppress(aiohttp.ClientError, OSError, ConnectionError):
            if self._ws is not None:
                await self._ws.send_json(frame)


def lasting_citizen(participant: Citizen) -> Lasting:
    """The citizen of a chat that was started."""

    def hello(after: int) -> Frame:
        return {"type": "hello", "token": participant.token, "after": after}

    return Lasting(participant.http, f"{participant.base}/ws/citizen", hello)


def lasting_agent(participant: Agent, chat_id: str) -> Lasting:
    """An agent, in one of their chats."""

    def hello(after: int) -> Frame:
        return {"type": "hello", "chats": {chat_id: after}}

    return Lasting(participant.http, f"{participant.base}/ws/agent", hello, chat_id)


class Talk:
    """A citizen and an agent in conversation, who go on talking whatever fails."""

    def __init__(self, visitor: Citizen, helper: Agent) -> None:
        self.visitor, self.helper = visitor, helper
        self.citizen, self.agent = lasting_citizen(visitor), lasting_agent(helper, visitor.chat_id)
        self._count = 0
        self._quiet = asyncio.Event()
        self._chatter: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """From now on each says something, again and again, until they are quiet."""
        self._chatter = asyncio.create_task(self._talk())

    @property
    def tasks(self) -> list["asyncio.Task[None]"]:
        """What is to be cancelled when a test fails."""
        return [self._chatter] if self._chatter else []

    async def _talk(self) -> None:
        while not self._quiet.is_set():
            self._count += 1
            await self.citizen.say(f"vraag {self._count}")
            await self.agent.say(f"antwoord {self._count}")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._quiet.wait(), 0.05)

    async def quiet(self) -> None:
        """Both stop talking, when the last of what they say has its receipt."""
        self._quiet.set()
        if self._chatter:
            await self._chatter
        for side in (self.citizen, self.agent):
            await side.until(lambda side=side: not side.pending, "all receipts")  # type: ignore[misc]

    async def flows(self, wait: float = OVERALL) -> float:
        """Seconds until something new that each says from now on was shown to both."""
        began = time.monotonic()
        ids = [await self.citizen.say("en nu?"), await self.agent.say("en nu!")]
        await asyncio.gather(*(p.shown(id_, wait) for p in (self.citizen, self.agent) for id_ in ids))
        return time.monotonic() - began

    async def check(self) -> list[Frame]:
        """Everything posted is there once and in order, dense, the same on both sides and in the transcript."""
        await self.quiet()
        both = (self.citizen, self.agent)
        top = max(max(side.log) for side in both)
        for side in both:
            await side.until(lambda side=side: max(side.log) >= top, f"seq {top}")  # type: ignore[misc]
            assert sorted(side.log) == list(range(1, max(side.log) + 1)), "seq is not dense"
            assert side.twice == [], "one seq was shown with two contents"
            assert side.refused == [], "something was refused"
        answer = await self.visitor.transcript()
        assert answer.status == 200, await answer.text()
        kept: list[Frame] = (await answer.json())["messages"]
        assert self.citizen.messages() == kept[: len(self.citizen.log)]
        assert self.agent.messages() == kept[: len(self.agent.log)]
        for side, who in ((self.citizen, "citizen"), (self.agent, "agent")):
            assert [m["id"] for m in kept if m["from"] == who] == side.posted, f"what the {who} said"
        return kept


@contextlib.asynccontextmanager
async def talking(base: str, username: str = "an") -> AsyncIterator[Talk]:
    """A talk under way, both sides talking; the citizen ends it, and the agent logs out, at the end."""
    async with agent(base, username) as helper, citizen(base) as visitor:
        await begin(visitor)
        talk = Talk(visitor, helper)
        running = [asyncio.create_task(side.run()) for side in (talk.citizen, talk.agent)]
        try:
            await talk.citizen.status(dot="green")
            await talk.agent.until(lambda: talk.agent.log, "the chat")
            talk.begin()
            await talk.agent.until(lambda: len(talk.agent.log) > 10, "a conversation under way")
            await helper.socket.close()  # from here on they have one connection, which lasts
            yield talk
            await talk.quiet()
            await talk.citizen.end()
        finally:
            for task in (*running, *talk.tasks):
                task.cancel()
            await asyncio.gather(*running, *talk.tasks, return_exceptions=True)
