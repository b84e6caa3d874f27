"""Tracing of a message from the browser through the broker to MongoDB and to the other browser.

The trace id is carried in message and request headers and bound to every log line. Spans are kept for the share of
traces that `TRACE_SAMPLE` names, and exported by `otel_export.py`. Without it `span` costs next to nothing.

Header format: W3C Trace Context (https://www.w3.org/TR/trace-context/, 3.2),
`traceparent: 00-<trace id>-<parent id>-<01: its spans are kept>`.
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
    """Where in a trace the present work stands: under this span, which is kept or not."""

    trace_id: str
    span_id: str
    sampled: bool

    @property
    def traceparent(self) -> str:
        return f"00-{self.trace_id}-{self.span_id}-{'01' if self.sampled else '00'}"


class Span(Protocol):
    """Something that was begun under another span. `place`: its own."""

    place: Place

    def end(self, failed: bool = False) -> None: ...


class Tracer(Protocol):
    """Keeps spans; what is asked of it is what `begin_span` is asked."""

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: Place,
        attributes: Attributes,
        began: int | None,
        links: Iterable[Place],
    ) -> Span: ...


_NOWHERE = Place("", "", False)
_NONE: Attributes = {}
_UNKEPT: AbstractContextManager[None] = contextlib.nullcontext()
_place: ContextVar[Place] = ContextVar("trace", default=_NOWHERE)
_tracer: Tracer | None = None
_share = 0.0


def keep_spans(tracer: Tracer | None, share: float = 1.0) -> None:
    """From now on this process keeps the spans of this share of the traces that begin here, and of all kept ones."""
    global _tracer, _share
    _tracer, _share = tracer, share


def read(header: object) -> Place | None:
    """What this `traceparent` says; None when it is none."""
    match = _HEADER.fullmatch(header) if isinstance(header, str) else None
    return match and Place(match[1], match[2], bool(int(match[3], 16) & 1))


def is_kept(header: object) -> bool:
    """Whether the spans of this `traceparent` are kept."""
    return isinstance(header, str) and header.endswith("-01")


def begin_trace(header: object = None, public: bool = False, **bound: str) -> str:
    """Starts the context of one piece of work: the trace of `header` when it has one, else a new one.

    `bound` (for example `chat_id`) and `trace_id` stand in every log line of this task from here on. `public`: the
    header comes from outside, and is not asked whether the spans are to be kept. A request whose span was begun stays
    under it.
    """
    heard, here = read(header), _place.get()
    if public and here.sampled and here.span_id:
        place = here
    elif heard is None or public:
        sampled = _tracer is not None and random.random() < _share
        place = Place(heard.trace_id if heard else secrets.token_hex(16), heard.span_id if heard else "", sampled)
    else:
        place = here if here.sampled and here.trace_id == heard.trace_id else heard
    _place.set(place)
    clear_contextvars()
    bind_contextvars(trace_id=place.trace_id, **bound)
    return place.trace_id


def traceparent() -> str:
    """The header for a message or request that belongs to the present piece of work."""
    here = _place.get()
    own = here.span_id if here.sampled and here.span_id else secrets.token_hex(8)
    return Place(here.trace_id or secrets.token_hex(16), own, here.sampled and bool(here.span_id)).traceparent


def present() -> Place:
    """Where the present work stands."""
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
    """A span `<verb> <what>` under that of `header`, or the present one; None where the trace is not kept.

    `began`: when, in nanoseconds since the epoch, if not now; `links`: spans to which it is owed too. Whoever began it
    ends it.
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
    """Like `begin_span`, for what is done within: that belongs to this span. It failed when an exception leaves it."""
    if _tracer is None:
        return _UNKEPT
    begun = begin_span(verb, what, kind, header, attributes, began, links)
    return within(begun, end=True)


def within(begun: Span | None, end: bool = False) -> AbstractContextManager[None]:
    """What is done within belongs to this span, which `end` ends."""
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
