"""`services/gateway/http/files.py` behind a real server: who may, how much, and that the bytes pass unchanged."""

import asyncio
import hashlib
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from services.common.config.settings import MIB
from services.common.http.tokens import Actor
from services.common.internal_api import presence as presence_api
from services.gateway import rate_limits
from services.gateway.http import files
from tests.gateway.making import AN, CHAT, OTHER
from tests.gateway.standing import KEYS, Gateway, World, gateway_of

PATH = f"/api/chats/{CHAT}"
CITIZEN = {"Authorization": f"Bearer {KEYS.chat_token(CHAT)}"}


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[aiohttp.ClientSession]:
    jar = aiohttp.DummyCookieJar()
    async with aiohttp.ClientSession(f"http://{gateway.address}", cookie_jar=jar) as session:
        yield session


def form(content: bytes, name: str = "brief één.pdf", field: str = "file") -> aiohttp.FormData:
    data = aiohttp.FormData(quote_fields=False)  # as browsers do
    data.add_field("x", "first")
    data.add_field(field, io.BytesIO(content), filename=name, content_type="application/pdf")
    return data


async def ask(client: aiohttp.ClientSession, method: str, path: str, **options: Any) -> tuple[int, Any]:
    """Status and code (of a problem) or JSON (of anything else)."""
    async with client.request(method, path, **options) as answer:
        body = json.loads(await answer.read())
        return answer.status, body.get("code", body)


async def test_a_file_passes_unchanged_with_its_name_and_sender(world: World, client: aiohttp.ClientSession) -> None:
    content = b"\r\n--" + bytes(range(256)) * 40_000  # just under 10 MiB
    status, answered = await ask(client, "POST", f"{PATH}/attachments", data=form(content), headers=CITIZEN)
    assert status == 201
    assert (answered["name"], answered["size"]) == ("brief één.pdf", len(content))
    assert (answered["actor"]["party"], answered["actor"]["id"]) == ("citizen", CHAT)
    assert answered["actor"] == Actor(party="citizen", id=CHAT).model_dump()  # a citizen's address is not passed on
    assert hashlib.sha256(world.others.files[CHAT]).digest() == hashlib.sha256(content).digest()


async def test_identifying_numbers_in_a_name_and_in_a_reason_are_masked(
    world: World, client: aiohttp.ClientSession
) -> None:
    headers = {"Cookie": f"eloket-agent={world.others.log_in(AN)}", "X-Reason": "klacht%20van%2085073003328"}
    data = form(b"x", "attest 85.07.30-033.28.pdf")
    status, answered = await ask(client, "POST", f"{PATH}/attachments", data=data, headers=headers)
    assert (status, answered["name"]) == (201, "attest •••••••••28.pdf")
    assert answered["actor"]["reason"] == "klacht van •••••••••28"


async def test_of_an_agent_transcripts_gets_the_address_and_the_reason(
    world: World, client: aiohttp.ClientSession
) -> None:
    headers = {"Cookie": f"eloket-agent={world.others.log_in(AN)}", "X-Reason": "klacht%20van%20Zo%C3%AB"}
    status, answered = await ask(client, "POST", f"{PATH}/attachments", data=form(b"x"), headers=headers)
    assert status == 201
    assert (answered["actor"]["id"], answered["actor"]["source"], answered["actor"]["reason"]) == (
        *(AN, "127.0.0.1", "klacht van Zoë"),
    )
    headers["X-Reason"] = "x" * 600
    _, answered = await ask(client, "POST", f"{PATH}/attachments", data=form(b"x"), headers=headers)
    assert answered["actor"]["reason"] == "x" * 500


async def test_a_name_of_any_length_passes_with_its_beginning_and_its_ending(client: aiohttp.ClientSession) -> None:
    name = "Rekening " + "🧾" * 1_000 + ".pdf"
    status, answered = await ask(client, "POST", f"{PATH}/attachments", data=form(b"x", name), headers=CITIZEN)
    assert (status, answered["name"][:10], answered["name"][-5:]) == (201, "Rekening 🧾", "🧾.pdf")
    assert len(answered["name"]) == 400


async def test_10_mib_are_taken_and_one_byte_more_is_not(world: World, client: aiohttp.ClientSession) -> None:
    async def upload(size: int) -> tuple[int, Any]:
        return await ask(client, "POST", f"{PATH}/attachments", data=form(b"x" * size), headers=CITIZEN)

    assert (await upload(MOST))[0] == 201
    assert await upload(MOST + 1) == (413, "too_large")
    assert await upload(2 * MOST) == (413, "too_large")
    assert len(world.others.files[CHAT]) == MOST
    assert (await upload(5))[0] == 201


