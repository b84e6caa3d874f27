"""A real trace, as a collector gets it: from the browser's frame by the broker to MongoDB and the other browser."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.support.clients import agent, citizen, pair, say
from tests.support.dependencies.span_collector import Collected, Collector, collector
from tests.support.servers import System, running_system, wait_for

pytestmark = pytest.mark.e2e
SERVER, CLIENT, PRODUCER, CONSUMER = 2, 3, 4, 5  # opentelemetry/proto/trace/v1/trace.proto, SpanKind


@pytest.fixture(scope="module")
def kept() -> Iterator[Collector]:
    with collector() as running:
        yield running


@pytest.fixture(scope="module")
def traced(
    tmp_path_factory: pytest.TempPathFactory, shared_servers: dict[str, str], kept: Collector
) -> Iterator[System]:
    """A system whose every trace is kept, each message in a broker message of its own."""
    spans = {"TRACE_SAMPLE": "1", "OTLP_ENDPOINT": kept.url}
    with running_system(tmp_path_factory.mktemp("traced"), RATE_LIMITS="off", **shared_servers, **spans) as running:
        yield running


def the(spans: list[Collected], service: str, name: str, **attributes: object) -> Collected:
    """The one span of this service and name."""
    found = [s for s in spans if (s.service, s.name) == (service, name) and attributes.items() <= s.attributes.items()]
    assert len(found) == 1, f"{len(found)} of {service}: {name} among {sorted((s.service, s.name) for s in spans)}"
    return found[0]


def whole(spans: list[Collected]) -> bool:
    """Whether the parent of every span is there: services send theirs one after the other."""
    known = {s.id for s in spans}
    return bool(spans) and all(not s.parent or s.parent in known for s in spans)


def complete(spans: list[Collected]) -> bool:
    shown = {s.attributes.get("eloket.to") for s in spans if s.name == "send message"}
    stored = {"receive message.posted", "store entries", "insert entries"} <= {s.name for s in spans}
    return whole(spans) and stored and shown == {"agent", "citizen"}


async def test_one_trace_from_frame_to_database_to_the_other_browser(traced: System, kept: Collector) -> None:
    async with citizen(traced.base_url) as visitor, agent(traced.base_url) as an:
        theirs, _ = await pair(visitor, an)
        await say(theirs, "Waar vind ik het formulier?")
        about = {"eloket__chat_id": visitor.chat_id}
        await asyncio.to_thread(
            wait_for, lambda: complete(kept.trace_of("receive message.posted", **about)), "all spans of the message"
        )
        spans = kept.trace_of("receive message.posted", **about)
    received = the(spans, "gateway", "receive message.posted")
    published = the(spans, "gateway", "publish message.posted")
    processed = the(spans, "transcripts", "process message.posted")
    stored = the(spans, "transcripts", "store entries")
    inserted = the(spans, "transcripts", "insert entries")
    republished = the(spans, "transcripts", "publish message.stored")
    handled = the(spans, "gateway", "process message.stored")
    to_agent = the(spans, "gateway", "send message", **{"eloket.to": "agent"})
    to_citizen = the(spans, "gateway", "send message", **{"eloket.to": "citizen"})

    assert received.parent == ""
    for child, parent in [
        (published, received),
        (processed, published),
        (stored, processed),
        (inserted, stored),
        (republished, processed),
        (handled, republished),
        (to_agent, handled),
        (to_citizen, handled),
    ]:
        assert child.parent == parent.id, f"{child.name} is not under {parent.name}"
    kinds = [s.kind for s in (received, published, processed, inserted, republished, handled)]
    assert kinds == [SERVER, PRODUCER, CONSUMER, CLIENT, PRODUCER, CONSUMER]
    assert inserted.attributes["db.system.name"] == "mongodb"
    assert inserted.ended <= republished.began, "stored first, shown second"
    assert received.ended >= to_agent.began, "the receipt is the end of it"
    assert all("formulier" not in str(s.attributes) for s in spans), "what people write is in no span"


async def test_a_press_is_one_trace_through_three_services(traced: System, kept: Collector) -> None:
    async with citizen(traced.base_url) as visitor, agent(traced.base_url) as an:
        await pair(visitor, an)
        name, served = "POST /api/chats", {"http__response__status_code": 201}  # another may have met a blue button
        await asyncio.to_thread(
            wait_for, lambda: complete_press(kept.trace_of(name, **served)), "all spans of the press"
        )
        spans = kept.trace_of(name, **served)
    pressed = the(spans, "gateway", name)
    asked = the(spans, "gateway", "ask presence /internal/places/hold")
    answered = {s.parent for s in spans if (s.service, s.name) == ("presence", "POST /internal/places/hold")}
    opened = the(spans, "gateway", "publish chat.opened")
    assert (pressed.parent, opened.parent) == ("", pressed.id)
    assert asked.parent == pressed.id
    assert answered == {asked.id}, "however often it was asked: a slow answer is asked for again"
    routed = [s for s in spans if s.name == "process chat.opened"]
    assert {s.service for s in routed} == {"routing", "transcripts"}
    assert {s.parent for s in routed} == {opened.id}


def complete_press(spans: list[Collected]) -> bool:
    wanted = {("gateway", "POST /api/chats"), ("presence", "POST /internal/places/hold")}
    wanted |= {("routing", "process chat.opened"), ("transcripts", "process chat.opened")}
    return wanted <= {(s.service, s.name) for s in spans} and whole(spans)
