"""Clients of our system under measurement, over its public protocol."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import aiohttp
import orjson

from tests.support.clients import until
from tests.support.servers import PATIENCE, System
from tests.system.bench.load_generator import Side
from tests.system.bench.websocket_client import WebSocketClient, connect


class BenchClient(Side):
    """One websocket; keeps the last seq and what arrived of the frames that a caller may wait for."""

    def __init__(self, role: str) -> None:
        super().__init__()
        self.role = role
        self.websocket: WebSocketClient | None = None
        self.cookie = ""
        self.chat_id: str | None = None
        self.seq = 0
        self.count = 0  # messages shown on this connection
        self.dot, self.state = "", ""
        self._news = asyncio.Event()

    def send(self, **frame: Any) -> None:
        assert self.websocket is not None
        self.websocket.send(orjson.dumps(frame))

    def say(self, text: str) -> None:
        frame = {"type": "message", "id": str(uuid.uuid4()), "text": text}
        if self.role == "agent":
            frame["chat_id"] = self.chat_id or ""
        self.send(**frame)

    def receive(self, payload: bytes) -> None:
        frame = orjson.loads(payload)
        kind = frame["type"]
        if kind == "message":
            self.seq, self.count = frame["seq"], self.count + 1
            if frame["from"] not in (self.role, "system"):
                self.received(self, frame["text"])
        elif kind == "assigned":
            self.chat_id = frame["chat"]["chat_id"]
            self.send(type="accept", chat_id=self.chat_id)
        elif kind in ("unassigned", "closed"):
            self.chat_id, self.dot = None, "red"
        elif kind == "status":
            self.dot = frame["dot"]
        elif kind == "welcome":
            self.state = "welcome"
        self._news.set()

    async def until(self, what: str, condition: Callable[[], object], seconds: float = PATIENCE) -> None:
        """Returns as soon as the condition holds; looked at after each frame."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            raise TimeoutError(f"waited {seconds} s in vain for {what}") from None

    def away(self) -> None:
        if self.websocket is not None:
            self.websocket.close()


def _has_chat(client: BenchClient) -> bool:
    return client.chat_id is not None


def _has_none(client: BenchClient) -> bool:
    return client.chat_id is None


def _is_green(client: BenchClient) -> bool:
    return client.dot == "green"


class ClientFactory:
    """Connects agents and citizens."""

    def __init__(self, system: System, http: aiohttp.ClientSession) -> None:
        self.base, self.port, self._http = system.base_url, system.ports["gateway"], http

    async def agent(self, username: str) -> BenchClient:
        """An agent who has logged in and was welcomed."""
        client = BenchClient("agent")
        body = {"username": username, "password": "demo"}
        answer = await self._http.post(f"{self.base}/api/agent/session", json=body, headers={"Origin": self.base})
        assert answer.status == 204, f"{username} cannot log in: {answer.status}"
        client.cookie = "; ".join(f"{name}={morsel.value}" for name, morsel in answer.cookies.items())
        client.websocket = await connect(self.port, "/ws/agent", client.receive, Origin=self.base, Cookie=client.cookie)
        client.send(type="hello", chats={})
        await client.until("the agent's welcome", lambda: client.state == "welcome")
        return client

    async def press(self, seconds: float = PATIENCE) -> dict[str, str]:
        """A new chat; pressed again while the button is blue, which it is for a moment after an agent came."""
        end = time.monotonic() + seconds
        while True:
            async with self._http.post(f"{self.base}/api/chats", json={}) as answer:
                if answer.status == 201:
                    started: dict[str, str] = await answer.json()
                    return started
                assert answer.status == 409, f"no chat: {answer.status}"
            assert time.monotonic() < end, f"the button stayed blue for {seconds} s"
            await asyncio.sleep(0.05)

    async def citizen(self, started: dict[str, str], after: int = 0) -> BenchClient:
        """A citizen who has said hello in this chat."""
        client = BenchClient("citizen")
        client.chat_id = started["chat_id"]
        client.websocket = await connect(self.port, "/ws/citizen", client.receive)
        client.send(type="hello", token=started["token"], after=after)
        return client

    @contextlib.asynccontextmanager
    async def chatting(
        self, usernames: list[str]
    ) -> AsyncIterator[tuple[list[tuple[BenchClient, BenchClient]], list[dict[str, str]]]]:
        """A pair for each of these agents, and their chats; the chats are closed at the end."""
        pairs: list[tuple[BenchClient, BenchClient]] = []
        chats = []
        try:
            for username in usernames:
                agent = await self.agent(username)
                chats.append(await self.press())
                citizen = await self.citizen(chats[-1])
                pairs.append((citizen, agent))
                await agent.until("a chat for the agent", partial(_has_chat, agent))
                await citizen.until("a green dot", partial(_is_green, citizen))
                assert agent.chat_id == citizen.chat_id, "the chat went to another agent"
            yield list(pairs), chats
        finally:
            await self._end(pairs)

    async def _end(self, pairs: list[tuple[BenchClient, BenchClient]]) -> None:
        for citizen, agent in pairs:
            citizen.send(type="close")
            with contextlib.suppress(TimeoutError):
                await agent.until("the end of the chat", partial(_has_none, agent))
        await self.log_out([agent for _, agent in pairs])
        for citizen, _ in pairs:
            citizen.away()

    async def log_out(self, agents: list[BenchClient]) -> None:
        """All of the agents who are there; returns when the button says so, so that none takes the next one's chat."""
        for agent in agents:
            headers = {"Origin": self.base, "Cookie": agent.cookie}
            await self._http.delete(f"{self.base}/api/agent/session", headers=headers)
            agent.away()
        await until(lambda button: button["reason"] == "no_agents", self.base)
