"""`services/gateway/clients/http_client.py` against real HTTP servers that answer, refuse, are late or not there."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response, StreamingResponse

from services.common.http import problems
from services.common.http.tokens import Actor
from services.common.internal_api import presence as presence_api
from services.common.internal_api import routing as routing_api
from services.common.internal_api import transcripts as transcripts_api
from services.common.observability.tracing import begin_trace
from services.gateway.clients import http_client as module
from services.gateway.clients.http_client import Declined, Unavailable
from tests.gateway.clients.serving import answering, asking
from tests.gateway.making import CHAT
from tests.gateway.standing import KEYS
from tests.support.in_process.kept_spans import keeping

pytestmark = pytest.mark.usefixtures("patience")
ACTOR = Actor(party="citizen", id=CHAT)


async def test_a_question_carries_a_service_token_and_its_trace() -> None:
    app, seen = FastAPI(), list[Request]()

    @app.post(routing_api.CHATS)
    async def chats(request: Request) -> Response:
        seen.append(request)
        assert await request.json() == {"chat_ids": [CHAT]}
        return Response(routing_api.Chats(chats=[]).model_dump_json(), media_type="application/json")

    async with asking(app) as clients:
        assert await clients.routing.chats([CHAT]) == {}
    assert KEYS.service_of(seen[0].headers["authorization"].removeprefix("Bearer ")) == ("gateway", None)
    assert seen[0].headers["traceparent"].startswith("00-")


async def test_the_work_of_the_other_service_belongs_to_the_span_of_the_request() -> None:
    app, seen = FastAPI(), list[str]()

    @app.post(routing_api.CHATS)
    async def chats(request: Request) -> Response:
        seen.append(request.headers["traceparent"])
        return Response(routing_api.Chats(chats=[]).model_dump_json(), media_type="application/json")

    async with asking(app) as clients:
        with keeping() as kept:
            begin_trace()
            await clients.routing.chats([CHAT])
    [asked] = [one for one in kept.spans if one.name.startswith("ask routing")]
    assert seen == [asked.place.traceparent]


async def test_a_service_that_is_not_there_is_unavailable() -> None:
    async with asking(None) as clients:
        with pytest.raises(Unavailable, match="routing"):
            await clients.routing.chats([CHAT])
        with pytest.raises(Unavailable, match="presence"):
            await clients.presence.session("token")
        with pytest.raises(Unavailable, match="transcripts"):
            await clients.transcripts.stream("GET", "/x", ACTOR)


async def test_an_answer_that_does_not_come_in_time_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT", aiohttp.ClientTimeout(total=0.2))
    app, over = FastAPI(), asyncio.Event()

    @app.post(routing_api.CHATS)
    async def chats() -> None:
        await over.wait()

    async with asking(app) as clients:
        with pytest.raises(Unavailable):
            await clients.routing.chats([CHAT])
        over.set()


@pytest.mark.parametrize(
    ("status", "media_type"),
    [(500, "application/problem+json"), (503, "application/json"), (404, "text/html"), (400, "application/json")],
)
async def test_what_is_not_an_answer_of_ours_is_unavailable(status: int, media_type: str) -> None:
    async with asking(answering(presence_api.AGENTS, status, b'{"code":"x"}', media_type)) as clients:
        with pytest.raises(Unavailable):
            await clients.http.ask("presence", presence_api.AGENTS, None, presence_api.Agents)


async def test_a_problem_is_declined_with_its_code() -> None:
    app = answering(presence_api.AGENTS, 409, b'{"code":"taken","detail":"D"}', problems.MEDIA_TYPE)
    async with asking(app) as clients:
        with pytest.raises(Declined) as caught:
            await clients.http.ask("presence", presence_api.AGENTS, None, presence_api.Agents)
    assert (caught.value.status, caught.value.code, caught.value.retry_after) == (409, "taken", "7")


async def test_a_refusal_where_none_is_expected_is_unavailable() -> None:
    app = answering(transcripts_api.HISTORY, 404, b'{"code":"no_such_chat"}', problems.MEDIA_TYPE)
    async with asking(app) as clients:
        with pytest.raises(Unavailable):
            await clients.transcripts.history([transcripts_api.HistoryWanted(chat_id=CHAT)])


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

    async with asking(app) as clients:
        response = await clients.transcripts.stream("POST", "/echo", ACTOR, {"X-File-Name": "a.txt"}, body())
        async with response:
            assert await response.read() == b"".join([piece async for piece in body()])
