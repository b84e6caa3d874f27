"""`services/tracing.py`: one trace id through headers and log lines, in the form of W3C Trace Context."""

import asyncio
import re

import pytest
from structlog.contextvars import get_contextvars

from services.tracing import begin_trace, traceparent

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
HEADER = f"00-{TRACE}-00f067aa0ba902b7-01"
FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-01")


async def test_the_trace_of_a_header_goes_on() -> None:
    assert begin_trace(HEADER) == TRACE
    match = FORM.fullmatch(traceparent())
    assert match
    assert match[1] == TRACE
    assert match[2] != "00f067aa0ba902b7", "each message has a parent id of its own"


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

    for begun, told in await asyncio.gather(*(work(h) for h in (HEADER, None, None))):
        assert begun == told


async def test_outside_any_work_a_header_is_still_well_formed() -> None:
    assert FORM.fullmatch(traceparent())
