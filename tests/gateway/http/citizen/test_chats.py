"""`services/gateway/http/citizen/chats.py` behind a real server: a citizen without a websocket ends the chat."""

import asyncio
from pathlib import Path

import aiohttp
import pytest

from services.common.config import watch
from services.common.events.chats import CloseRequested
from services.common.events.types import CloseReason
from services.gateway import rate_limits
from services.gateway.http.citizen import chats
from tests.gateway.asking import Client, require_listed_pages_alone
from tests.gateway.making import CHAT, OTHER
from tests.gateway.standing import KEYS, World, gateway_of
from tests.support.servers import PATIENCE

PATH = f"/api/chats/{CHAT}"


async def end(client: Client, token: str | None, path: str = PATH) -> tuple[int, str | None]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    status, body, _ = await client.ask("DELETE", path, **headers)
    return status, body["code"] if body else None


async def test_the_chat_ends_as_by_the_frame_close_and_a_repeat_is_no_error(world: World, client: Client) -> None:
    for _ in range(2):
        assert await end(client, KEYS.chat_token(CHAT)) == (204, None)
    requested = await world.receive(CloseRequested, 2)
    assert {(one.chat_id, one.by, one.agent_id) for one in requested} == {(CHAT, CloseReason.CITIZEN, None)}


async def test_only_the_token_of_this_chat_ends_it(world: World, client: Client) -> None:
    assert await end(client, None) == (401, "unauthenticated")
    assert await end(client, "nonsense") == (401, "unauthenticated")
    assert await end(client, KEYS.chat_token(OTHER)) == (403, "forbidden")
    assert await end(client, KEYS.chat_token(OTHER), f"/api/chats/{OTHER}") == (204, None)
    assert [one.chat_id for one in await world.receive(CloseRequested)] == [OTHER]


async def test_the_token_is_given_up_with_itself_alone_and_a_repeat_is_no_error(world: World, client: Client) -> None:
    path = f"{PATH}/token"
    assert await end(client, None, path) == (401, "unauthenticated")
    assert await end(client, KEYS.chat_token(OTHER), path) == (403, "forbidden")
    for _ in range(2):
        assert await end(client, KEYS.chat_token(CHAT), path) == (204, None)
    requested = await world.receive(CloseRequested, 2)
    assert {(one.chat_id, one.by, one.revoke) for one in requested} == {(CHAT, CloseReason.CITIZEN, True)}


async def test_a_page_of_another_site_ends_nothing(world: World, client: Client) -> None:
    bearer = {"Authorization": f"Bearer {KEYS.chat_token(CHAT)}", "Origin": "https://evil.example"}
    status, body, _ = await client.ask("DELETE", PATH, **bearer)
    assert (status, body["code"]) == (403, "origin_not_allowed")


async def test_presses_without_end_are_refused_with_the_time_to_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rate_limits.ENDINGS_PER_CHAT.burst == 10
    monkeypatch.setattr(chats, "ENDINGS_PER_CHAT", rate_limits.Limit(3, 1e-6))
    settings = world.settings.model_copy(update={"rate_limits": "on"})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        answers = [await end(Client(session), KEYS.chat_token(CHAT)) for _ in range(4)]
    assert answers == [(204, None)] * 3 + [(429, "rate_limited")]


async def test_a_page_that_embeds_the_chat_may_end_it(world: World, tmp_path: Path) -> None:
    await require_listed_pages_alone(world, tmp_path / "departments.toml", "DELETE", PATH, "authorization")


async def test_the_pages_that_embed_the_chat_are_those_of_the_file_as_it_is_now(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "EVERY", 0.02)
    departments = tmp_path / "departments.toml"
    text = world.settings.departments_file.read_text("utf-8")
    departments.write_text(text, "utf-8")
    settings = world.settings.model_copy(update={"departments_file": departments})
    asked = {"Access-Control-Request-Method": "DELETE", "Origin": "https://loket.be"}
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:

        async def status(wanted: int) -> None:
            async with asyncio.timeout(PATIENCE):
                while True:
                    async with session.options(PATH, headers=asked) as answer:
                        if answer.status == wanted:
                            return
                    await asyncio.sleep(0.02)

        await status(400)
        departments.write_text(text.replace("origins = []", 'origins = ["https://loket.be"]', 1), "utf-8")
        await status(200)
        headers = {"Authorization": f"Bearer {KEYS.chat_token(CHAT)}", "Origin": "https://loket.be"}
        async with session.delete(PATH, headers=headers) as answer:
            assert answer.status == 204, "the routes know the page too"
        departments.write_text(text, "utf-8")
        await status(400)
