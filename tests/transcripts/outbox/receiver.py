"""A receiver of webhooks behind a real HTTP server on loopback, which verifies what it gets by the specification."""

import asyncio
import base64
import contextlib
import hmac
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from services.common.config.integrations import SECRET_PREFIX
from tests.support.http_server import listener

KEY = bytes(range(32))
SECRET = SECRET_PREFIX + base64.b64encode(KEY).decode()
LOOPBACK = "127.0.0.0/8"
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True)
class Received:
    id: str
    timestamp: int
    signatures: list[str]
    body: bytes

    @property
    def notice(self) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self.body)
        return told

    def is_signed_by(self, key: bytes) -> bool:
        content = f"{self.id}.{self.timestamp}.".encode() + self.body
        wanted = "v1," + base64.b64encode(hmac.new(key, content, "sha256").digest()).decode()
        return wanted in self.signatures


@dataclass
class Receiver:
    """What came, and how it is answered."""

    url: str = ""
    got: list[Received] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    hold: asyncio.Event | None = None
    answer: Answer | None = None

    async def handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        head = request.headers
        signatures = head["webhook-signature"].split(" ")
        self.got.append(Received(head["webhook-id"], int(head["webhook-timestamp"]), signatures, body))
        if self.hold is not None:
            await self.hold.wait()
        if self.answer is not None:
            return await self.answer(request)
        return web.Response(status=self.statuses.pop(0) if self.statuses else 204, headers=self.headers)

    @property
    def ids(self) -> Counter[str]:
        return Counter(one.id for one in self.got)


@contextlib.asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """A receiver that answers 204, while the context is open."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.handle)
    runner = web.AppRunner(app, handler_cancellation=True)
    await runner.setup()
    with listener() as bound:
        await web.SockSite(runner, bound, ssl_context=tls).start()
        receiver.url = f"{'https' if tls else 'http'}://127.0.0.1:{bound.getsockname()[1]}/hook"
        try:
            yield receiver
        finally:
            if receiver.hold is not None:
                receiver.hold.set()
            await runner.cleanup()
