"""Checks that public requests share: a bounded body, the origin, the client's address, the identity."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from copy import deepcopy
from functools import cache, lru_cache
from typing import Any, TypeVar

import orjson
import structlog
from fastapi import Request
from fastapi.responses import JSONResponse
from prometheus_client import Counter
from pydantic import BaseModel, ValidationError
from starlette.requests import HTTPConnection
from structlog.contextvars import bind_contextvars

from services.common.config.departments import Department, Departments
from services.common.events.types import Party
from services.common.http.addresses import client_key, client_scheme, parse
from services.common.http.problems import MEDIA_TYPE, Problem
from services.common.http.tokens import Actor, Keys
from services.common.internal_api.presence import AgentView, OfficerRole, OidcAnswer, OpenSession
from services.common.internal_api.sessions import Client
from services.common.runtime.service import Service
from services.gateway.clients.http_client import Declined, Unavailable, acting_for
from services.gateway.clients.presence import PresenceClient
from services.gateway.http.browser_kind import browser_kind
from services.gateway.http.security.cookies import session_token
from services.gateway.http.security.origins import OwnOrigins, is_foreign
from services.gateway.identifying_numbers import NumberRefused
from services.gateway.rate_limits import Buckets
from services.gateway.settings import Settings

log = structlog.get_logger()
A = TypeVar("A")
M = TypeVar("M", bound=BaseModel)
MOST_JSON = 64 * 1024
JSON = "application/json"
UNSAID = ("", "application/octet-stream")  # content types that clients send without a body
BODY = {"_408": "timeout", "_413": "too_large", "_415": "unsupported_media_type"}
"""The problems of a route that reads JSON, beside 422 `invalid`, for `problems_of`."""
BODY_SECONDS = 20.0  # in which a JSON body must have arrived
_CLOSE = {"Connection": "close"}  # the rest of the body is not waited for
UNTRUSTED = Counter(
    "eloket_gateway_untrusted_forwarded_total", "Requests with a proxy's header from a peer that is not one", ["header"]
)
for _header in ("x-forwarded-for", "x-forwarded-proto"):
    UNTRUSTED.labels(_header)
WARNED: set[str] = set()  # the headers that were logged


class JwkSet(JSONResponse):
    """A set of public keys (RFC 7517, section 8.5.2)."""

    media_type = "application/jwk-set+json"


async def read_bounded(request: Request, most: int) -> bytes:
    """Return the request's body.

    Raises:
        Problem: 408 `timeout` when it takes longer than `BODY_SECONDS`, 413 `too_large` over `most` bytes.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > most:
                    raise Problem(413, "too_large", f"The request is larger than {most // 1024} KiB; send less.")
    except TimeoutError:
        raise Problem(408, "timeout", "The request took too long to arrive; send it again.", _CLOSE) from None
    return bytes(body)


async def read_json(
    request: Request, model: type[M], most: int = MOST_JSON, loads: Callable[[bytes], object] = orjson.loads
) -> M:
    """Read the request's body as this model.

    Args:
        request: The request.
        model: The model.
        most: Bytes that the body may have.
        loads: Reads the JSON text.

    Raises:
        Problem: 408 `timeout` when the body takes longer than `BODY_SECONDS`, 413 `too_large` over `most`, 415
            `unsupported_media_type` when the header does not declare JSON, 422 `invalid` when the body does not
            match the model.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in (JSON, *UNSAID):
        raise _not_json()
    body = await read_bounded(request, most)
    if body and kind != JSON:
        raise _not_json()
    try:
        return model.model_validate(loads(body or b"{}"))
    except orjson.JSONDecodeError:
        raise Problem(422, "invalid", "The body is not JSON; send one JSON object.") from None
    except ValidationError as error:
        where = [{"at": ".".join(str(p) for p in e["loc"]), "problem": e["msg"]} for e in error.errors()]
        raise Problem(
            422, "invalid", "The request is not as documented; mend what `errors` names.", errors=where
        ) from None


def _not_json() -> Problem:
    """Return the problem 415.

    Without it a page of any site could send a body with a cross-site "simple request" (CORS).

    JSON needs a preflight request, which is not granted to other sites.
    """
    return Problem(415, "unsupported_media_type", f"Send the body as JSON, with the header Content-Type: {JSON}.")


def number_refused(error: NumberRefused) -> Problem:
    """Return the problem 422 `identifying_number`, with the kinds of the numbers that the department refuses."""
    detail = "This department takes no national register, account or card number here. Take it out and send again."
    return Problem(422, "identifying_number", detail, kinds=error.kinds)


def address_of(request: Request, settings: Settings) -> str:
    """Return the key of the client's address for limits (`services.common.http.addresses.client_key`)."""
    peer, headers = _peer_of(request, "x-forwarded-for", settings), request.headers
    return client_key(peer, headers.getlist("x-forwarded-for"), settings.trusted_proxies)


