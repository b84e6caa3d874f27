"""`services/gateway/upstream.py` against real HTTP servers that answer, refuse, are late or not there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

from deploy.onemachine import ports
from services import internal, problems
from services.gateway import upstream as module
from services.gateway.settings import Settings
from services.gateway.upstream import Declined, Unavailable, Upstream
from services.tokens import Actor
from tests.gateway.making import CHAT, id_of
from tests.gateway.standing import KEYS, SECRET
from tests.serving import served

ACTOR = Actor(party="citizen", id=CHAT)


@contextlib.asynccontextmanager
async def asking(app: FastAPI | None) -> AsyncIterator[Upstream]:
    """Asks this application, or a port where nobody listens."""
    async with contextlib.AsyncExitStack() as stack:
        if app is None:
            url = f"http://127.0.0.1:{ports.pick()}"
        else:
            problems.install(app)
            url = str((await stack.enter_async_context(served(app)))._base_url)
        settings = Settings(token_secret=SECRET, presence_url=url, routing_url=url, transcripts_url=url)
        upstream = Upstream(settings, KEYS)
        stack.push_async_callback(upstream.close)
        yield upstream


def answering(path: str, status: int = 200, body: bytes = b"{}", media_type: str = "application/json") -> FastAPI:
    app = FastAPI()

    @app.post(path)
    async def answer() -> Response:
        return Response(body, status, media_type=media_type, headers={"Retry-After": "7"})

    return app


async def test_a_question_carries_a_service_token_and_its_trace() -> None:
    app, seen = FastAPI(), list[Request]()

    @app.post(internal.CHATS)
    async def chats(request: Request) -> Response:
        seen.append(request)
        assert await request.json() == {"chat_ids": [CHAT]}
        return Response(internal.Chats(chats=[]).model_dump_json(), media_type="application/json")

    async with asking(app) as upstream:
        assert await upstream.chats([CHAT]) == {}
    assert KEYS.service_of(seen[0].headers["authorization"].removeprefix("Bearer ")) == ("gateway", None)
    assert seen[0].headers["traceparent"].startswith("00-")


async def test_many_chats_are_asked_in_parts_and_none_in_no_question() -> None:
    app, sizes = FastAPI(), list[int]()

    @app.post(internal.TAILS)
    async def tails(request: Request) -> Response:
        ids = (await request.json())["chat_ids"]
        sizes.append(len(ids))
        return Response(internal.Tails(tails=dict.fromkeys(ids, 1)).model_dump_json(), media_type="application/json")

    async with asking(app) as upstream:
        assert len(await upstream.tails(id_of(n) for n in range(450))) == 450
        assert await upstream.tails([]) == {}
    assert sizes == [200, 200, 50]


async def test_nobody_there_is_unavailable() -> None:
    async with asking(None) as upstream:
        with pytest.raises(Unavailable, match="routing"):
            await upstream.chats([CHAT])
        with pytest.raises(Unavailable, match="presence"):
            await upstream.session("token")
        with pytest.raises(Unavailable, match="transcripts"):
            await upstream.stream("GET", "/x", ACTOR)


async def test_an_answer_that_does_not_come_in_time_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    app = FastAPI()

    @app.post(internal.CHATS)
    async def chats() -> None:
        await asyncio.sleep(1)

    async with asking(app) as upstream:
        with pytest.raises(Unavailable):
            await upstream.chats([CHAT])


@pytest.mark.parametrize(
    ("status", "media_type"),
    [(500, "application/problem+json"), (503, "application/json"), (404, "text/html"), (400, "application/json")],
)
async def test_what_is_not_an_answer_of_ours_is_unavailable(status: int, media_type: str) -> None:
    async with asking(answering(internal.AGENTS, status, b'{"code":"x"}', media_type)) as upstream:
        with pytest.raises(Unavailable):
            await upstream.ask("presence", internal.AGENTS, None, internal.Agents)


async def test_a_problem_is_declined_with_its_code() -> None:
    app = answering(internal.AGENTS, 409, b'{"code":"taken","detail":"D"}', problems.MEDIA_TYPE)
    async with asking(app) as upstream:
        with pytest.raises(Declined) as caught:
            await upstream.ask("presence", internal.AGENTS, None, internal.Agents)
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (409, "taken", "7")


async def test_a_session_is_none_only_when_presence_says_so() -> None:
    gone = answering(internal.SESSION_LOOKUP, 401, b'{"code":"unauthenticated"}', problems.MEDIA_TYPE)
    async with asking(gone) as upstream:
        assert await upstream.session("token") is None
    odd = answering(internal.SESSION_LOOKUP, 422, b'{"code":"invalid"}', problems.MEDIA_TYPE)
    async with asking(odd) as upstream:
        with pytest.raises(Unavailable):
            await upstream.session("token")


async def test_a_refusal_where_none_is_expected_is_unavailable() -> None:
    app = answering(internal.HISTORY, 404, b'{"code":"no_such_chat"}', problems.MEDIA_TYPE)
    async with asking(app) as upstream:
        with pytest.raises(Unavailable):
            await upstream.history([internal.HistoryWanted(chat_id=CHAT)])


async def test_bytes_stream_both_ways_on_behalf_of_who_asks() -> None:
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        known = KEYS.service_of(request.headers["authorization"].removeprefix("Bearer "))
        assert known == ("gateway", ACTOR)
        assert request.headers["x-file-name"] == "a.txt"
        pieces = [piece async for piece in request.stream()]
        return StreamingResponse(iter(pieces))

    async def body() -> AsyncIterator[bytes]:
        for number in range(50):
            yield bytes([number]) * 10_000

    async with asking(app) as upstream:
        response = await upstream.stream("POST", "/echo", ACTOR, {"X-File-Name": "a.txt"}, body())
        async with response:
            assert await response.read() == b"".join([piece async for piece in body()])
