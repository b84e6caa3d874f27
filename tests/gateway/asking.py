"""A browser's side of the gateway's HTTP interface."""

import asyncio
import json
from pathlib import Path
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

from tests.gateway.standing import World, gateway_of
from tests.gateway.test_button_state import button_event
from tests.support.servers import PATIENCE


class Client:
    """A browser's side of the HTTP interface."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, Any, CIMultiDictProxy[str]]:
        """Status, body (JSON where it is any) and headers."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if body is not None:
            named.setdefault("Content-Type", "application/json")
        async with self.session.request(method, path, data=data, headers=named) as answer:
            raw = await answer.read()
            return answer.status, json.loads(raw) if raw else None, answer.headers

    async def origin(self) -> str:
        """The origin of the gateway's own pages."""
        async with self.session.get("/healthz") as answer:
            return str(answer.url.origin())

    async def press(self, key: str | None = None, **members: object) -> tuple[int, Any, CIMultiDictProxy[str]]:
        """A press on the button; `key` is made as long as an `Idempotency-Key` must be."""
        named = {} if key is None else {"Idempotency_Key": long(key)}
        return await self.ask("POST", "/api/chats", members, **named)


def long(key: str) -> str:
    """A key that is long enough, the same for the same word."""
    return f"{key:-<22}"


async def show(world: World, client: Client, green: bool = True, revision: int = 9) -> None:
    """Presence publishes this colour, and the gateway has handled it."""
    async with asyncio.timeout(PATIENCE):
        while True:
            await world.publisher.publish(button_event(revision, green=green))
            _, button, _ = await client.ask("GET", "/api/button")
            if button["reason"] == ("available" if green else "closed"):
                return
            await asyncio.sleep(0.05)


async def require_listed_pages_alone(world: World, departments: Path, method: str, path: str, headers: str) -> None:
    """Check that a page that a department lists may send this request from another origin, and that no other may.

    Args:
        world: The other services.
        departments: The file that is written for this.
        method: The method of the request.
        path: Its path.
        headers: The names of its headers, as `Access-Control-Request-Headers` has them.
    """
    text = world.settings.departments_file.read_text("utf-8")
    departments.write_text(text.replace("origins = []", 'origins = ["https://loket.be"]', 1), "utf-8")
    settings = world.settings.model_copy(update={"departments_file": departments})
    asked = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        for origin, status in (("https://loket.be", 200), ("https://evil.be", 400)):
            async with session.options(path, headers={**asked, "Origin": origin}) as answer:
                assert answer.status == status, origin
                assert (answer.headers.get("Access-Control-Allow-Origin") == origin) == (status == 200)
