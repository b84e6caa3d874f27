"""Citizens and agents over the public protocol who go on whatever fails, many of them in one process."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import aiohttp

from tests.support.clients import Frame, http_client, new_id
from tests.support.lasting_clients import Lasting
from tests.system.soak.history import Press, Visit

FAILED = (aiohttp.ClientError, OSError, TimeoutError)
ANSWER = 30.0  # seconds that somebody waits for an answer over HTTP
AGAIN = 3.0  # seconds before a frame that had no effect is sent again


@contextlib.asynccontextmanager
async def many_browsers() -> AsyncIterator[aiohttp.ClientSession]:
    """A client for any number of citizens: no cookies, no limit of connections."""
    connector = aiohttp.TCPConnector(limit=0)
    async with http_client(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:
        yield http


class Caller:
    """A citizen: presses until they are served, says hello, stays until the chat is over."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http, self.base = http, base
        self.visit = Visit()
        self.token = ""
        self._side: Lost | None = None
        self._running: asyncio.Task[None] | None = None

    async def press(self, key: str, **body: str) -> int:
        """The status of the answer, 0 when none came."""
        began, status = time.monotonic(), 0
        with contextlib.suppress(*FAILED):
            async with asyncio.timeout(ANSWER):
                answer = await self._http.post(f"{self.base}/api/chats", json=body, headers={"Idempotency-Key": key})
                status = answer.status
                if status == 201:
                    started = await answer.json()
                    self.visit.chat_id, self.token = started["chat_id"], started["token"]
        self.visit.presses.append(Press(began, time.monotonic(), status))
        return status

    def join(self) -> None:
        """Connects, and from now on again whenever the connection is lost."""
        self._side = Lost(self._http, self.base, self.token, self.visit)
        self._running = asyncio.create_task(self._side.run())

    async def until(self, condition: Callable[[], object], wait: float) -> bool:
        """Whether the condition came to hold in time; looked at with each frame."""
        assert self._side
        try:
            await self._side.until(condition, "", wait)
        except AssertionError:
            return False
        return True

    async def until_green(self, wait: float) -> bool:
        """Whether they had an agent in time, or the end of the chat came first."""
        return await self.until(lambda: self.visit.served_at or self.visit.closed, wait)

    async def say(self, text: str) -> None:
        assert self._side
        with contextlib.suppress(AssertionError):  # it is sent again by itself for as long as the chat lasts
            await self._side.say(text)

    async def cut(self) -> bool:
        """Ends the connection, as a browser that goes on to another page; whether there was one. It comes back."""
        assert self._side
        return await self._side.hang_up()

    async def send_file(self, body: bytes) -> bool:
        """Uploads a small file and posts it; whether that went well."""
        assert self._side
        form = aiohttp.FormData()
        form.add_field("file", b"%PDF-1.4\n" + body, filename="bijlage.pdf", content_type="application/pdf")
        with contextlib.suppress(*FAILED, AssertionError):
            answer = await self._http.post(f"{self._address}/attachments", data=form, headers=self._bearer)
            if answer.status == 201:
                await self._side.post(attachment=(await answer.json())["id"])
                return True
        return False

    async def download(self, format: str) -> bool:
        """Reads the whole transcript; whether that went well."""
        with contextlib.suppress(*FAILED):
            url = f"{self._address}/transcript?format={format}"
            async with self._http.get(url, headers=self._bearer) as answer:
                return answer.status == 200 and bool(await answer.read())
        return False

    @property
    def _address(self) -> str:
        return f"{self.base}/api/chats/{self.visit.chat_id}"

    @property
    def _bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    async def leave(self, wait: float = 60.0) -> bool:
        """Closes the chat; whether it was over in time."""
        assert self._side
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                await self._side.end()
        return self._side.over

    async def gone(self) -> None:
        """Their browser is closed."""
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)


class Lost(Lasting):
    """A citizen's side that notes every frame, and every loss of its connection, in their visit."""

    def __init__(self, http: aiohttp.ClientSession, base: str, token: str, visit: Visit) -> None:
        def hello(after: int) -> Frame:
            return {"type": "hello", "token": token, "after": after}

        super().__init__(http, f"{base}/ws/citizen", hello)
        self._visit = visit
        self.frames = visit.frames

    async def run(self) -> None:
        """Connects again and again until the chat is over, later each time when it does not help."""
        tries = 0
        while not self.over:
            heard = len(self.frames)
            with contextlib.suppress(*FAILED):
                await self._connection()
            self._ws = None
            tries = 0 if len(self.frames) > heard else tries + 1
            await asyncio.sleep(random.uniform(0.1, 0.5) * pause(tries))

    async def _connection(self) -> None:
        try:
            await super()._connection()
        finally:
            if not self.over:
                self._visit.losses.append(time.monotonic())


