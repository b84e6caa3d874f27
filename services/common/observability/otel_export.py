"""Export of spans to an OpenTelemetry collector: OTLP over HTTP, in batches, from a thread of the SDK.

Loaded only where `TRACE_SAMPLE` is above 0. A collector that is away costs spans and never a message: the SDK's queue
is bounded and drops what does not fit. Names follow OpenTelemetry's conventions for messaging and databases.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import RandomIdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import (
    Link,
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)
from pymongo import monitoring
from starlette.types import ASGIApp, Receive, Scope, Send

from services.common.observability import tracing
from services.common.observability.tracing import Attributes, Kind, Place

SEND_LIMIT = 3  # seconds for one batch; a collector that only swallows must not hold up the end of the process
END_LIMIT = 2.0
SEND_EVERY = 1_000  # ms
PROBES = ("/healthz", "/readyz", "/metrics")
_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
    "producer": SpanKind.PRODUCER,
    "consumer": SpanKind.CONSUMER,
}


class KeptSpan:
    """A span of the SDK, and its place in the trace."""

    def __init__(self, span: trace.Span) -> None:
        context = span.get_span_context()
        self._span = span
        self.place = Place(trace.format_trace_id(context.trace_id), trace.format_span_id(context.span_id), True)

    def answered(self, scope: Scope, status: int) -> None:
        """What an HTTP request was and how it was answered."""
        if route := getattr(scope.get("route"), "path", None):
            self._span.update_name(f"{scope['method']} {route}")
            self._span.set_attribute("http.route", route)
        self._span.set_attribute("http.response.status_code", status)

    def end(self, failed: bool = False) -> None:
        if failed:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Collector:
    """Keeps spans and sends them to `<endpoint>/v1/traces` (OpenTelemetry protocol 1, OTLP/HTTP)."""

    def __init__(self, service: str, version: str, endpoint: str) -> None:
        names = {"service.name": service, "service.namespace": "eloket", "service.version": version}
        self._provider = TracerProvider(
            ALWAYS_ON,  # which traces are kept is settled where they begin
            Resource.create({**names, "service.instance.id": str(uuid4())}),
            shutdown_on_exit=False,
            id_generator=_Ids(),
        )
        self._exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=SEND_LIMIT)
        self._provider.add_span_processor(BatchSpanProcessor(self._exporter, schedule_delay_millis=SEND_EVERY))
        self._tracer = self._provider.get_tracer("eloket")

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: Place,
        attributes: Attributes,
        began: int | None,
        links: Iterable[Place],
    ) -> KeptSpan:
        """A span under `parent`; the first one of its trace when that has no span."""
        _Ids.wanted.trace_id = int(parent.trace_id, 16)
        under = Context()
        if parent.span_id:
            under = trace.set_span_in_context(NonRecordingSpan(_context(parent)), under)
        linked = [Link(_context(place)) for place in links]
        return KeptSpan(self._tracer.start_span(name, under, _KINDS[kind], attributes, linked, began))

    async def close(self) -> None:
        """Sends what is left, for `END_LIMIT` seconds at most."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, END_LIMIT)
        if closing.is_alive():
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # what is not sent by now is not tried again


class _Ids(RandomIdGenerator):
    """The first span of a trace takes the id that the log lines have."""

    wanted = threading.local()

    def generate_trace_id(self) -> int:
        wanted: int = self.wanted.trace_id
        return wanted


class Requests:
    """Middleware: a span for each HTTP request, named by its route. `public`: they come from outside."""

    def __init__(self, app: ASGIApp, public: bool) -> None:
        self._app, self._public = app, public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Probes and scrapes have none."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        header = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)
        tracing.begin_trace(header, self._public)
        begun = tracing.begin_span("receive", scope["path"], "server", None, {"http.request.method": scope["method"]})

        async def answer(message: Any) -> None:
            if isinstance(begun, KeptSpan) and message["type"] == "http.response.start":
                begun.answered(scope, message["status"])
            await send(message)

        with tracing.within(begun, end=True):
            await self._app(scope, receive, answer)


class Commands(monitoring.CommandListener):
    """A span for each command that MongoDB gets in the course of a trace that is kept; what it holds is not told."""

    def __init__(self) -> None:
        self._begun: dict[int, tracing.Span] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        named = event.command.get(event.command_name)
        what = named if isinstance(named, str) else event.database_name
        about = {"db.system.name": "mongodb", "db.namespace": event.database_name, "db.collection.name": what}
        begun = tracing.begin_span(event.command_name, what, "client", None, about)
        if begun:
            self._begun[event.request_id] = begun

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        self._end(event.request_id, failed=False)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        self._end(event.request_id, failed=True)

    def _end(self, request_id: int, failed: bool) -> None:
        if begun := self._begun.pop(request_id, None):
            begun.end(failed)


def _context(place: Place) -> SpanContext:
    return SpanContext(int(place.trace_id, 16), int(place.span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
