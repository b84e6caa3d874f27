"""A token that was revoked opens nothing: two gateways with real routing and transcripts, before and after a restart.

What each part does by itself is in the tests of that part; here is what a citizen, or another person with their token,
gets at the public door.
"""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp
import pytest
import websockets

from services.common.clock import utcnow
from services.common.events.chats import ChatAccepted, ChatOpened, CloseRequested
from services.common.events.places import PlaceClaimed
from services.common.events.types import Block, CloseReason
from services.common.internal_api.routing import TOKEN_REVOKE, TokenRevocation
from services.common.messaging.publisher import Publisher
from services.common.runtime import worker_process
from services.gateway.settings import Settings as GatewaySettings
from services.routing.app import create_app as routing_app
from services.routing.settings import RoutingSettings
from services.transcripts.app import create_app as transcripts_app
from services.transcripts.attachments import checker
from services.transcripts.log import delivery
from services.transcripts.settings import Settings as TranscriptsSettings
from tests.gateway.browsers import browser, close_code, receive, say
from tests.gateway.standing import KEYS, SECRET, Gateway, gateway_of, listening
from tests.support.in_process.long_limits import lengthen_limits
from tests.support.publishers import publishing
from tests.support.servers import PATIENCE

REFUSED = (401, "unauthenticated")


