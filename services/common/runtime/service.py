"""The frame of all four services: start, logs, health, metrics, drain."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from fastapi.telemetry import TelemetryConfig
from prometheus_client import CONTENT_TYPE_LATEST, Gauge, generate_latest
from pydantic import ValidationError
from starlette.types import ASGIApp

from services import VERSION
from services.common.config.departments import ConfigurationError
from services.common.config.settings import EX_CONFIG, MIB, Settings, explain
from services.common.http import problems
from services.common.http.security_headers import HeadersOf, SecurityHeaders, data_headers
from services.common.http.service_tokens import ServiceTokenRequired, caller_of
from services.common.http.tokens import Actor, Keys
from services.common.observability import process_metrics, tracing
from services.common.observability.http_metrics import RequestMetrics
from services.common.observability.logging import configure_logging
from services.common.observability.tracing import begin_trace
from services.common.runtime.http_limits import Bounds
from services.common.runtime.server import Server, SharedPort, server

if TYPE_CHECKING:
    from services.common.observability.otel_export import Collector  # 10 MB, and only where spans are recorded

log = structlog.get_logger()
S = TypeVar("S", bound=Settings)
Check = Callable[[], bool | Awaitable[bool]]
DEPENDENCY = Gauge("eloket_dependency_up", "1 while this dependency of the replica is there, else 0", ["dependency"])

DRAIN_LIMIT = 17.0  # seconds for all drains together; the process has 20
CHECK_LIMIT = 2.5
MOST_BODY = MIB  # bytes of a request of another service; only files are larger
MOST_FILES = 65_536  # open files that a process requests, if its hard limit allows it
OWN_FILES = 200  # of them that are reserved for the broker, the database and other services
# FastAPI's own spans and log records hold paths, query strings and texts of errors. It sends them when the environment
# has `FASTAPI_OTEL_AUTO_CONFIGURE` or a library registers a global provider (decision 27).
NO_TELEMETRY: TelemetryConfig = {"tracing": False, "metrics": False, "logs": False, "auto_configure": False}


class _Application(FastAPI):
    headers_of: HeadersOf = staticmethod(data_headers)

    def build_middleware_stack(self) -> ASGIApp:
        """Metrics and security headers are the outer layers: FastAPI's own answers get them too, a 500 or a 413."""
        return RequestMetrics(SecurityHeaders(super().build_middleware_stack(), self.headers_of))


