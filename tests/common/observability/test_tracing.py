"""`tracing.py`: one trace id through headers and log lines, in the form of W3C Trace Context."""

import asyncio
import re
from collections.abc import Iterator

import pytest
from structlog.contextvars import get_contextvars

from services.common.observability.tracing import (
    Place,
    begin_span,
    begin_trace,
    keep_spans,
    present,
    span,
    traceparent,
)
from tests.support.in_process.kept_spans import Kept, keeping

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADER = f"00-{TRACE}-00f067aa0ba902b7-01"
FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-00")  # nobody keeps spans here


async def test_the_trace_of_a_header_goes_on() -> None:
    assert begin_trace(HEADER[:-2] + "00") == TRACE
    match = FORM.fullmatch(traceparent())
    assert match
    assert match[1] == TRACE
    assert match[2] != "00f067aa0ba902b7", "each message has a parent id of its own"


async def test_who_keeps_no_spans_passes_on_that_others_do() -> None:
    begin_trace(HEADER)
    assert traceparent() == HEADER


@pytest.mark.parametrize(
    "header", [None, "", "x", 7, b"00", HEADER.upper(), HEADER + "\n", HEADER[:-3], "00-" + "z" * 52]
)
async def test_without_a_good_header_a_new_trace_begins(header: object) -> None:
    one, two = begin_trace(header), begin_trace(header)
    assert re.fullmatch(r"[0-9a-f]{32}", one)
    assert len({one, two, TRACE}) == 3


async def test_log_lines_have_the_trace_and_what_was_bound_and_nothing_of_the_work_before() -> None:
    begin_trace(HEADER, chat_id="one")
    assert get_contextvars() == {"trace_id": TRACE, "chat_id": "one"}
    begin_trace(HEADER, agent_id="an")
    assert get_contextvars() == {"trace_id": TRACE, "agent_id": "an"}


async def test_two_tasks_do_not_share_a_trace() -> None:
    async def work(header: str | None) -> tuple[str, str]:
        begun = begin_trace(header)
        await asyncio.sleep(0)
        return begun, traceparent().split("-")[1]

    for begun, given in await asyncio.gather(*(work(h) for h in (HEADER, None, None))):
        assert begun == given


async def test_outside_any_work_a_header_is_still_well_formed() -> None:
    assert FORM.fullmatch(traceparent())


@pytest.fixture
def kept() -> Iterator[Kept]:
    with keeping() as tracer:
        yield tracer


def test_what_is_done_within_a_span_belongs_to_it(kept: Kept) -> None:
    trace = begin_trace()
    with span("receive", "message.posted"):
        given = traceparent()
        with span("publish", "message.posted"):
            pass
    outer, inner = kept.spans
    assert (outer.name, outer.parent.span_id, inner.parent) == ("receive message.posted", "", outer.place)
    assert given == f"00-{trace}-{outer.place.span_id}-01"
    assert present().span_id == ""
    assert outer.ended is inner.ended is True


def test_a_header_goes_on_in_another_process(kept: Kept) -> None:
    begun = begin_span("process", "message.posted", header=HEADER)
    assert begun is not None
    assert kept.spans[0].parent == Place(TRACE, "00f067aa0ba902b7", True)
    assert kept.spans[0].ended is None, "whoever began it ends it"


def test_what_raises_has_failed(kept: Kept) -> None:
    begin_trace()
    with pytest.raises(LookupError), span("process", "chat.state"):
        raise LookupError
    assert kept.spans[0].ended is False


@pytest.mark.parametrize("header", [HEADER[:-2] + "00", "", "x"])
def test_what_is_not_to_be_kept_is_not(kept: Kept, header: str) -> None:
    assert begin_span("process", "chat.state", header=header) is None
    begin_trace(HEADER[:-2] + "00")
    with span("process", "chat.state"):
        assert traceparent().endswith("-00")
    assert not kept.spans


def test_no_outside_request_decides_which_spans_are_kept() -> None:
    tracer = Kept()
    keep_spans(tracer, share=0.0)
    try:
        assert begin_trace(HEADER, public=True) == TRACE
        assert begin_span("receive", "/api/chats") is None
    finally:
        keep_spans(None)


def test_a_request_whose_span_was_begun_stays_under_it(kept: Kept) -> None:
    begin_trace(HEADER, public=True)
    with span("receive", "/api/chats"):
        begin_trace(None, public=True, chat_id="one")
        assert present() == kept.spans[0].place
        begin_trace(HEADER, chat_id="one")
        assert present() == kept.spans[0].place
        begin_trace()
        assert present().trace_id != TRACE, "new work is a trace of its own"


def test_a_share_of_the_traces_is_kept() -> None:
    keep_spans(Kept(), share=0.5)
    try:
        kept = sum(begin_trace() != "" and present().sampled for _ in range(400))
    finally:
        keep_spans(None)
    assert 100 < kept < 300