def scheme_of(request: HTTPConnection, settings: Settings) -> str:
    """Return `http` or `https`, as the browser sees it. `request`: a request, or the handshake of a websocket."""
    peer, headers = _peer_of(request, "x-forwarded-proto", settings), request.headers
    forwarded, proto = headers.getlist("x-forwarded-for"), headers.getlist("x-forwarded-proto")
    scheme = {"ws": "http", "wss": "https"}.get(request.url.scheme, request.url.scheme)
    return client_scheme(peer, forwarded, proto, settings.trusted_proxies, scheme)


def _peer_of(request: HTTPConnection, header: str, settings: Settings) -> str:
    """Return the peer's address.

    A peer that sends this header of a proxy without being trusted is counted, and logged once.
    """
    peer = request.client.host if request.client else ""
    if header in request.headers and not settings.is_trusted_proxy(peer):
        UNTRUSTED.labels(header).inc()
        if header not in WARNED:
            WARNED.add(header)
            address = parse(peer)
            log.warning(
                "untrusted_proxy",
                header=header,
                peer=str(address) if address and address.is_private else "a public address",  # may be personal data
                advice="If this is your proxy, add it to TRUSTED_PROXIES: until then all its clients share one limit.",
            )
    return peer


def _own_origins(settings: Settings) -> OwnOrigins:
    return _rule_of(settings.own_origins)


_rule_of = lru_cache(8)(OwnOrigins)


def has_own_origin(connection: HTTPConnection, settings: Settings) -> bool:
    """Return whether a request, or the handshake of a websocket, names an origin and it is that of our own pages."""
    return _own_origins(settings).sent(connection.headers, scheme_of(connection, settings))


def require_origin(request: Request, origins: frozenset[str], settings: Settings) -> None:
    """Check that a citizen's request comes from our pages, from a listed origin, or from no page at all.

    Args:
        request: The request.
        origins: The listed origins, in lower case: those of the department, where the request says which one it is.
        settings: The gateway's settings.

    Raises:
        Problem: 403 `origin_not_allowed`.
    """
    if is_foreign(request.headers, origins, _own_origins(settings), scheme_of(request, settings)):
        raise Problem(
            403,
            "origin_not_allowed",
            "The page that sent this is of a site that may not use the chat of this department. Open the chat on the "
            "department's own site; whoever runs this site can ask to have it listed.",
        )


def require_own_origin(request: Request) -> None:
    """Check that a request with an agent's cookie comes from our own pages. SameSite alone lets sibling sites through.

    Raises:
        Problem: 403 `forbidden`.
    """
    service: Service = request.app.state.service
    assert isinstance(service.settings, Settings)
    foreign = "origin" in request.headers and not has_own_origin(request, service.settings)
    if foreign or request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
        raise Problem(403, "forbidden", "This can only be asked from the agents' own pages.")