class Service:
    """One service: its HTTP application, its supervised background tasks, its readiness and its drain."""

    def __init__(self, name: str, settings: Settings, headers_of: HeadersOf = data_headers) -> None:
        """Create a service that is not started yet.

        Args:
            name: The service's name.
            settings: Its settings.
            headers_of: Returns the security headers of an answer.
        """
        self.name, self.settings = name, settings
        self.keys = Keys(settings.token_secret, settings.token_secret_previous)
        self.draining = self._closing = False
        self.status = 70  # exit status of the process when a background task ends
        self.failed = asyncio.Event()
        self._background: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._checks: dict[str, Check] = {}
        self._excuses: dict[str, Callable[[], bool]] = {}  # of dependencies
        self._met: set[str] = set()  # dependencies that have answered once
        self._drains: list[Callable[[], Awaitable[None]]] = []
        self._closers: list[Callable[[], Awaitable[None] | None]] = []
        # A route's body is read before the sender is authenticated. The gateway's own routes bound what they read.
        most = {"gateway": None, "transcripts": settings.attachment_bytes + MOST_BODY}.get(name, MOST_BODY)
        self.app = _Application(
            max_body_size=most,
            title=f"e-loket chat: {name}",
            version="1",
            lifespan=self._lifespan,
            docs_url=None,
            redoc_url=None,
            openapi_url=None,
            redirect_slashes=False,  # a redirect would name the scheme and the host of the request
            telemetry=NO_TELEMETRY,
        )
        self.app.headers_of = headers_of
        self.app.state.service = self
        problems.install(self.app)
        self._traced = settings.trace_sample > 0
        if self._traced:
            from services.common.observability.otel_export import Requests

            self.app.add_middleware(Requests, public=name == "gateway")
        self._routes()

    def require_service_tokens(self) -> None:
        """Answer only requests of other services, whatever the route does; probes and scrapes are answered too."""
        self.app.add_middleware(ServiceTokenRequired, keys=self.keys)

    def background(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start `run` with the service. It must never return: when it ends, readiness and the process end too."""
        self._background.append((name, run))

    def check(self, name: str, check: Check) -> None:
        """Make readiness depend on this check (true within 2.5 s, without an exception)."""
        self._checks[name] = check

    def depend(self, name: str, check: Check, excused: Callable[[], bool] = lambda: False) -> None:
        """Add a dependency that all replicas share; `/readyz` and `eloket_dependency_up` say whether it answers.

        When it is lost the replica stays ready: otherwise every replica would leave its Kubernetes Service at the same
        time. A replica that has just started is not ready before the dependency has answered once, or its absence is
        `excused`.
        """
        self._checks[name], self._excuses[name] = check, excused

    def on_drain(self, drain: Callable[[], Awaitable[None]]) -> None:
        """Register a function for SIGTERM. They are called in the order of registration, before anything is closed."""
        self._drains.append(drain)

    def on_close(self, close: Callable[[], Awaitable[None] | None]) -> None:
        """Register a function for the end, after the background tasks were cancelled.

        They are called in reverse order.
        """
        self._closers.append(close)

    async def drain(self) -> None:
        """Become unready, then call every drain function, limited in time as a whole."""
        self.draining = True
        log.info("draining")
        try:
            async with asyncio.timeout(DRAIN_LIMIT):
                for drain in self._drains:
                    await drain()
        except TimeoutError:
            log.error("drain_took_too_long", seconds=DRAIN_LIMIT)
        except Exception:
            log.exception("drain_failed")

    async def readiness(self) -> dict[str, str]:
        """Return the result of each check: `ok`, or what is wrong."""
        names = list(self._checks)
        answers = await asyncio.gather(*(self._ask(n) for n in names))
        state = dict(zip(names, answers, strict=True))
        for name in self._excuses:
            DEPENDENCY.labels(name).set(state[name] == "ok")
            if state[name] == "ok":
                self._met.add(name)
        for name, task in self._tasks.items():
            state[f"task_{name}"] = "ended" if task.done() else "ok"
        if self.draining:
            state["draining"] = "yes"
        return state

    def is_ready(self, state: Mapping[str, str]) -> bool:
        """Return whether a replica with this readiness can answer requests: all is well except lost dependencies."""
        return all(said == "ok" or self._spared(name) for name, said in state.items())

    def _spared(self, name: str) -> bool:
        return name in self._excuses and (name in self._met or self._excuses[name]())

    async def _ask(self, name: str) -> str:
        try:
            async with asyncio.timeout(CHECK_LIMIT):
                answer = self._checks[name]()
                good = answer if isinstance(answer, bool) else await answer
        except Exception as error:
            return type(error).__name__
        return "ok" if good else "not_yet"

    def _routes(self) -> None:
        @self.app.get("/healthz", include_in_schema=False)
        async def healthz() -> dict[str, str]:
            return {"status": "ok"}

        @self.app.get("/readyz", include_in_schema=False)
        async def readyz() -> Response:
            state = await self.readiness()
            good = self.is_ready(state)
            whole = "ok" if all(said == "ok" for said in state.values()) else "degraded"
            return JSONResponse({"status": whole if good else "not_ready", "checks": state}, 200 if good else 503)

        @self.app.get("/metrics", include_in_schema=False)
        async def metrics() -> Response:
            await self.readiness()  # for `eloket_dependency_up`
            return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    @contextlib.asynccontextmanager
    async def _lifespan(self, _: FastAPI) -> AsyncIterator[None]:
        for name, run in self._background:
            self._tasks[name] = asyncio.create_task(self._watch(name, run), name=name)
        collector = self._keep_spans()
        log.info("service_started")
        try:
            yield
        finally:
            self._closing = True
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            for close in reversed(self._closers):
                result = close()
                if result is not None:
                    await result
            if collector:
                tracing.keep_spans(None)
                await collector.close()
            log.info("service_stopped")

    def _keep_spans(self) -> Collector | None:
        if not self._traced:
            return None
        from services.common.observability import otel_export

        collector = otel_export.Collector(self.name, VERSION, self.settings.otlp_endpoint)
        tracing.keep_spans(collector, self.settings.trace_sample)
        return collector

    async def _watch(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
            log.error("background_task_ended", task=name)
        except ConfigurationError as error:
            self.status = EX_CONFIG
            log.error("service_refuses", task=name, reason=str(error))
        except (Exception, asyncio.CancelledError):
            if self._closing:
                raise
            log.exception("background_task_failed", task=name)  # also a cancellation that was not requested
        finally:
            if not self._closing:
                self.failed.set()


def caller(request: Request) -> Actor | None:
    """Return the participant for whom another service sends this request, and continue its trace.

    Raises:
        Problem: 401 `unauthenticated` without a valid service token.
    """
    service: Service = request.app.state.service
    actor = caller_of(request.scope, service.keys)
    begin_trace(request.headers.get("traceparent"))
    return actor


def _unhandled(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    log.error("unhandled_in_loop", exc_info=context.get("exception"))


def run(name: str, settings_class: type[S], create_app: Callable[[S], FastAPI], ws: Any = "none") -> None:
    """Run a service until SIGTERM or SIGINT.

    The process exits with 0 after the drain, with 70 when a task ended, and with 78 when a restart would not help
    (invalid settings, or data of a later release).
    """
    try:
        settings = settings_class()
        configure_logging(name, settings.log_level)
        app = create_app(settings)
    except ValidationError as error:
        _refuse(name, explain(error))
    except ConfigurationError as error:
        _refuse(name, [str(error)])
    process_metrics.begin()
    bounds = bounds_of(settings)
    host, port, shared = settings.listen_address, getattr(settings, f"{name}_port"), None
    if settings.port_shared == "on":
        try:
            shared = SharedPort(server(app, ws, bounds, lifespan="off"), host, port)
        except OSError as error:
            sys.exit(f"{name}: port {port} cannot be shared: {error.strerror}")
        host, port = "127.0.0.1", settings.own_port
    with asyncio.Runner(loop_factory=_loop) as runner:
        status = runner.run(_serve(server(app, ws, bounds, host=host, port=port), app.state.service, shared))
    sys.exit(status)


def bounds_of(settings: Settings) -> Bounds:
    """Return the limits of connections by the settings and the files that the process may open."""
    limit = raise_file_limit()
    if settings.rate_limits == "off":
        return Bounds()
    files = max(limit - OWN_FILES, limit // 2)
    own = (getattr(settings, "connections_per_address", 0), getattr(settings, "trusted_proxies", ""))  # the gateway's
    return Bounds(min(settings.connections_most or files, files), *own)


def raise_file_limit() -> int:
    """Raise the limit of open files as far as possible, at most to `MOST_FILES` (setrlimit(2)). Return the limit."""
    soft, hard = (MOST_FILES if n == resource.RLIM_INFINITY else n for n in resource.getrlimit(resource.RLIMIT_NOFILE))
    wanted = min(hard, MOST_FILES)
    if wanted > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
    return max(soft, wanted)


def _loop() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()


async def _serve(own: Server, service: Service, shared: SharedPort | None) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(_unhandled)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving = [asyncio.create_task(own.serve())]
    if shared:
        serving.append(asyncio.create_task(shared.serve(service, own)))
    ended = [asyncio.create_task(e.wait()) for e in (stop, service.failed)]
    await asyncio.wait([*serving, *ended], return_when=asyncio.FIRST_COMPLETED)
    if shared:
        shared.leave()
    if stop.is_set():
        await service.drain()
    if shared:  # before the other server, which closes what the last answers of this one need
        shared.end()
        await asyncio.gather(serving[1], return_exceptions=True)
    own.should_exit = True
    await asyncio.gather(*serving, return_exceptions=True)
    for task in ended:
        task.cancel()
    return 0 if stop.is_set() else service.status


def _refuse(name: str, lines: list[str]) -> None:
    for line in lines:
        print(f"{name}: {line}", file=sys.stderr, flush=True)
    sys.exit(EX_CONFIG)