@pytest.fixture(autouse=True)
def _patient(patience: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """No part of the three services gives up because the machine stands still for some seconds."""
    lengthen_limits(monkeypatch)
    monkeypatch.setattr(delivery, "STATE_PATIENCE", PATIENCE)
    monkeypatch.setattr(worker_process, "START_SECONDS", PATIENCE)
    monkeypatch.setattr(checker, "SECONDS", PATIENCE)


@dataclass
class System:
    """Two gateways and what they ask, but presence: nobody logs in here."""

    gateways: tuple[Gateway, Gateway]
    routing: str
    client: aiohttp.ClientSession


@contextlib.asynccontextmanager
async def running(url: str, mongodb_url: str, prefix: str) -> AsyncIterator[System]:
    common: dict[str, Any] = {"token_secret": SECRET, "rabbitmq_url": url}
    stored: dict[str, Any] = {**common, "mongodb_url": mongodb_url, "mongodb_prefix": prefix}
    async with contextlib.AsyncExitStack() as stack:
        begin = stack.enter_async_context
        client = await begin(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        addresses = []
        routing = RoutingSettings(**stored, settle_limit=3_600)  # its timers close no chat that is slow to begin
        for app in (routing_app(routing), transcripts_app(TranscriptsSettings(**stored))):
            _, address = await begin(listening(app))
            addresses.append(f"http://{address}")
            async with asyncio.timeout(PATIENCE):
                while (await client.get(f"{addresses[-1]}/readyz")).status != 200:
                    await asyncio.sleep(0.05)
        settings = GatewaySettings(
            **common,
            presence_url="http://127.0.0.1:9",
            routing_url=addresses[0],
            transcripts_url=addresses[1],
            rate_limits="off",
        )
        first, second = await begin(gateway_of(settings)), await begin(gateway_of(settings))
        yield System((first, second), addresses[0], client)


@dataclass
class Holder:
    """A person with the token of a chat, at one gateway."""

    system: System
    gateway: Gateway
    chat_id: str
    file: str = ""

    @property
    def bearer(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {KEYS.chat_token(self.chat_id)}"}

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, str]:
        """The status of an answer, and the code of its problem."""
        url = f"http://{self.gateway.address}/api/chats/{self.chat_id}/{path}"
        async with self.system.client.request(method, url, headers=self.bearer, **more) as answer:
            body = await answer.read()
            return answer.status, json.loads(body)["code"] if answer.status >= 400 else ""

    async def upload(self) -> tuple[int, str]:
        form = aiohttp.FormData()
        form.add_field("file", io.BytesIO(b"een regel\n"), filename="a.txt", content_type="text/plain")
        url = f"http://{self.gateway.address}/api/chats/{self.chat_id}/attachments"
        async with self.system.client.post(url, headers=self.bearer, data=form) as answer:
            told = await answer.json()
            self.file = told.get("id", self.file)
            return answer.status, told.get("code", "")

    async def hello(self) -> int:
        """The close code of a websocket on which hello was said; 0: it was answered."""
        async with browser(self.gateway) as socket:
            await say(socket, "hello", token=KEYS.chat_token(self.chat_id))
            with contextlib.suppress(websockets.ConnectionClosed):
                if (await receive(socket))["type"] == "welcome":
                    return 0
            return await close_code(socket)

    async def stream(self) -> str:
        """What a stream over HTTP has, as far as its first answer."""
        url = f"http://{self.gateway.address}/api/chats/{self.chat_id}/stream?poll=true"
        async with self.system.client.get(url, headers=self.bearer) as answer:
            return await answer.text()

    async def uses(self) -> dict[str, object]:
        """What each use of the token is answered with."""
        frame = {"type": "typing", "active": True}
        return {
            "frames": await self.ask("POST", "frames", json={"frames": [frame]}),
            "upload": await self.upload(),
            "download": await self.ask("GET", f"attachments/{self.file}"),
            "preview": await self.ask("GET", f"attachments/{self.file}/preview"),
            "transcript": await self.ask("GET", "transcript?format=txt"),
            "rating": await self.ask("POST", "rating", json={"score": 5}),
            "code": await self.ask("POST", "download-code"),
            "hello": await self.hello(),
            "stream": '"code":4401' in (await self.stream()).replace(" ", ""),
        }


ALLOWED: dict[str, object] = {
    "frames": (200, ""),
    "upload": (201, ""),
    "download": (200, ""),
    "preview": (204, ""),
    "transcript": (200, ""),
    "rating": (204, ""),
    "code": (201, ""),
    "hello": 0,
    "stream": False,
}
NOTHING: dict[str, object] = {**dict.fromkeys(ALLOWED, REFUSED), "hello": 4401, "stream": True}


async def by_citizen(holder: Holder, publisher: Publisher) -> None:
    assert await holder.ask("DELETE", "token") == (204, "")


async def by_agent(holder: Holder, publisher: Publisher) -> None:
    block = Block(minutes=15, reason="Scheldt")
    await publisher.publish(CloseRequested(chat_id=holder.chat_id, by=CloseReason.AGENT, agent_id="an", block=block))


async def by_officer(holder: Holder, publisher: Publisher) -> None:
    wish = TokenRevocation(chat_id=holder.chat_id, by="sofie").model_dump()
    headers = {"Authorization": f"Bearer {KEYS.service_token('gateway')}"}
    async with holder.system.client.post(f"{holder.system.routing}{TOKEN_REVOKE}", json=wish, headers=headers) as done:
        assert done.status == 204


@pytest.mark.parametrize(("revoke", "closed"), [(by_citizen, 4401), (by_agent, 1000), (by_officer, 4401)])
async def test_a_revoked_token_opens_nothing_at_any_replica_and_after_a_restart(
    revoke: Callable[[Holder, Publisher], Awaitable[None]],
    closed: int,
    vhost_url: str,
    mongodb_url: str,
    mongodb_prefix: str,
) -> None:
    chat_id = str(uuid4())
    async with running(vhost_url, mongodb_url, mongodb_prefix) as system, publishing(vhost_url) as publisher:
        opened = ChatOpened(chat_id=chat_id, department="algemeen", locale="nl", name="Lien", opened_at=utcnow())
        for event in (
            opened,
            PlaceClaimed(chat_id=chat_id, turn=1, agent_id="an", agent_name="An"),
            ChatAccepted(chat_id=chat_id, agent_id="an", turn=1),
        ):
            await publisher.publish(event)
        holders = [Holder(system, gateway, chat_id) for gateway in system.gateways]
        async with browser(system.gateways[0]) as one, browser(system.gateways[1]) as two:
            for socket in (one, two):
                await say(socket, "hello", token=KEYS.chat_token(chat_id))
                await receive(socket, "welcome")
            for holder in holders:
                assert await holder.uses() == ALLOWED
            await revoke(holders[0], publisher)
            assert [await close_code(socket) for socket in (one, two)] == [closed, closed]
        for holder in holders:
            async with asyncio.timeout(PATIENCE):
                while await holder.uses() != NOTHING:
                    await asyncio.sleep(0.1)
        files = [holder.file for holder in holders]
    async with running(vhost_url, mongodb_url, mongodb_prefix) as system:
        for gateway, file in zip(system.gateways, files, strict=True):
            assert await Holder(system, gateway, chat_id, file).uses() == NOTHING