async def login_session(request: Request, presence: PresenceClient) -> OpenSession:
    """Return the session of the agent or officer who sent the request. What is asked of services next is for them.

    Raises:
        Problem: 401 `unauthenticated`, 403 `forbidden`, 503 `unavailable`.
    """
    require_own_origin(request)
    token = session_token(request.cookies, request.headers.get("host", ""))
    if token:
        try:
            session = await presence.session(token)
        except Unavailable as error:
            raise unavailable() from error
        if session:
            acting_for.set(session.identity)
            bind_contextvars(by=session.agent.id)  # in the log lines of this request
            return session
    raise Problem(401, "unauthenticated", "Log in first.")


async def agent_session(request: Request, presence: PresenceClient) -> OpenSession:
    """Return the session of the agent who sent the request.

    Raises:
        Problem: 401 `unauthenticated`, 403 `forbidden`, also for an officer; 503 `unavailable`.
    """
    session = await login_session(request, presence)
    if session.role is not None:
        raise Problem(403, "forbidden", "Only an agent may do this. You are logged in with another role.")
    return session


async def officer_of(request: Request, presence: PresenceClient, role: OfficerRole) -> AgentView:
    """Return the officer with this role who sent the request.

    Raises:
        Problem: As `login_session`, and 403 `forbidden` for everyone else who is logged in.
    """
    session = await login_session(request, presence)
    if session.role != role:
        raise Problem(403, "forbidden", f"Only an {role} may do this.")
    return session.agent


async def supervisor_of(request: Request, presence: PresenceClient) -> AgentView:
    """Return the supervisor who sent the request.

    Raises:
        Problem: As `agent_session`, and 403 `forbidden` for an agent who is no supervisor.
    """
    agent = (await agent_session(request, presence)).agent
    if not agent.supervisor:
        raise Problem(403, "forbidden", "Only a supervisor may do this.")
    return agent


def department_of(departments: Departments, named: str | None) -> Department:
    """Return the department that a citizen's request names; the default one when it names none.

    Raises:
        Problem: 404 `unknown_department`.
    """
    found = departments.get(named)
    if found is None:
        raise Problem(404, "unknown_department", "There is no such department; leave it out for the default one.")
    return found


def require_department_of(agent: AgentView, department: str | None, departments: Departments) -> None:
    """Check that a department, if one is named, exists and is one of the agent's.

    Raises:
        Problem: 404 `unknown_department`, 403 `forbidden`.
    """
    if department is None:
        return
    if departments.get(department) is None:
        raise Problem(404, "unknown_department", "There is no such department.")
    if department not in agent.departments:
        raise Problem(403, "forbidden", "This is not one of your departments. Choose one of your own.")


def agent_actor(agent: AgentView, source: str | None = None, reason: str | None = None) -> Actor:
    """Return the agent as the participant for whom transcripts is asked. `source`, `reason`: for the access log."""
    return Actor(
        party=Party.AGENT.value,
        id=agent.id,
        supervisor=agent.supervisor,
        departments=list(agent.departments),
        source=source,
        reason=reason,
    )


def require_citizen_of(
    request: Request, chat_id: str, keys: Keys, departments: Departments, settings: Settings
) -> None:
    """Check that a citizen's request has the token of this chat, and comes from a page that may have the chat.

    That is one of our pages, or a page that may embed the chat of the department in which this one was started. A
    request of no page at all may come too.

    Raises:
        Problem: 401 `unauthenticated`, 403 `forbidden` or `origin_not_allowed`.
    """
    require_origin(request, departments.origins(), settings)
    started, department = keys.started_chat_of(bearer_of(request)) or (None, None)
    _require_owner(started, chat_id, "chat")
    if department is not None:
        require_origin(request, departments.origins_of(departments.get(department)), settings)


def require_question_token(request: Request, keys: Keys, question_id: str) -> None:
    """Check that a citizen's request has the token of this question.

    Raises:
        Problem: 401 `unauthenticated`, 403 `forbidden`.
    """
    _require_owner(keys.question_of(bearer_of(request)), question_id, "question")


