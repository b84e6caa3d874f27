"""Export of spans to an OpenTelemetry collector: OTLP over HTTP, in batches, from a thread of the SDK.

It is loaded only where `TRACE_SAMPLE` is above 0. An absent collector costs spans and never a message: the SDK's queue
is bounded and drops what does not fit. Names follow OpenTelemetry's conventions for messaging and databases.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterable
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
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common.observability import tracing
from services.common.observability.http_metrics import PROBES, method_of, route_of
from services.common.observability.tracing import Attributes, Kind, Place

SEND_LIMIT = 3  # seconds for one batch; a collector that does not answer must not delay the end of the process
END_LIMIT = 2.0
SEND_EVERY = 1_000  # ms
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

    def routed(self, scope: Scope) -> None:
        """Name the span of an HTTP request after the route that took it; after its method alone when none did."""
        if route := route_of(scope):
            self._span.update_name(f"{method_of(scope)} {route}")
            self._span.set_attribute("http.route", route)
        else:
            self._span.update_name(method_of(scope))

    def answered(self, status: int) -> None:
        """Record the route and the status of an HTTP request."""
        self._span.set_attribute("http.response.status_code", status)

    def end(self, failed: bool = False) -> None:
        """End the span."""
        if failed:
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


class Collector:
    """Collects spans and sends them to `<endpoint>/v1/traces` (OpenTelemetry protocol 1, OTLP/HTTP)."""

    def __init__(self, service: str, version: str, endpoint: str) -> None:
        names = {"service.name": service, "service.namespace": "eloket", "service.version": version}
        self._provider = TracerProvider(
            ALWAYS_ON,  # the sampling decision is made where a trace begins
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
        """Begin a span under `parent`; it is the first one of its trace when `parent` has no span."""
        _Ids.wanted.trace_id = int(parent.trace_id, 16)
        under = Context()
        if parent.span_id:
            under = trace.set_span_in_context(NonRecordingSpan(_context(parent)), under)
        linked = [Link(_context(place)) for place in links]
        return KeptSpan(self._tracer.start_span(name, under, _KINDS[kind], attributes, linked, began))

    async def close(self) -> None:
        """Send what is left, for `END_LIMIT` seconds at most."""
        closing = threading.Thread(target=self._provider.shutdown, daemon=True)
        closing.start()
        await asyncio.to_thread(closing.join, END_LIMIT)
        if closing.is_alive():
            self._exporter.shutdown()  # type: ignore[no-untyped-call]  # spans that are not sent by now are lost


class _Ids(RandomIdGenerator):
    """Id generator that gives the first span of a trace the trace id that log lines have."""

    wanted = threading.local()

    def generate_trace_id(self) -> int:
        """Return the wanted trace id."""
        wanted: int = self.wanted.trace_id
        return wanted


class Requests:
    """Middleware: a span for each HTTP request, named by its route. `public`: requests come from outside."""

    def __init__(self, app: ASGIApp, public: bool) -> None:
        self._app, self._public = app, public

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request. Probes and scrapes have no span."""
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        header = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"), None)
        tracing.begin_trace(header, self._public)
        begun = tracing.begin_span("receive", "request", "server", None, {"http.request.method": method_of(scope)})
        if not isinstance(begun, KeptSpan):
            await self._app(scope, receive, send)
            return

        def answer(message: Message) -> Awaitable[None]:
            if message["type"] == "http.response.start":
                begun.answered(message["status"])
            return send(message)

        with tracing.within(begun, end=True):
            try:
                await self._app(scope, receive, answer)
            finally:
                begun.routed(scope)


class Commands(monitoring.CommandListener):
    """A span for each MongoDB command within a sampled trace. The content of the command is not recorded."""

    def __init__(self) -> None:
        self._begun: dict[int, tracing.Span] = {}

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        """Begin the span of a command."""
        named = event.command.get(event.command_name)
        what = named if isinstance(named, str) else event.database_name
        about = {"db.system.name": "mongodb", "db.namespace": event.database_name, "db.collection.name": what}
        begun = tracing.begin_span(event.command_name, what, "client", None, about)
        if begun:
            self._begun[event.request_id] = begun

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """End the span of a command."""
        self._end(event.request_id, failed=False)

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """End the span of a command as failed."""
        self._end(event.request_id, failed=True)

    def _end(self, request_id: int, failed: bool) -> None:
        if begun := self._begun.pop(request_id, None):
            begun.end(failed)


def _context(place: Place) -> SpanContext:
    return SpanContext(int(place.trace_id, 16), int(place.span_id, 16), is_remote=True, trace_flags=TraceFlags(1))
