"""The API of transcripts as a gateway uses it, and a chat to use it with."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote

import aiohttp
from fastapi import FastAPI

from services.common.events.types import Cause, Party
from services.common.http.tokens import Actor, Keys
from services.transcripts.log.store import Store
from tests.support.http_server import served
from tests.support.servers import PATIENCE
from tests.transcripts.conftest import SECRET, entry, new_id, opened_event, seal_entry

KEYS = Keys(SECRET)
CHAT = new_id()
CITIZEN = Actor(party="citizen", id=CHAT)
AN = Actor(party="agent", id="an", departments=["algemeen"])
BERT = Actor(party="agent", id="bert", departments=["algemeen"])
SOFIE = Actor(party="agent", id="sofie", supervisor=True, departments=["algemeen"])
LIEN = Actor(party="agent", id="lien", supervisor=True, departments=["premies"])
LEFT: dict[str, Any] = {
    "chat_id": CHAT,
    "department": "algemeen",
    "locale": "fr",
    "name": "An Peeters",
    "contact": "02 123 45 67",
    "text": "Waar is mijn premie?",
    "at": "2026-11-22T15:04:05.678000Z",
}
DONE = {"chat_id": CHAT, "agent_id": "bert", "departments": ["algemeen", "premies"]}
Answer = tuple[int, dict[str, Any]]


@dataclass
class ApiClient:
    """The service, asked as a gateway asks it, or as the operator's commands do."""

    client: aiohttp.ClientSession

    def headers(self, actor: Actor | None, service: str = "gateway", **more: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {KEYS.service_token(service, actor)}", **more}

    async def upload(self, content: Any, name: str = "foto.png", actor: Actor = CITIZEN, chat: str = CHAT) -> Answer:
        headers = self.headers(actor, **{"X-File-Name": quote(name)})
        async with self.client.post(f"/chats/{chat}/attachments", data=content, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str, actor: Actor | None = CITIZEN) -> tuple[int, Any, bytes]:
        async with self.client.get(path, headers=self.headers(actor)) as answer:
            return answer.status, answer.headers, await answer.read()

    async def ask(self, path: str, body: dict[str, Any], service: str = "gateway") -> Answer:
        async with self.client.post(path, json=body, headers=self.headers(None, service)) as answer:
            return answer.status, await answer.json(content_type=None)

    async def command(self, path: str, body: dict[str, Any]) -> Answer:
        return await self.ask(path, body, "operator")


@contextlib.asynccontextmanager
async def opened(app: FastAPI) -> AsyncIterator[ApiClient]:
    """The running service, ready: what is still connecting when it ends could not be closed."""
    async with served(app) as client:
        async with asyncio.timeout(PATIENCE):
            while True:
                async with client.get("/readyz") as answer:
                    if (await answer.json())["status"] == "ok":
                        break
                await asyncio.sleep(0.05)
        yield ApiClient(client)


async def fill(store: Store) -> None:
    await store.open_chats([opened_event(CHAT)])
    await store.note_states([(CHAT, 2, "an")])
    log = [
        entry(CHAT, 1, Party.SYSTEM, "Welkom", event=Cause.OPENED),
        entry(CHAT, 2),
        entry(CHAT, 3, Party.AGENT, "Ja?"),
    ]
    for one in log:
        await store.insert([one])


async def seal(store: Store, at: datetime) -> None:
    end = seal_entry(CHAT, 4).model_copy(update={"at": at})
    await store.insert([end])
    await store.close_chats([end])


async def require_few_at_a_time(
    api: ApiClient, path: str, body: dict[str, Any], number: int, going: asyncio.Event
) -> None:
    """Check that of so many requests at once some are refused at once, and that the others are answered.

    Args:
        api: The service, in which the work of a request waits for `going`.
        path: The path of the requests.
        body: The body of each of them.
        number: How many are sent.
        going: Lets the work begin.
    """
    asked = [asyncio.create_task(api.ask(path, body)) for _ in range(number)]
    done, waiting = await asyncio.wait(asked, return_when=asyncio.FIRST_COMPLETED)
    assert {task.result()[1]["code"] for task in done} == {"rate_limited"}
    going.set()
    assert 200 in {status for status, _ in await asyncio.gather(*waiting)}