def _require_owner(own: str | None, wanted: str, what: str) -> None:
    """Check that what a token is for is what is wanted. `own`: None when the token is not valid."""
    if own is None:
        raise Problem(401, "unauthenticated", f"This needs the token of the {what}.", {"WWW-Authenticate": "Bearer"})
    if own != wanted:
        raise Problem(403, "forbidden", f"This token is for another {what}.")


def bearer_of(request: Request) -> str:
    """Return the bearer token of a request, or the empty string (RFC 6750 section 2.1)."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def client_of(request: Request) -> Client:
    """Return the browser that sent this request, as coarse as the list of a person's sessions has it."""
    return Client(**browser_kind(request.headers.get("user-agent", "")))


def answer_of_issuer(request: Request, flow: str, address: str = "") -> OidcAnswer:
    """Return what an issuer's redirect to a callback says.

    Args:
        request: The request of the browser that the issuer has sent back.
        flow: The login that this browser has begun, of its cookie.
        address: The key of the client's address for limits.

    Raises:
        ValidationError: A part of it is too long.
    """
    sent = request.query_params
    return OidcAnswer(
        flow=flow,
        state=sent.get("state", ""),
        code=sent.get("code", ""),
        error=sent.get("error", ""),
        iss=sent.get("iss"),
        address=address,
        client=client_of(request),
    )


def unavailable() -> Problem:
    """Return the problem 503 `unavailable`."""
    return Problem(
        503, "unavailable", "This cannot be done just now. Try again in a few seconds.", {"Retry-After": "5"}
    )


def passed_on(declined: Declined) -> Problem:
    """Return the problem of another service, unchanged."""
    extra = {k: v for k, v in declined.problem.items() if k not in ("type", "title", "status", "code", "detail")}
    headers = {"Retry-After": declined.retry_after} if declined.retry_after else None
    return Problem(declined.status, declined.code, str(declined.problem.get("detail", "")), headers, **extra)


async def answered(asked: Awaitable[A]) -> A:
    """Return the answer of another service.

    Raises:
        Problem: 503 `unavailable` when it does not answer; what it says when it refuses.
    """
    try:
        return await asked
    except Unavailable as error:
        raise unavailable() from error
    except Declined as declined:
        raise passed_on(declined) from declined


async def noted(note: Awaitable[object]) -> None:
    """Wait until the access log has a change that is to be made. Without that nothing may be changed.

    Raises:
        Problem: 503 `not_logged` when transcripts cannot store the note; what it says when it refuses.
    """
    try:
        await note
    except Unavailable as error:
        detail = "The access log could not note this, so nothing was changed. Try again in a few seconds."
        raise Problem(503, "not_logged", detail, {"Retry-After": "5"}) from error
    except Declined as declined:
        raise passed_on(declined) from declined


def limited(retry_after: int) -> None:
    """Raise the problem 429 `rate_limited`, unless the seconds to wait are 0."""
    if retry_after:
        raise Problem(
            429,
            "rate_limited",
            f"Too many requests. Try again in {retry_after} seconds.",
            {"Retry-After": str(retry_after)},
        )


def require_rate(buckets: Buckets, key: str, settings: Settings) -> None:
    """Check that no more is asked for this key than its limit allows, unless the limits are off.

    Raises:
        Problem: 429 `rate_limited`.
    """
    if settings.rate_limits == "on":
        limited(buckets.retry_after(key, time.monotonic()))


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """Return the documentation of a route's body that `read_json` reads."""
    return {"requestBody": {"content": {"application/json": {"schema": deepcopy(_schema_of(model))}}}}


@cache
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    return model.model_json_schema(ref_template="#/components/schemas/{model}")


def problems_of(**codes: str) -> dict[int | str, dict[str, Any]]:
    """Return the documentation of a route's problems: their codes by status, as `_404="no_such_chat"`."""
    return {
        int(status[1:]): {"description": text, "content": {MEDIA_TYPE: {}}} for status, text in sorted(codes.items())
    }
