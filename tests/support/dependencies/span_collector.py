"""A collector of spans: takes OTLP over HTTP, as the OpenTelemetry protocol describes it, and keeps what it is sent."""

from __future__ import annotations

import contextlib
import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)


@dataclass(frozen=True)
class Collected:
    """A span as it was sent; ids in hex, `parent` empty for the first of its trace, times in ns."""

    service: str
    name: str
    kind: int
    trace: str
    id: str
    parent: str
    began: int
    ended: int
    attributes: dict[str, object]


class Collector:
    """`spans`: all that came so far. `bodies`: the same as it was sent, uncompressed."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.spans: list[Collected] = []
        self.bodies: list[bytes] = []

    def trace_of(self, name: str, **attributes: object) -> list[Collected]:
        """All spans of the trace that has a span of this name with these attributes; none while there is no such."""
        wanted = {key.replace("__", "."): value for key, value in attributes.items()}
        traces = [s.trace for s in self.spans if s.name == name and wanted.items() <= s.attributes.items()]
        return [s for s in self.spans if traces and s.trace == traces[0]]


@contextlib.contextmanager
def collector() -> Iterator[Collector]:
    """One that listens on a port of its own while the context is open."""

    class Take(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            assert self.headers["Content-Type"] == "application/x-protobuf"
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            kept.bodies.append(body)
            kept.spans += read(ExportTraceServiceRequest.FromString(body))
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Take) as server:
        kept = Collector(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield kept
        finally:
            server.shutdown()
            thread.join()


def read(request: ExportTraceServiceRequest) -> list[Collected]:
    found = []
    for group in request.resource_spans:
        (service,) = [a.value.string_value for a in group.resource.attributes if a.key == "service.name"]
        for span in [span for scope in group.scope_spans for span in scope.spans]:
            values = {a.key: getattr(a.value, a.value.WhichOneof("value") or "string_value") for a in span.attributes}
            ids = (span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex())
            times = (span.start_time_unix_nano, span.end_time_unix_nano)
            found.append(Collected(service, span.name, span.kind, *ids, *times, values))
    return found
