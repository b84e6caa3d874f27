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
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from services import VERSION
from services.common.config.settings import EX_CONFIG, MIB, Settings, explain
from services.common.config.toml_file import ConfigurationError
from services.common.http import problems
from services.common.http.key_ring import KeyRing, parse_public_keys
from services.common.http.security_headers import HeadersOf, SecurityHeaders, data_headers
from services.common.http.service_tokens import Caller, ServiceTokenRequired, caller_of
from services.common.http.tokens import Keys
from services.common.observability import process_metrics, tracing
from services.common.observability.http_metrics import PROBES, RequestMetrics
from services.common.observability.logging import configure_logging
from services.common.observability.tracing import begin_trace
from services.common.runtime.certificate import ServerCertificate
from services.common.runtime.http_limits import Bounds
from services.common.runtime.server import SecurePort, Server, SharedPort, server

if TYPE_CHECKING:
    from services.common.observability.otel_export import Collector  # 10 MB, and only where spans are recorded

log = structlog.get_logger()
S = TypeVar("S", bound=Settings)
Check = Callable[[], bool | Awaitable[bool]]
DEPENDENCY = Gauge("eloket_dependency_up", "1 while this dependency of the replica is there, else 0", ["dependency"])

CLOSE_NOT_BEGUN = 1013  # try again later (the IANA registry of WebSocket close codes)
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


class NotBegun:
    """ASGI middleware: answers with the problem 503 `unavailable` until the service has begun. Probes are answered."""

    def __init__(self, app: ASGIApp, begun: Callable[[], bool]) -> None:
        self._app, self._begun = app, begun

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Return the awaitable of the answer."""
        if scope["type"] == "lifespan" or self._begun() or scope["path"] in PROBES:
            return self._app(scope, receive, send)
        if scope["type"] == "websocket":
            return WebSocketClose(CLOSE_NOT_BEGUN)(scope, receive, send)
        detail = "This replica has only just started. Try again in a few seconds."
        return problems.document(503, "unavailable", detail, {"Retry-After": "2"})(scope, receive, send)


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
        self.keys = _keys(name, settings)
        self.draining = self._closing = False
        self.status = 70  # exit status of the process when a background task ends
        self.failed = asyncio.Event()
        self._background: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self._begun = asyncio.Event()  # the function of `begin_with` is done, or there is none
        self._first: Callable[[], Awaitable[None]] | None = None
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
        self.app.add_middleware(ServiceTokenRequired, keys=self.keys, audience=self.name)

    def background(self, name: str, run: Callable[[], Awaitable[None]], early: bool = False) -> None:
        """Start `run` with the service. It must never return: when it ends, readiness and the process end too.

        Args:
            name: The name of the task.
            run: What it does.
            early: Whether it starts at once, and not only when the function of `begin_with` is done.
        """
        self._background.append((name, run if early else self._after_the_first(run)))

    def begin_with(self, name: str, first: Callable[[], Awaitable[None]]) -> None:
        """Do `first` before all background tasks that are not early.

        Until it is done the service is not ready, and answers requests with the problem 503 `unavailable`.
        """
        self._first = first
        self.check(name, self._begun.is_set)
        self.app.add_middleware(NotBegun, begun=self._begun.is_set)

    def _after_the_first(self, run: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        async def wait_and_run() -> None:
            await self._begun.wait()
            await run()

        return wait_and_run

    async def _begin(self) -> None:
        """Run the function of `begin_with`, then wait until cancelled."""
        assert self._first is not None
        await self._first()
        self._begun.set()
        await asyncio.Event().wait()

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
        if self._first is None:
            self._begun.set()
        else:
            self._background.append(("begin", self._begin))
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


def _keys(name: str, settings: Settings) -> Keys:
    ring = None
    if settings.signing_key or settings.verification_keys:
        private_key = bytes.fromhex(settings.signing_key) if settings.signing_key else None
        ring = KeyRing(name, private_key, parse_public_keys(settings.verification_keys))
    return Keys(
        settings.token_secret, settings.token_secret_previous, ring, settings.token_keys, settings.citizen_access
    )


def caller(request: Request) -> Caller:
    """Return who sends this request of another service, and continue its trace.

    Raises:
        Problem: 401 `unauthenticated` without a valid service token.
    """
    service: Service = request.app.state.service
    found = caller_of(request.scope, service.keys, service.name)
    begin_trace(request.headers.get("traceparent"))
    return found


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
        certificate = _certificate(settings)
    except (ValidationError, ConfigurationError) as error:
        _refuse(name, explain(error))
    process_metrics.begin()
    bounds = bounds_of(settings)
    host, port = settings.listen_address, getattr(settings, f"{name}_port")
    extra: SharedPort | SecurePort | None = None
    if settings.port_shared == "on":
        try:
            extra = SharedPort(server(app, ws, bounds, lifespan="off"), host, port)
        except OSError as error:
            sys.exit(f"{name}: port {port} cannot be shared: {error.strerror}")
        host, port = "127.0.0.1", settings.own_port
    elif certificate is not None:
        app.state.service.background("certificate", certificate.watch)
        where = {"host": host, "port": settings.tls_port, "ssl_context_factory": certificate.context_of}
        extra = SecurePort(server(app, ws, bounds, lifespan="off", **where))
    with asyncio.Runner(loop_factory=_loop) as runner:
        status = runner.run(_serve(server(app, ws, bounds, host=host, port=port), app.state.service, extra))
    sys.exit(status)


def _certificate(settings: Settings) -> ServerCertificate | None:
    if settings.tls_port is None or settings.tls_certificate is None or settings.tls_key is None:
        return None
    return ServerCertificate(settings.tls_certificate, settings.tls_key)


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


async def _serve(own: Server, service: Service, extra: SharedPort | SecurePort | None) -> int:
    stop = asyncio.Event()
    asyncio.get_running_loop().set_exception_handler(_unhandled)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    serving = [asyncio.create_task(own.serve())]
    if extra:
        serving.append(asyncio.create_task(extra.serve(service, own)))
    ended = [asyncio.create_task(e.wait()) for e in (stop, service.failed)]
    await asyncio.wait([*serving, *ended], return_when=asyncio.FIRST_COMPLETED)
    if extra:
        extra.leave()
    if stop.is_set():
        await service.drain()
    if extra:  # before the other server, which closes what the last answers of this one need
        extra.end()
        await asyncio.gather(serving[1], return_exceptions=True)
    own.end()
    await asyncio.gather(*serving, return_exceptions=True)
    for task in ended:
        task.cancel()
    return 0 if stop.is_set() else service.status


def _refuse(name: str, lines: list[str]) -> None:
    for line in lines:
        print(f"{name}: {line}", file=sys.stderr, flush=True)
    sys.exit(EX_CONFIG)
