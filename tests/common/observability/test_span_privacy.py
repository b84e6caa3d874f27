"""What people write, who they are and what lets them in is in no span, and nothing else exports in our name."""

import json
import subprocess
import sys
from typing import Any

import pytest
from fastapi import Request

from services.common.config.settings import Settings
from services.common.observability import otel_export, tracing
from services.common.observability.otel_export import Collector, Commands
from services.common.runtime.service import Service
from tests.support.dependencies.span_collector import Collected, collector
from tests.support.http_server import served
from tests.support.programs.service_process import SECRET
from tests.support.servers import PATIENCE, ROOT, START_SECONDS

PRIVATE = "an-peeters"
HEADERS = {"Cookie": f"session={PRIVATE}", "User-Agent": PRIVATE, "Authorization": f"Bearer {PRIVATE}"}


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(otel_export, "SEND_LIMIT", int(PATIENCE))
    monkeypatch.setattr(otel_export, "END_LIMIT", PATIENCE)


async def spans_of(method: str, path: str) -> tuple[Collected, bytes]:
    """The span of this request to a service that keeps all spans, and all that was sent to the collector."""
    with collector() as taken:
        settings = Settings(token_secret=SECRET, trace_sample=1.0, otlp_endpoint=taken.url)
        service = Service("gateway", settings)

        @service.app.post("/traced/{name}")
        async def traced(name: str, request: Request) -> None:
            if name == f"{PRIVATE}-fails":
                raise RuntimeError(f"cannot greet {PRIVATE}")

        async with served(service.app) as client, client.request(method, path, headers=HEADERS, data=PRIVATE):
            pass
        (span,) = taken.spans
        return span, b"".join(taken.bodies)


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("POST", f"/traced/{PRIVATE}?token={PRIVATE}", "POST /traced/{name}"),
        ("POST", f"/traced/{PRIVATE}-fails?token={PRIVATE}", "POST /traced/{name}"),
        ("POST", f"/nowhere/{PRIVATE}?token={PRIVATE}", "POST"),
        ("GET", f"/traced/{PRIVATE}", "GET /traced/{name}"),
        ("PROPFIND", f"/nowhere/{PRIVATE}", "other"),
    ],
)
async def test_a_request_leaves_its_route_and_nothing_of_its_own(method: str, path: str, name: str) -> None:
    span, exported = await spans_of(method, path)
    assert span.name == name
    assert set(span.attributes) <= {"http.route", "http.request.method", "http.response.status_code"}
    assert PRIVATE.encode() not in exported


async def test_a_command_that_fails_leaves_no_value() -> None:
    """MongoDB's texts of errors quote values: `E11000 duplicate key error ... dup key: { name: "..." }`."""
    failure = {"errmsg": f'E11000 dup key: {{ name: "{PRIVATE}" }}', "code": 11000, "keyValue": {"name": PRIVATE}}
    with collector() as taken:
        keeping = Collector("presence", "1.1.0", taken.url)
        tracing.keep_spans(keeping)
        try:
            tracing.begin_trace()
            with tracing.span("receive", "hello"):
                commands = Commands()
                commands.started(Started())  # type: ignore[arg-type]
                commands.failed(Failed(failure))  # type: ignore[arg-type]
        finally:
            tracing.keep_spans(None)
            await keeping.close()
        (command,) = [span for span in taken.spans if span.name.startswith("insert")]
        assert PRIVATE.encode() not in b"".join(taken.bodies)
    assert command.name == "insert accounts"
    assert set(command.attributes) == {"db.system.name", "db.namespace", "db.collection.name"}


class Started:
    """As PyMongo gives the beginning of a command to its listeners."""

    command_name, database_name, request_id = "insert", "presence", 7
    command: dict[str, Any] = {"insert": "accounts", "documents": [{"name": PRIVATE}]}  # noqa: RUF012


class Failed:
    """As PyMongo gives the failure of that command."""

    request_id = 7

    def __init__(self, failure: dict[str, Any]) -> None:
        self.failure = failure


PROGRAM = """
import asyncio, json, os, sys
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from services.common.config.settings import Settings
from services.common.runtime.service import Service
from tests.support.http_server import served
exporter, provider = InMemorySpanExporter(), TracerProvider()
provider.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(provider)
async def main():
    async with served(Service("presence", Settings(token_secret="sixteen characters or more")).app) as client:
        async with client.get("/nowhere/an-peeters?token=an-peeters"):
            pass
asyncio.run(main())
print(json.dumps([span.name for span in exporter.get_finished_spans()]))
"""


def test_fastapi_itself_sends_nothing_whatever_the_environment_says() -> None:
    """Its own spans have paths and query strings; an environment or a global provider would switch them on."""
    with collector() as taken:
        environment = {"FASTAPI_OTEL_AUTO_CONFIGURE": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": taken.url}
        ran = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            cwd=ROOT,
            env={**environment, "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            check=True,
            timeout=START_SECONDS,
        )
        assert json.loads(ran.stdout.splitlines()[-1]) == []
        assert taken.spans == []


@pytest.mark.parametrize("switch", ["0", "1"])
def test_the_sdk_is_loaded_only_where_spans_are_kept(switch: str) -> None:
    code = (
        "import sys; from services.common.config.settings import Settings; "
        "from services.common.runtime.service import Service; "
        f"Service('presence', Settings(token_secret='{SECRET}', trace_sample={switch})); "
        "print('opentelemetry.sdk.trace' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout.split()[-1] == str(switch == "1")