def pause(tries: int) -> float:
    """By how much longer somebody waits after so many tries in vain: a crowd that does not would keep a door shut."""
    return float(min(2**tries, 16))


@dataclass(frozen=True)
class Manners:
    """How an agent works: seconds until they accept and of a talk (at random between), how often they close it."""

    accepts: tuple[float, float] = (0.05, 0.3)
    talks: tuple[float, float] = (0.3, 1.2)
    closes: float = 0.5
    longest: float = 15.0  # after so long they close in any case


class Worker:
    """An agent in a browser tab: takes every chat that they are given, talks, and closes or waits to be closed."""

    def __init__(self, base: str, username: str, rng: random.Random, manners: Manners) -> None:
        self.base, self.username, self._rng, self._manners = base, username, rng, manners
        self.http = http_client(cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(limit=0))
        self.agent_id = ""
        self.state = ""
        self.deaf = False  # answers no ping and reads nothing, while its connection stays open
        self.served: set[str] = set()
        self.overdue = 0  # how often they were paused because they did not accept in time
        self.stays = True  # connects again when its connection is lost
        self.ended_at: float | None = None
        self._tab: aiohttp.ClientSession | None = None
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._chats: dict[str, asyncio.Task[None]] = {}
        self._seqs: dict[str, int] = {}
        self._receipts: set[str] = set()
        self._news = asyncio.Condition()
        self._running: asyncio.Task[None] | None = None
        self._resuming: asyncio.Task[None] | None = None

    # ── coming and going ─────────────────────────────────────────────────────────────────────────────────────────────

    async def come(self, wait: float = 60.0) -> None:
        """Logs in, whatever fails on the way, and is welcomed."""
        await self.log_in(wait)
        self.open_tab()
        await self.until(lambda: self._ws is not None, f"the welcome of {self.username}", wait)

    async def log_in(self, wait: float = 60.0) -> None:
        end = time.monotonic() + wait
        body = {"username": self.username, "password": "demo"}
        while True:
            with contextlib.suppress(*FAILED):
                url = f"{self.base}/api/agent/session"
                if (await self.http.post(url, json=body, headers={"Origin": self.base})).status == 204:
                    return
            assert time.monotonic() < end, f"{self.username} cannot log in"
            await asyncio.sleep(self._rng.uniform(0.2, 1.0))

    def open_tab(self) -> None:
        """Connects, and again whenever the connection is lost, until the tab is closed."""
        self.stays, self.deaf, self.ended_at = True, False, None
        self._running = asyncio.create_task(self._run())

    async def fall_silent(self) -> None:
        """From now on no ping is answered and nothing is sent; the connection stays open (a machine that hangs)."""
        self.deaf, self.stays = True, False
        self._forget_chats()

    async def close_tab(self, politely: bool = True) -> None:
        """The connection ends, with a close frame or without one; they are not logged out."""
        self.stays = False
        self._forget_chats()
        if politely and self._ws:
            await self._ws.close()
        if self._tab:
            await self._tab.close()
        await self._end_run()

    async def log_out(self, wait: float = 30.0) -> None:
        """Logs out, and is gone."""
        self.stays = False
        end = time.monotonic() + wait
        while time.monotonic() < end:
            with contextlib.suppress(*FAILED):
                url = f"{self.base}/api/agent/session"
                if (await self.http.delete(url, headers={"Origin": self.base})).status in (204, 401):
                    break
            await asyncio.sleep(0.2)
        await self.close_tab()

    async def away(self) -> None:
        """They are logged out, and nothing of them is left in this process."""
        with contextlib.suppress(*FAILED):
            await self.log_out(5)
        await self.http.close()

    async def set_state(self, state: str, wait: float = 20.0) -> None:
        """Available or paused, asked for again until it is so."""
        end = time.monotonic() + wait
        while self.state != state and time.monotonic() < end:
            await self.send({"type": "state", "state": state})
            with contextlib.suppress(AssertionError):
                await self.until(lambda: self.state == state, state, AGAIN)

    async def until(self, condition: Callable[[], object], what: str, wait: float) -> None:
        """Returns as soon as the condition holds; looked at with each frame."""
        try:
            async with asyncio.timeout(wait), self._news:
                await self._news.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"waited {wait:.0f} s in vain for {what}") from None

    @property
    def chats(self) -> set[str]:
        """What is on their desk."""
        return set(self._chats)

    async def send(self, frame: Frame) -> None:
        ws = self._ws
        if ws is not None and not self.deaf:
            with contextlib.suppress(*FAILED, RuntimeError):
                await ws.send_json(frame)

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        tries = 0
        while self.stays:
            self._ws = None
            with contextlib.suppress(*FAILED):
                await self._connection()
            tries = 0 if self._ws else tries + 1
            self._ws, self.ended_at = None, time.monotonic()
            if self.stays:
                await asyncio.sleep(self._rng.uniform(0.1, 0.5) * pause(tries))

    async def _connection(self) -> None:
        # A session of its own, with the cookie: closing it cuts the connection off without a close frame.
        jar = self.http.cookie_jar
        async with http_client(cookie_jar=jar, connector=aiohttp.TCPConnector()) as self._tab:
            timeout = aiohttp.ClientWSTimeout(ws_close=1)
            url, origin = f"{self.base}/ws/agent", {"Origin": self.base}
            async with self._tab.ws_connect(url, headers=origin, autoping=False, timeout=timeout) as ws:
                await ws.send_json({"type": "hello", "chats": self._seqs})
                await self._read(ws)

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await ws.receive()
            if self.deaf:
                await asyncio.Event().wait()
            elif message.type == aiohttp.WSMsgType.PING:
                await ws.pong(message.data)
            elif message.type == aiohttp.WSMsgType.TEXT:
                self._hear(ws, message.json())
                async with self._news:
                    self._news.notify_all()
            elif message.type != aiohttp.WSMsgType.PONG:
                return

    def _hear(self, ws: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        chat_id = frame.get("chat_id", "")
        match frame["type"]:
            case "welcome":
                self._ws, self.agent_id, self.state = ws, frame["agent"]["id"], frame["agent"]["state"]
                for gone in self.chats - {c["chat_id"] for c in frame["chats"]}:
                    self._forget(gone)
                for chat in frame["chats"]:
                    self._take(chat["chat_id"])
            case "assigned":
                self._take(frame["chat"]["chat_id"])
            case "unassigned" | "closed":
                self._forget(chat_id)
            case "message":
                self._receipts.add(frame["id"])
                self._seqs[chat_id] = max(frame["seq"], self._seqs.get(chat_id, 0))
            case "state":
                self.state = frame["state"]
                if self.state == "paused" and frame.get("reason") == "accept_overdue":
                    self.overdue += 1
                    self._resuming = asyncio.create_task(self.set_state("available"))

    # ── the work ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, chat_id: str) -> None:
        if chat_id not in self._chats and self.stays:
            self.served.add(chat_id)
            self._chats[chat_id] = asyncio.create_task(self._serve(chat_id))

    def _forget(self, chat_id: str) -> None:
        self._seqs.pop(chat_id, None)
        if task := self._chats.pop(chat_id, None):
            task.cancel()

    def _forget_chats(self) -> None:
        for chat_id in self.chats:
            self._forget(chat_id)

    async def _serve(self, chat_id: str) -> None:
        """Accepts, answers, and closes at once or when the citizen did not; all of it again until it has its effect."""
        rng, manners = self._rng, self._manners
        await asyncio.sleep(rng.uniform(*manners.accepts))
        await self.send({"type": "accept", "chat_id": chat_id})
        answer = {"type": "message", "chat_id": chat_id, "id": new_id(), "text": "Waarmee kan ik u helpen?"}
        while answer["id"] not in self._receipts:
            await self.send(answer)
            with contextlib.suppress(AssertionError):
                await self.until(lambda: answer["id"] in self._receipts, "a receipt", AGAIN)
        self._receipts.discard(answer["id"])
        talk = rng.uniform(*manners.talks)
        await asyncio.sleep(talk if rng.random() < manners.closes else talk + manners.longest)
        while True:
            await self.send({"type": "close", "chat_id": chat_id})
            await asyncio.sleep(AGAIN)

    async def _end_run(self) -> None:
        for task in (self._running, self._resuming):
            if task:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        self._ws = None
