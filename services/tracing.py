"""One trace id from the browser's frame to MongoDB, carried in message headers and bound to every log line.

Header format: W3C Trace Context, `traceparent: 00-<trace id>-<parent id>-01`.
"""

from __future__ import annotations

import re
import secrets
from contextvars import ContextVar

from structlog.contextvars import bind_contextvars, clear_contextvars

_HEADER = re.compile(r"00-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}")
_trace: ContextVar[str] = ContextVar("trace", default="")


def begin_trace(header: object = None, **bound: str) -> str:
    """Starts the context of one piece of work: the trace of `header` when it has one, else a new one.

    `bound` (for example `chat_id`) and `trace_id` stand in every log line of this task from here on.
    """
    match = _HEADER.fullmatch(header) if isinstance(header, str) else None
    trace_id = match.group(1) if match else secrets.token_hex(16)
    _trace.set(trace_id)
    clear_contextvars()
    bind_contextvars(trace_id=trace_id, **bound)
    return trace_id


def traceparent() -> str:
    """The header for a message or request that belongs to the present piece of work."""
    return f"00-{_trace.get() or secrets.token_hex(16)}-{secrets.token_hex(8)}-01"