async def chunked(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 50_000):
        yield content[start : start + 50_000]


MOST = 10 * MIB
HEAD = b'--grens\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "multipart/form-data; boundary=grens"),
        (b"x", "text/plain"),
        (HEAD + b"x", "multipart/form-data"),
        (HEAD + b"x" * 200_000, "multipart/form-data; boundary=grens"),
        (b"--grens\r\n\r\nx\r\n--grens--\r\n", "multipart/form-data; boundary=grens"),
    ],
)
async def test_what_is_no_whole_form_with_a_file_is_invalid(
    client: aiohttp.ClientSession, body: bytes, content_type: str
) -> None:
    headers = {**CITIZEN, "Content-Type": content_type}
    assert await ask(client, "POST", f"{PATH}/attachments", data=body, headers=headers) == (422, "invalid")
    assert await ask(client, "POST", f"{PATH}/attachments", data=chunked(body), headers=headers) == (422, "invalid")


async def test_a_file_of_undeclared_length_is_bounded_too(world: World, client: aiohttp.ClientSession) -> None:
    headers = {**CITIZEN, "Content-Type": "multipart/form-data; boundary=grens"}
    body = HEAD + b"x" * (MOST + 1) + b"\r\n--grens--\r\n"
    assert await ask(client, "POST", f"{PATH}/attachments", data=chunked(body), headers=headers) == (413, "too_large")


async def test_what_transcripts_refuses_is_passed_on(world: World, client: aiohttp.ClientSession) -> None:
    world.others.away.add(CHAT)
    status, code = await ask(client, "POST", f"{PATH}/attachments", data=form(b"MZ" * 500_000), headers=CITIZEN)
    assert (status, code) == (415, "type_not_allowed")
    assert await ask(client, "GET", f"{PATH}/transcript", headers=CITIZEN) == (404, "no_such_chat")


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (f"{PATH}/attachments/{OTHER.upper()}", f"attachments/{OTHER}"),
        (f"{PATH}/attachments/{OTHER.upper()}/preview", f"attachments/{OTHER}/preview?size=small"),
        (f"{PATH}/attachments/{OTHER}/preview?size=large", f"attachments/{OTHER}/preview?size=large"),
        (f"{PATH}/attachments/{OTHER}/preview?size=1%26x", f"attachments/{OTHER}/preview?size=small"),
        (f"{PATH}/transcript", "transcript?format=txt"),
        (f"{PATH}/transcript?format=pdf", "transcript?format=pdf"),
        (f"{PATH}/transcript?format=p%26x=1", "transcript?format=p%26x%3D1"),
    ],
)
async def test_downloads_pass_with_their_headers(
    world: World, client: aiohttp.ClientSession, path: str, asked: str
) -> None:
    world.others.files[CHAT] = b"inhoud" * 100_000
    async with client.get(path, headers=CITIZEN) as answer:
        assert answer.status == 200
        assert await answer.read() == world.others.files[CHAT]
        assert answer.headers["Content-Disposition"] == "attachment"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "X-Asked" not in answer.headers
    assert world.others.downloads == [asked]


@pytest.mark.parametrize(
    ("method", "rest"),
    [
        ("POST", "attachments"),
        ("GET", f"attachments/{OTHER}"),
        ("GET", f"attachments/{OTHER}/preview"),
        ("GET", "transcript"),
    ],
)
async def test_everything_needs_the_token_of_this_chat_or_an_agents_session(
    world: World, client: aiohttp.ClientSession, method: str, rest: str
) -> None:
    url = f"{PATH}/{rest}"

    async def code(**headers: str) -> tuple[int, Any]:
        return await ask(client, method, url, headers=headers, data=form(b"x") if method == "POST" else None)

    world.others.files[CHAT] = b'{"ok":1}'
    assert await code() == (401, "unauthenticated")
    for wrong in ("Bearer", "Bearer x", f"Basic {KEYS.chat_token(CHAT)}", f"Bearer {KEYS.service_token('gateway')}"):
        assert await code(Authorization=wrong) == (401, "unauthenticated")
    assert await code(Authorization=f"Bearer {KEYS.chat_token(OTHER)}") == (403, "forbidden")
    assert await code(Cookie="eloket-agent=stolen") == (401, "unauthenticated")
    cookie = f"eloket-agent={world.others.log_in(AN)}"
    assert await code(Cookie=cookie, Origin="https://evil.be") == (403, "forbidden")
    assert (await code(Cookie=cookie))[0] in (200, 201)
    world.others.away.add(presence_api.SESSION_LOOKUP)
    assert await code(Cookie=cookie) == (503, "unavailable")


