"""`otel_export.py`: spans reach a collector by OTLP, and one that is away costs nothing but spans."""

import asyncio
import socket
import threading

import pytest
from fastapi import FastAPI

from services.common.observability import otel_export, tracing
from services.common.observability.otel_export import Collector, Requests
from tests.support.dependencies.span_collector import collector
from tests.support.http_server import served
from tests.support.servers import PATIENCE, wait_for

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADER = f"00-{TRACE}-00f067aa0ba902b7-01"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A collector that is there gets everything, however long the machine stands still meanwhile."""
    monkeypatch.setattr(otel_export, "SEND_LIMIT", int(PATIENCE))
    monkeypatch.setattr(otel_export, "END_LIMIT", PATIENCE)


async def test_a_span_and_what_is_under_it_reach_the_collector() -> None:
    with collector() as taken:
        keeping = Collector("gateway", "1.1.0", taken.url + "/")
        tracing.keep_spans(keeping)
        try:
            trace = tracing.begin_trace()
            about = {"eloket.batch": 2}
            with tracing.span("receive", "hello", "server"), tracing.span("ask", "presence", "client", None, about):
                pass
        finally:
            tracing.keep_spans(None)
            await keeping.close()
        inner, outer = taken.spans
    assert (outer.name, outer.trace, outer.parent, outer.service) == ("receive hello", trace, "", "gateway")
    assert (inner.name, inner.trace, inner.parent) == ("ask presence", trace, outer.id)
    assert inner.attributes == {"eloket.batch": 2}
    assert outer.began <= inner.began <= inner.ended <= outer.ended


async def test_a_collector_that_does_not_answer_does_not_delay_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel_export, "SEND_LIMIT", 1)
    monkeypatch.setattr(otel_export, "END_LIMIT", 0.2)
    before = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", 0)) as silent:
        keeping = Collector("gateway", "1.1.0", f"http://127.0.0.1:{silent.getsockname()[1]}")
        tracing.keep_spans(keeping)
        try:
            tracing.begin_trace()
            for _ in range(5_000):  # more than its queue holds
                with tracing.span("receive", "hello"):
                    pass
        finally:
            tracing.keep_spans(None)
        async with asyncio.timeout(PATIENCE):
            await keeping.close()
    await asyncio.to_thread(wait_for, lambda: not begun_since(before), "the end of its threads")


def begun_since(before: set[threading.Thread]) -> set[str]:
    """The names of threads that are new, but for those in which the event loop waits."""
    return {thread.name for thread in set(threading.enumerate()) - before if not thread.name.startswith("asyncio")}


@pytest.mark.parametrize("public", [False, True])
async def test_a_request_is_a_span_named_by_its_route(public: bool) -> None:
    app = FastAPI()
    seen: list[str] = []

    @app.get("/api/chats/{chat_id}")
    async def chat(chat_id: str) -> None:
        seen.append(tracing.begin_trace(HEADER, public=public, chat_id=chat_id))

    @app.get("/readyz")
    async def ready() -> None: ...

    app.add_middleware(Requests, public=public)
    with collector() as taken:
        keeping = Collector("gateway", "1.1.0", taken.url)
        tracing.keep_spans(keeping)
        try:
            async with served(app) as client:
                for path in ("/readyz", "/api/chats/one"):
                    async with client.get(path, headers={"traceparent": HEADER}) as answer:
                        assert answer.status == 200
        finally:
            tracing.keep_spans(None)
            await keeping.close()
        (span,) = taken.spans
    assert (span.name, span.trace, span.parent) == ("GET /api/chats/{chat_id}", TRACE, "00f067aa0ba902b7")
    assert span.attributes["http.response.status_code"] == 200
    assert seen == [TRACE]
