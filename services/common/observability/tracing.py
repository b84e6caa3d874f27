"""Tracing of a message from the browser through the broker to MongoDB and to the other browser.

Message and request headers carry the trace id, and every log line has it. Spans are recorded for the share of traces
that `TRACE_SAMPLE` sets, and exported by `otel_export.py`. Without sampling `span` costs next to nothing.

Header format: W3C Trace Context (https://www.w3.org/TR/trace-context/, 3.2), `traceparent: 00-<trace id>-<parent
id>-<01: its spans are recorded>`.
"""

from __future__ import annotations

import contextlib
import random
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from contextvars import ContextVar
from typing import Literal, NamedTuple, Protocol

from structlog.contextvars import bind_contextvars, clear_contextvars

Kind = Literal["internal", "server", "client", "producer", "consumer"]
Attributes = Mapping[str, str | int | float | bool]

_HEADER = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


class Place(NamedTuple):
    """The position of the present work in a trace: under this span, which is sampled or not."""

    trace_id: str
    span_id: str
    sampled: bool

    @property
    def traceparent(self) -> str:
        """The `traceparent` header of this position."""
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


class Span(Protocol):
    """A span that was begun. `place`: its position in the trace."""

    place: Place

    def end(self, failed: bool = False) -> None:
        """End the span."""


class Tracer(Protocol):
    """Records spans."""

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: Place,
        attributes: Attributes,
        began: int | None,
        links: Iterable[Place],
    ) -> Span:
        """Begin a span; the arguments are those of `begin_span`."""


_NOWHERE = Place("", "", False)
_NONE: Attributes = {}
_UNKEPT: AbstractContextManager[None] = contextlib.nullcontext()
_place: ContextVar[Place] = ContextVar("trace", default=_NOWHERE)
_tracer: Tracer | None = None
_share = 0.0


def keep_spans(tracer: Tracer | None, share: float = 1.0) -> None:
    """Record from now on the spans of this share of the traces that begin here, and of all sampled traces."""
    global _tracer, _share
    _tracer, _share = tracer, share


def read(header: object) -> Place | None:
    """Return the position that this `traceparent` names; None when it is invalid."""
    match = _HEADER.fullmatch(header) if isinstance(header, str) else None
    return match and Place(match[1], match[2], bool(int(match[3], 16) & 1))


def is_kept(header: object) -> bool:
    """Return whether the trace of this `traceparent` is sampled."""
    return isinstance(header, str) and header.endswith("-01")


def begin_trace(header: object = None, public: bool = False, **bound: str) -> str:
    """Start the context of one piece of work: the trace of `header` when it has one, else a new one.

    Every log line of this task has `trace_id` and `bound` (for example `chat_id`) from here on. A request whose span
    was begun stays under it.

    Args:
        header: A `traceparent`.
        public: The header comes from outside and does not decide on sampling.
        bound: Further members of log lines.
    """
    received, here = read(header), _place.get()
    if public and here.sampled and here.span_id:
        place = here
    elif received is None or public:
        sampled = _tracer is not None and random.random() < _share  # noqa: S311 - a sampling decision, no secret
        place = Place(
            received.trace_id if received else secrets.token_hex(16), received.span_id if received else "", sampled
        )
    else:
        place = here if here.sampled and here.trace_id == received.trace_id else received
    _place.set(place)
    clear_contextvars()
    bind_contextvars(trace_id=place.trace_id, **bound)
    return place.trace_id


def traceparent() -> str:
    """Return the header for a message or request that belongs to the present work."""
    here = _place.get()
    own = here.span_id if here.sampled and here.span_id else secrets.token_hex(8)
    return Place(here.trace_id or secrets.token_hex(16), own, here.sampled and bool(here.span_id)).traceparent


def present() -> Place:
    """Return the position of the present work."""
    return _place.get()


def begin_span(
    verb: str,
    what: str,
    kind: Kind = "internal",
    header: object = None,
    attributes: Attributes = _NONE,
    began: int | None = None,
    links: Iterable[Place] = (),
) -> Span | None:
    """Begin a span `<verb> <what>` under that of `header`, or under the present one. The caller ends it.

    Args:
        verb: What is done.
        what: With what it is done.
        kind: The span's kind.
        header: The `traceparent` of the parent; None: the present position.
        attributes: Attributes of the span.
        began: When it began, in nanoseconds since the epoch; None: now.
        links: Other spans that caused it.

    Returns:
        The span; None when the trace is not sampled.
    """
    if _tracer is None:
        return None
    parent = _place.get() if header is None else read(header)
    if parent is None or not parent.sampled:
        return None
    return _tracer.begin(f"{verb} {what}", kind, parent, attributes, began, links)


def span(
    verb: str,
    what: str,
    kind: Kind = "internal",
    header: object = None,
    attributes: Attributes = _NONE,
    began: int | None = None,
    links: Iterable[Place] = (),
) -> AbstractContextManager[None]:
    """Begin a span as `begin_span` does, for the work within the context.

    It fails when an exception leaves the context.
    """
    if _tracer is None:
        return _UNKEPT
    begun = begin_span(verb, what, kind, header, attributes, began, links)
    return within(begun, end=True)


def within(begun: Span | None, end: bool = False) -> AbstractContextManager[None]:
    """Let the work within the context belong to this span. `end`: end the span afterwards."""
    return _within(begun, end) if begun else _UNKEPT


@contextlib.contextmanager
def _within(begun: Span, end: bool) -> Iterator[None]:
    before, failed = _place.set(begun.place), True
    try:
        yield
        failed = False
    finally:
        _place.reset(before)
        if end:
            begun.end(failed)
