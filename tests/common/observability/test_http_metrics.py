"""`http_metrics.py`: requests by route template, method and status, and the seconds to the head of the answer."""

import asyncio
import io
from collections.abc import AsyncIterator

import aiohttp
import pytest
from fastapi import Request
from fastapi.responses import StreamingResponse
from prometheus_client import REGISTRY, generate_latest
from starlette.types import Message, Receive, Scope, Send

from services.common.config.settings import Settings
from services.common.http.problems import Problem
from services.common.observability.http_metrics import RequestMetrics
from services.common.runtime.service import MOST_BODY, Service
from tests.support.http_server import served
from tests.support.metrics import sample
from tests.support.programs.service_process import SECRET
from tests.support.servers import PATIENCE

PRIVATE = "an-peeters"


def counted(route: str, method: str, status: int) -> float:
    """How many requests were counted in this process so far."""
    labels = {"route": route, "method": method, "status": str(status)}
    return sample("eloket_http_request_seconds_count", labels) or 0.0


def seconds(route: str) -> float:
    """The seconds of all requests to this route that were answered with 200."""
    labels = {"route": route, "method": "GET", "status": "200"}
    return sample("eloket_http_request_seconds_sum", labels) or 0.0


def all_counted() -> float:
    """Every request that was counted in this process so far, whatever its labels."""
    samples = (sample for metric in REGISTRY.collect() for sample in metric.samples)
    return sum(sample.value for sample in samples if sample.name == "eloket_http_request_seconds_count")


@pytest.fixture
def service() -> Service:
    made = Service("routing", Settings(token_secret=SECRET))

    @made.app.get("/metered/{chat_id}")
    async def metered(chat_id: str) -> dict[str, str]:
        if chat_id == "refused":
            raise Problem(409, "refused", "No.")
        if chat_id == "fails":
            raise RuntimeError
        return {}

    @made.app.post("/metered/{chat_id}")
    async def posted(request: Request) -> dict[str, int]:
        return {"length": len(await request.body())}

    return made


@pytest.fixture
async def client(service: Service) -> AsyncIterator[aiohttp.ClientSession]:
    async with served(service.app) as made:
        yield made


@pytest.mark.parametrize(
    ("method", "path", "labels"),
    [
        ("GET", f"/metered/{PRIVATE}?name={PRIVATE}", ("/metered/{chat_id}", "GET", 200)),
        ("POST", f"/metered/{PRIVATE}", ("/metered/{chat_id}", "POST", 200)),
        ("GET", "/metered/refused", ("/metered/{chat_id}", "GET", 409)),
        ("GET", "/metered/fails", ("/metered/{chat_id}", "GET", 500)),
        ("DELETE", f"/metered/{PRIVATE}", ("/metered/{chat_id}", "DELETE", 405)),
        ("PROPFIND", f"/metered/{PRIVATE}", ("/metered/{chat_id}", "other", 405)),
        ("GET", f"/nowhere/{PRIVATE}", ("none", "GET", 404)),
        ("HEAD", f"/nowhere/{PRIVATE}/%00", ("none", "HEAD", 404)),
    ],
)
async def test_a_request_is_counted_by_template_method_and_status(
    client: aiohttp.ClientSession, method: str, path: str, labels: tuple[str, str, int]
) -> None:
    before, everything = counted(*labels), all_counted()
    async with client.request(method, path) as answer:
        assert answer.status == labels[2]
    assert (counted(*labels) - before, all_counted() - everything) == (1, 1)
    assert PRIVATE.encode() not in generate_latest()


async def test_a_body_that_is_refused_ahead_of_the_routes_is_counted(client: aiohttp.ClientSession) -> None:
    before = all_counted()
    async with client.post("/metered/large", data=io.BytesIO(b"x" * (MOST_BODY + 1))) as answer:
        assert answer.status == 413
    assert all_counted() == before + 1


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_probes_and_scrapes_are_not_counted(client: aiohttp.ClientSession, path: str) -> None:
    before = all_counted()
    async with client.get(path) as answer:
        assert answer.status == 200
    assert all_counted() == before


async def test_a_stream_is_counted_at_its_head_and_not_delayed(service: Service) -> None:
    """What is sent arrives while the answer goes on, and how long it stays open adds nothing to its seconds."""
    more, opened = asyncio.Event(), asyncio.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"one"
        await more.wait()
        yield b"two"

    @service.app.get("/metered-stream")
    async def stream() -> StreamingResponse:
        opened.set()
        return StreamingResponse(parts())

    before = counted("/metered-stream", "GET", 200)
    async with served(service.app) as client, client.get("/metered-stream") as answer:
        assert await asyncio.wait_for(answer.content.readexactly(3), PATIENCE) == b"one"
        assert opened.is_set()
        assert counted("/metered-stream", "GET", 200) == before + 1
        at_the_head = seconds("/metered-stream")
        await asyncio.sleep(0.1)
        more.set()
        assert await answer.content.read() == b"two"
    assert seconds("/metered-stream") == at_the_head


async def test_the_seconds_are_those_until_the_head_of_the_answer(service: Service) -> None:
    @service.app.get("/metered-slow")
    async def slow() -> None:
        await asyncio.sleep(0.2)

    before = seconds("/metered-slow")
    async with served(service.app) as client, client.get("/metered-slow"):
        pass
    assert 0.2 <= seconds("/metered-slow") - before < PATIENCE


async def test_messages_pass_as_they_are_and_only_http_is_counted() -> None:
    sent: list[Message] = []
    wanted: list[Message] = [
        {"type": "http.response.start", "status": 200, "headers": []},
        {"type": "http.response.body", "body": b"a", "more_body": True},
        {"type": "http.response.body", "body": b""},
    ]
    given: list[tuple[Receive, Send]] = []

    async def app(_: Scope, receive: Receive, send: Send) -> None:
        given.append((receive, send))
        for message in wanted:
            await send(message)

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    before = all_counted()
    measured = RequestMetrics(app)
    await measured({"type": "http", "path": "/", "method": "GET", "headers": []}, receive, send)
    assert all(one is other for one, other in zip(sent, wanted, strict=True))
    assert all_counted() == before + 1
    for kind in ("websocket", "lifespan"):
        await measured({"type": kind, "path": "/ws"}, receive, send)
        assert given[-1] == (receive, send)
    assert all_counted() == before + 1