@pytest.mark.parametrize("path", [f"{PATH}/attachments/nothing", f"{PATH}/attachments/..%2F..%2Finternal"])
async def test_an_attachment_has_an_id(client: aiohttp.ClientSession, path: str) -> None:
    assert (await ask(client, "GET", path, headers=CITIZEN))[0] == 404


async def test_too_many_uploads_to_one_chat_are_429(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rate_limits.UPLOADS_PER_CHAT.burst == 25
    monkeypatch.setattr(files, "UPLOADS_PER_CHAT", rate_limits.Limit(3, 1e-6))
    settings = world.settings.model_copy(update={"rate_limits": "on"})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as client:
        answers = [await ask(client, "POST", f"{PATH}/attachments", data=form(b"x"), headers=CITIZEN) for _ in range(4)]
        assert [status for status, _ in answers[:3]] == [201] * 3
        assert answers[3] == (429, "rate_limited")


async def test_a_browser_that_disconnects_in_the_middle_disturbs_no_other(
    world: World, gateway: Gateway, client: aiohttp.ClientSession
) -> None:
    host, port = gateway.address.split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    head = f"POST {PATH}/attachments HTTP/1.1\r\nHost: x\r\nAuthorization: {CITIZEN['Authorization']}\r\n"
    head += "Content-Type: multipart/form-data; boundary=grens\r\nContent-Length: 500000\r\n\r\n"
    writer.write(head.encode() + HEAD + b"x" * 100_000)
    await writer.drain()
    writer.transport.abort()
    assert (await ask(client, "POST", f"{PATH}/attachments", data=form(b"x"), headers=CITIZEN))[0] == 201
    assert len(world.others.files[CHAT]) == 1


async def test_an_endless_form_without_a_file_is_refused_at_once(client: aiohttp.ClientSession) -> None:
    taken = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal taken
        yield b'--grens\r\nContent-Disposition: form-data; name="other"\r\n\r\n'
        while taken < 400 * MOST:
            taken += 50_000
            yield b"x" * 50_000

    headers = {**CITIZEN, "Content-Type": "multipart/form-data; boundary=grens"}
    answer = await ask(client, "POST", f"{PATH}/attachments", data=endless(), headers=headers)
    assert answer == (422, "invalid")
    assert taken < 400 * MOST


@pytest.mark.parametrize("before", [b"--grens\r\nX-A: ", HEAD, HEAD + b"x" * 100_000])
async def test_an_upload_that_hardly_comes_ends(
    client: aiohttp.ClientSession, before: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "PACE_SECONDS", 0.3)
    monkeypatch.setattr(files, "PACE", 1_000_000)
    monkeypatch.setattr(files, "DISCARDED_SECONDS", 0.1)

    async def trickle() -> AsyncIterator[bytes]:
        yield before
        while True:
            yield b"x"
            await asyncio.sleep(0.05)

    headers = {**CITIZEN, "Content-Type": "multipart/form-data; boundary=grens"}
    answer = await ask(client, "POST", f"{PATH}/attachments", data=trickle(), headers=headers)
    assert answer == (408, "too_slow")


async def test_a_foreign_page_uploads_nothing(world: World, client: aiohttp.ClientSession) -> None:
    headers = {**CITIZEN, "Origin": "https://evil.example"}
    answer = await ask(client, "POST", f"{PATH}/attachments", data=form(b"x"), headers=headers)
    assert answer == (403, "origin_not_allowed")
    assert CHAT not in world.others.files


async def test_the_limit_is_the_one_that_is_set(world: World) -> None:
    """The refusal names it, and what a chat holds in all."""
    settings = world.settings.model_copy(update={"attachment_bytes": 3 * MIB, "attachment_count": 7})
    async with gateway_of(settings) as gateway, aiohttp.ClientSession(f"http://{gateway.address}") as session:
        for size, status in ((3 * MIB, 201), (3 * MIB + 1, 413)):
            async with session.post(f"{PATH}/attachments", data=form(b"x" * size), headers=CITIZEN) as answer:
                body = await answer.json()
                assert answer.status == status
        assert (body["limit_bytes"], body["limit_files"], body["limit_total_bytes"]) == (3 * MIB, 7, 50 * MIB)
        assert "3 MiB" in body["detail"]
