"""A tracer that keeps the spans of a test, to look at them."""

import contextlib
from collections.abc import Iterable, Iterator

from services.common.observability.tracing import Attributes, Kind, Place, keep_spans


class Kept:
    """Keeps spans in a list: name, span id, parent's id, whether it has ended well."""

    def __init__(self) -> None:
        self.spans: list[KeptSpan] = []

    def begin(
        self, name: str, kind: Kind, parent: Place, attributes: Attributes, began: int | None, links: Iterable[Place]
    ) -> "KeptSpan":
        self.spans.append(KeptSpan(name, parent, Place(parent.trace_id, f"{len(self.spans) + 1:016x}", True)))
        return self.spans[-1]


class KeptSpan:
    """A span, with its position and that of its parent. `ended`: whether it ended well; None: it has not ended."""

    def __init__(self, name: str, parent: Place, place: Place) -> None:
        self.name, self.parent, self.place = name, parent, place
        self.ended: bool | None = None

    def end(self, failed: bool = False) -> None:
        self.ended = not failed


@contextlib.contextmanager
def keeping() -> Iterator[Kept]:
    """Keep the spans of every trace while the context is open."""
    tracer = Kept()
    keep_spans(tracer)
    try:
        yield tracer
    finally:
        keep_spans(None)
