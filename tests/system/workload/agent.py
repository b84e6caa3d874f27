"""An agent with one websocket for all their chats, as the console has it."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from tests.support.clients import Frame, http_client, new_id
from tests.system.history import Connected, Disconnected, Recorder
from tests.system.workload.participant import Participant
from tests.system.workload.reconnecting import FAILED, WITH_BACKOFF, Reconnecting

REPEAT = 3.0  # seconds before a frame that had no effect is sent again
LOGGED_OUT = 4401  # close code


class AgentChat(Participant):
    """One chat of an agent; frames go over the agent's websocket."""

    accepts = False
    """Whether the agent has accepted the chat; after a reconnect it is accepted again where that was lost."""

    async def accept(self) -> None:
        """Accept the chat."""
        self.accepts = True
        await self._send({"type": "accept", "chat_id": self.chat})

    def attach_to(self, ws: aiohttp.ClientWebSocketResponse | None, number: int = 0) -> None:
        """Use this websocket from now on, the connection with this number."""
        self._ws, self._connection_number = ws, number

    async def receive(self, ws: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        """Handle a frame that came over the agent's websocket."""
        await self._receive(ws, frame)

    def _offered(self, frame: Frame) -> list[str]:
        return [chat_id for chat_id in super()._offered(frame) if self.accepts and chat_id == self.chat]


Serve = Callable[[AgentChat], Coroutine[Any, Any, None]]
"""What an agent does in a chat, from its assignment until it ends."""


@dataclass(frozen=True)
class Service:
    """Accept, answer, and close: seconds until acceptance and of the conversation (at random between).

    `closes`: the share of the chats that the agent closes; the others are closed after `longest` seconds.
    """

    accepts: tuple[float, float] = (0.05, 0.3)
    talks: tuple[float, float] = (0.3, 1.2)
    closes: float = 0.5
    longest: float = 15.0
    rng: random.Random = field(default_factory=random.Random)

    async def __call__(self, chat: AgentChat) -> None:
        await asyncio.sleep(self.rng.uniform(*self.accepts))
        await chat.accept()
        answer = await chat.say(f"Waarmee kan ik u helpen? (antwoord {new_id()[:8]})")
        while answer not in chat.shown_at:
            with contextlib.suppress(AssertionError):
                await chat.shown(answer)
        talk = self.rng.uniform(*self.talks)
        await asyncio.sleep(talk if self.rng.random() < self.closes else talk + self.longest)
        await chat.end()


class LastingAgent:
    """An agent in a browser tab, who takes every chat that is assigned to them and continues whatever fails."""

    def __init__(
        self,
        base: str,
        username: str,
        recorder: Recorder,
        serve: Serve,
        reconnecting: Reconnecting = WITH_BACKOFF,
        on_chat: Callable[[AgentChat], None] = lambda _: None,
    ) -> None:
        self.base, self.username = base, username
        self.http = http_client(cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(limit=0))
        self.agent_id = ""
        self.state = ""
        self._wanted_state = "available"
        self.hangs = False  # answers no ping and reads nothing, while the connection stays open
        self.served: set[str] = set()
        self.overdue = 0  # how often they were paused because they did not accept in time
        self.stays = True  # connects again when the connection is lost
        self.ended_at: float | None = None
        self._recorder, self._serve, self._on_chat = recorder, serve, on_chat
        self._reconnecting = reconnecting
        self._tab: aiohttp.ClientSession | None = None
        self._ws: aiohttp.ClientWebSocketResponse | None = None
        self._connection_number = 0
        self._close_code: int | None = None
        self._chats: dict[str, AgentChat] = {}
        self._serving: dict[str, asyncio.Task[None]] = {}
        self._changed = asyncio.Condition()
        self._running: asyncio.Task[None] | None = None
        self._background: set[asyncio.Task[Any]] = set()

    # ── coming and going ─────────────────────────────────────────────────────────────────────────────────────────────

    async def come(self, wait: float = 60.0) -> None:
        """Log in, and again when that fails; returns with the welcome."""
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
            await asyncio.sleep(random.uniform(0.2, 1.0))

    def open_tab(self) -> None:
        """Connect, and again whenever the connection is lost, until the tab is closed."""
        self.stays, self.hangs, self.ended_at = True, False, None
        self._running = asyncio.create_task(self._run())

    async def hang(self) -> None:
        """From now on answer no ping and send nothing; the connection stays open (a machine that hangs)."""
        self.hangs, self.stays = True, False
        self._leave_chats()

    async def close_tab(self, politely: bool = True) -> None:
        """End the connection, with a close frame or without one; the login session stays."""
        self.stays = False
        self._leave_chats()
        if politely and self._ws:
            await self._ws.close()
        if self._tab:
            await self._tab.close()
        await self._end_run()

    async def log_out(self, wait: float = 30.0) -> None:
        """Log out, and close the tab."""
        self.stays = False
        end = time.monotonic() + wait
        while time.monotonic() < end:
            with contextlib.suppress(*FAILED):
                url = f"{self.base}/api/agent/session"
                if (await self.http.delete(url, headers={"Origin": self.base})).status in (204, 401):
                    break
            await asyncio.sleep(0.2)
        await self.close_tab()

    async def close(self, log_out: bool = True) -> None:
        """Log out where that is asked for, and close the browser."""
        if log_out:
            with contextlib.suppress(*FAILED):
                await self.log_out(5)
        else:
            await self.close_tab()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.http.close()

    async def set_state(self, state: str, wait: float = 20.0) -> None:
        """Set the state to available or paused, and ask again until it is so."""
        self._wanted_state, end = state, time.monotonic() + wait
        while self.state != state and time.monotonic() < end:
            await self.send({"type": "state", "state": state})
            with contextlib.suppress(AssertionError):
                await self.until(lambda: self.state == state, state, REPEAT)

    async def until(self, condition: Callable[[], object], what: str, wait: float) -> None:
        """Returns as soon as the condition holds; it is evaluated with each frame."""
        try:
            async with asyncio.timeout(wait), self._changed:
                await self._changed.wait_for(condition)
        except TimeoutError:
            raise AssertionError(f"waited {wait:.0f} s in vain for {what}") from None

    async def read_all(self) -> None:
        """Returns when they have read the ends of chats that they missed, and every attachment."""
        await asyncio.gather(*self._background)

    @property
    def chats(self) -> set[str]:
        """The ids of the chats that they have."""
        return set(self._chats)

    async def send(self, frame: Frame) -> None:
        ws = self._ws
        if ws is not None and not self.hangs:
            with contextlib.suppress(*FAILED, RuntimeError):
                await ws.send_json(frame)

    # ── the connection ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _run(self) -> None:
        tries = 0
        while self.stays:
            self._ws, self._close_code = None, None
            with contextlib.suppress(*FAILED):
                await self._connection()
            tries = 0 if self._ws else tries + 1
            self._ws, self.ended_at = None, time.monotonic()
            for chat in self._chats.values():
                chat.attach_to(None)
            if self.stays and self._close_code == LOGGED_OUT:
                await self.log_in()
            if self.stays:
                await asyncio.sleep(self._reconnecting.delay(tries, self._close_code))

    async def _connection(self) -> None:
        # A session of its own, with the cookie: closing it cuts the connection off without a close frame.
        jar = self.http.cookie_jar
        self._connection_number = self._recorder.new_connection()
        async with http_client(cookie_jar=jar, connector=aiohttp.TCPConnector()) as self._tab:
            try:
                async with asyncio.timeout(self._reconnecting.opening):
                    ws = await self._tab.ws_connect(
                        f"{self.base}/ws/agent",
                        headers={"Origin": self.base},
                        autoping=False,
                        timeout=aiohttp.ClientWSTimeout(ws_close=1),
                    )
            except aiohttp.WSServerHandshakeError as error:
                if error.status in (401, 403):
                    self._close_code = LOGGED_OUT
                return
            try:
                await ws.send_json(self._hello())
                await self._read(ws)
                self._close_code = ws.close_code
            finally:
                self._recorder.record(Disconnected("", self.username, self._connection_number, self._close_code))
                with contextlib.suppress(*FAILED):
                    await ws.close()

    def _hello(self, _: int = 0) -> Frame:
        return {"type": "hello", "chats": {id_: max(chat.log, default=0) for id_, chat in self._chats.items()}}

    async def _read(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        while True:
            message = await self._next(ws)
            if message.type == aiohttp.WSMsgType.PING:
                await ws.pong(message.data)
            elif message.type == aiohttp.WSMsgType.TEXT:
                await self._receive(ws, message.json())
                async with self._changed:
                    self._changed.notify_all()
            elif message.type != aiohttp.WSMsgType.PONG:
                return

    async def _next(self, ws: aiohttp.ClientWebSocketResponse) -> aiohttp.WSMessage:
        try:
            async with asyncio.timeout(self._reconnecting.agent_silence):
                message = await ws.receive()
        except TimeoutError:
            if not self.hangs:
                raise
        if self.hangs:
            await asyncio.Event().wait()
        return message

    async def _receive(self, ws: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        kind = frame["type"]
        if kind == "welcome":
            await self._welcome(ws, frame)
        elif kind == "assigned":
            self._take(ws, frame["chat"]["chat_id"])
            await self._chats[frame["chat"]["chat_id"]].receive(ws, frame)
        elif kind == "state":
            self.overdue += frame["state"] == "paused" and frame.get("reason") == "accept_overdue"
            self._state_is(frame["state"])
        elif chat := self._chats.get(frame.get("chat_id", "")):
            await chat.receive(ws, frame)
            if chat.over:
                self._forget(chat)

    async def _welcome(self, ws: aiohttp.ClientWebSocketResponse, frame: Frame) -> None:
        if self._ws is not ws:
            self._recorder.record(Connected("", self.username, self._connection_number))
        self._ws, self.agent_id = ws, frame["agent"]["id"]
        self._state_is(frame["agent"]["state"])
        listed = [chat["chat_id"] for chat in frame["chats"]]
        for chat in [chat for chat_id, chat in self._chats.items() if chat_id not in listed]:
            self._forget(chat)  # it ended, or is another agent's, since the connection was lost
            self._start(self._read_end(chat))
        for chat_id in listed:
            self._take(ws, chat_id)
            await self._chats[chat_id].receive(ws, frame)

    def _state_is(self, state: str) -> None:
        """Become available again after a pause that the agent did not ask for."""
        self.state = state
        if state == "paused" and self._wanted_state == "available":
            self._start(self.set_state("available"))

    # ── the work ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, ws: aiohttp.ClientWebSocketResponse, chat_id: str) -> None:
        if chat_id not in self._chats:
            origin = {"Origin": self.base}
            chat = AgentChat(self.http, self.base, self._hello, self._recorder, chat_id, self.username, origin)
            self._chats[chat_id] = chat
            self.served.add(chat_id)
            self._on_chat(chat)
            self._serving[chat_id] = asyncio.create_task(self._serve(chat))
        self._chats[chat_id].attach_to(ws, self._connection_number)

    def _forget(self, chat: AgentChat) -> None:
        chat.over = True
        del self._chats[chat.chat]
        chat.attach_to(None)
        self._serving.pop(chat.chat).cancel()
        self._start(chat.fetched())

    async def _read_end(self, chat: AgentChat) -> None:
        """Read in the transcript what was missed of the end; the chat may have been assigned to another agent."""
        if not await chat.download():
            chat.unassign()

    def _leave_chats(self) -> None:
        for chat in list(self._chats.values()):
            chat.unassign()
            self._forget(chat)

    def _start(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _end_run(self) -> None:
        if self._running:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
        self._ws = None
