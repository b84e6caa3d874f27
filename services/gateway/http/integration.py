"""Read API for other systems: access tokens for clients, and what a client may read of the departments of its scopes.

A client gets an access token with its secret (OAuth 2.0, RFC 6749 section 4.4, HTTP Basic of section 2.3.1), or with an
assertion that it has signed (`private_key_jwt`, RFC 7523 section 2.2), and shows it with each request (RFC 6750).
Transcripts has the clients. It decides again at each request, and its access log has each reading.
"""

from __future__ import annotations

import base64
import binascii
import secrets
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any
from urllib.parse import parse_qs, unquote_plus

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from services.common.events.types import is_id
from services.common.http.problems import Problem
from services.common.http.tokens import CLIENT_TOKEN_LIFE, Actor, Keys
from services.common.internal_api.integration import (
    MOST_ASSERTION,
    MOST_PAGE,
    MOST_SCOPE,
    ClientAssertion,
    ClientReader,
    ClientScopes,
    ClientSecret,
    ClosedChat,
    ClosedChatsQuery,
    Kind,
    RowCursor,
    RowsQuery,
    covers,
)
from services.common.internal_api.past_chats import Cursor
from services.common.observability.tracing import begin_trace
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.console.past_chats import DAY, days_of
from services.gateway.http.console.reports import period_of
from services.gateway.http.dependencies import (
    address_of,
    answered,
    problems_of,
    read_bounded,
    require_rate,
    unavailable,
)
from services.gateway.http.files import pass_download
from services.gateway.rate_limits import CLIENT_TOKENS_PER_ADDRESS, READS_PER_CLIENT, Buckets
from services.gateway.refusal_log import FORBIDDEN, REFUSALS
from services.gateway.settings import Settings
from services.gateway.websocket.frames.server import stamp

MOST_FORM = 8 * 1024  # bytes
MOST_CREDENTIALS = 1_000  # characters of the header
MOST_ID = 100  # characters of `client_id`
BASIC = {"WWW-Authenticate": 'Basic realm="integration", charset="UTF-8"'}
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
TOKEN_PATH = "/api/integration/token"  # noqa: S105 - a path
TOKEN_ERROR: dict[str, Any] = {
    "title": "TokenError",
    "description": "An error of the token endpoint (RFC 6749 section 5.2).",
    "type": "object",
    "required": ["error", "error_description"],
    "properties": {"error": {"type": "string"}, "error_description": {"type": "string"}},
}
TOKEN_FORM: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"type": "string", "enum": ["client_credentials"]},
                        "scope": {"type": "string", "maxLength": MOST_SCOPE},
                        "client_id": {"type": "string", "maxLength": MOST_ID},
                        "client_assertion_type": {"type": "string", "enum": [ASSERTION_TYPE]},
                        "client_assertion": {"type": "string", "maxLength": MOST_ASSERTION},
                    },
                }
            }
        },
    }
}
Department = Annotated[str, Query(min_length=1, max_length=63, description="one department of the scopes")]
First = Annotated[str, Query(alias="from", pattern=DAY, description="the first day, such as 2026-11-01")]
Last = Annotated[str, Query(pattern=DAY, description="the last day")]
After = Annotated[RowCursor | None, Query(description="the `next` of the page before")]
Rows = Annotated[int, Query(ge=1, le=MOST_PAGE, description="the most rows of the page")]
_READING = problems_of(
    _401="unauthenticated",
    _403="insufficient_scope",
    _422="invalid, invalid_period, period_too_long",
    _429="rate_limited",
    _503="unavailable",
)


class _TokenRefused(Exception):
    """The token endpoint refuses. `error` is a code of RFC 6749 section 5.2.

    Attributes:
        why: What is wrong with what was shown, in a word for the log; None: nothing was shown.
        client: The client, if there is such a one.
    """

    def __init__(
        self, status: int, error: str, description: str, why: str | None = None, client: str | None = None
    ) -> None:
        super().__init__(error)
        self.status, self.error, self.description, self.why, self.client = status, error, description, why, client

    def response(self) -> Response:
        """Return the answer."""
        body = {"error": self.error, "error_description": self.description}
        return JSONResponse(body, self.status, headers=BASIC if self.status == 401 else None)


def install(app: FastAPI, transcripts: TranscriptsClient, keys: Keys, settings: Settings) -> None:
    """Add `/api/integration/…`."""
    tokens, reads = Buckets(CLIENT_TOKENS_PER_ADDRESS), Buckets(READS_PER_CLIENT)

    def reader(request: Request, kind: Kind, department: str | None = None) -> tuple[ClientReader, frozenset[str]]:
        """Return the client of the request's token, and the token's scopes.

        Raises:
            Problem: 401 `unauthenticated`, 403 `insufficient_scope`, 429 `rate_limited`.
        """
        begin_trace(request.headers.get("traceparent"), public=True)
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        known = keys.client_of(token.strip()) if scheme.lower() == "bearer" else None
        if known is None:
            error = ', error="invalid_token"' if scheme else ""
            detail = "This needs an access token that is valid; get one at /api/integration/token."
            raise Problem(401, "unauthenticated", detail, {"WWW-Authenticate": f'Bearer realm="integration"{error}'})
        client_id, scopes = known
        require_rate(reads, client_id, settings)
        covered = (
            any(scope.startswith(f"{kind}:") for scope in scopes)
            if department is None
            else covers(scopes, kind, department)
        )
        if not covered:
            detail = "The access token has no scope for this. Ask for one that the integrations file grants."
            challenge = 'Bearer realm="integration", error="insufficient_scope"'
            raise Problem(403, "insufficient_scope", detail, {"WWW-Authenticate": challenge})
        return ClientReader(client_id=client_id, source=address_of(request, settings)), scopes

    async def authenticated(request: Request) -> ClientScopes:
        """Return the client of a token request, and its scopes: by its assertion, or by its secret.

        Raises:
            _TokenRefused: It has neither, or both.
            Declined: Transcripts does not accept it.
            Unavailable: Transcripts does not answer.
            Problem: 408 `timeout`, 413 `too_large`.
        """
        header = request.headers.get("authorization", "")
        credentials = _credentials(header) if header else None
        fields = await _fields(request)
        scope = _wanted(fields)
        assertion = _assertion(fields)
        if assertion is None:
            client_id, secret = credentials or _credentials("")
            return await transcripts.authenticate_client(ClientSecret(client_id=client_id, secret=secret, scope=scope))
        if header:
            raise _TokenRefused(400, "invalid_request", "Authenticate with a secret or an assertion, not with both.")
        if not settings.origins:
            detail = "No assertion is accepted here: its audience is not known (PUBLIC_ORIGINS). Use a secret."
            raise _TokenRefused(401, "invalid_client", detail, "public_origins")
        return await transcripts.authenticate_by_assertion(
            ClientAssertion(
                assertion=assertion,
                audiences=settings.origins,
                request=secrets.token_hex(),
                client_id=fields.get("client_id"),
                scope=scope,
            )
        )

    def refused(by: _TokenRefused) -> Response:
        """Return the answer of a refused token request, which is logged where something was shown."""
        if by.why:
            about: dict[str, Any] = {"status": by.status, "code": by.error, "client": by.client, "why": by.why}
            REFUSALS.note(FORBIDDEN, method="POST", route=TOKEN_PATH, **about)
        return by.response()

    @app.post(
        TOKEN_PATH,
        openapi_extra=TOKEN_FORM,
        responses={
            **{
                status: {"description": codes, "content": {"application/json": {"schema": TOKEN_ERROR}}}
                for status, codes in (
                    (400, "invalid_request, invalid_scope, unsupported_grant_type"),
                    (401, "invalid_client"),
                )
            },
            **problems_of(_408="timeout", _413="too_large", _429="rate_limited", _503="unavailable"),
        },
    )
    async def token(request: Request) -> Response:
        """Give a client an access token (`client_credentials`), with HTTP Basic: its id and its secret.

        Or with `client_assertion_type` and `client_assertion` in the form (`private_key_jwt`): a JWT that the client
        has signed with its key, with the address of the installation, without a path, as `aud`.

        `scope` has the wanted scopes, separated by spaces; without it the token has all scopes of the client. The token
        is valid for ten minutes.
        """
        begin_trace(request.headers.get("traceparent"), public=True)
        require_rate(tokens, address_of(request, settings), settings)
        try:
            found = await authenticated(request)
        except _TokenRefused as by:
            return refused(by)
        except Unavailable as error:
            raise unavailable() from error
        except Declined as declined:
            if declined.status not in (400, 401):  # a replica of a release that has no clients
                raise unavailable() from declined
            said = declined.problem
            detail, why, client = str(said.get("detail", "")), said.get("why"), said.get("client")
            return refused(_TokenRefused(declined.status, declined.code, detail, why, client))
        answer = {
            "access_token": keys.client_token(found.client_id, found.scopes),
            "token_type": "Bearer",
            "expires_in": CLIENT_TOKEN_LIFE,
            "scope": " ".join(found.scopes),
        }
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    @app.get("/api/integration/statistics", responses=_READING)
    async def statistics(
        request: Request,
        department: Department,
        from_: First,
        until: Last,
        of: Annotated[str, Query(pattern="^(chats|questions)$", description="rows of chats or of left questions")] = (
            "chats"
        ),
        cursor: After = None,
        limit: Rows = 100,
    ) -> Response:
        """List one row for each chat or left question of these days, without persons, in the order of time.

        A chat has a row when it has ended, at the time of its opening; its rating may come later. `id` stays the same.
        """
        who, _ = reader(request, "statistics", department)
        since, last = period_of(from_, until)
        page = await answered(transcripts.statistic_rows(_rows(who, department, since, last, cursor, limit, of)))
        return JSONResponse({"rows": page.rows, "next": page.next})

    @app.get("/api/integration/questions", responses=_READING)
    async def questions(
        request: Request,
        department: Department,
        from_: First,
        until: Last,
        cursor: After = None,
        limit: Rows = 100,
    ) -> Response:
        """List the questions that were left on these days, answered or not, in the order of time."""
        who, _ = reader(request, "questions", department)
        since, last = period_of(from_, until)
        page = await answered(transcripts.question_rows(_rows(who, department, since, last, cursor, limit)))
        return JSONResponse({"questions": page.rows, "next": page.next})

    @app.get("/api/integration/chats", responses=_READING)
    async def chats(
        request: Request,
        department: Department,
        from_: Annotated[str | None, Query(alias="from", pattern=DAY, description="the first day of the end")] = None,
        until: Annotated[str | None, Query(pattern=DAY, description="the last day of the end")] = None,
        cursor: Annotated[Cursor | None, Query(description="the `next` of the page before")] = None,
        limit: Rows = 50,
    ) -> Response:
        """List the chats of the department that have ended, the newest first, without the persons.

        `searched_until` is a time when the search stopped there before the page was full: `next` continues it.
        """
        who, _ = reader(request, "chats", department)
        first, last = days_of(from_, until)
        query = ClosedChatsQuery(reader=who, department=department, since=first, until=last, before=cursor, limit=limit)
        page = await answered(transcripts.closed_chats(query))
        stopped = stamp(page.searched_until) if page.searched_until else None
        return JSONResponse({"chats": list(map(_shown, page.chats)), "next": page.next, "searched_until": stopped})

    @app.get(
        "/api/integration/chats/{chat_id}/transcript",
        responses=problems_of(
            _401="unauthenticated",
            _403="insufficient_scope",
            _404="no_such_chat",
            _409="not_ended",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def transcript(request: Request, chat_id: str) -> Response:
        """Return the conversation of a chat that has ended, as JSON with its chain (docs/transcript-format.md)."""
        who, scopes = reader(request, "transcripts")
        if not is_id(chat_id):
            raise Problem(404, "no_such_chat", "There is no such chat.")
        named = [scope.partition(":")[2] for scope in scopes if scope.startswith("transcripts:")]
        actor = Actor(party="client", id=who.client_id, departments=sorted(named), source=who.source)
        return await pass_download(transcripts, f"/chats/{chat_id}/transcript?format=json", actor)


def _credentials(header: str) -> tuple[str, str]:
    """Return the id and the secret of HTTP Basic, each encoded as in a form (RFC 6749 section 2.3.1).

    Raises:
        _TokenRefused: There are none.
    """
    scheme, _, encoded = header.partition(" ")
    try:
        if scheme.lower() != "basic" or len(header) > MOST_CREDENTIALS:
            raise ValueError
        id_, colon, secret = base64.b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
        client_id, secret = (unquote_plus(text, errors="strict") for text in (id_, secret))
        if not colon or len(client_id) > MOST_ID or len(secret) > 200:
            raise ValueError
    except (ValueError, binascii.Error):
        detail = "Authenticate with HTTP Basic: the id of the client and its secret."
        raise _TokenRefused(401, "invalid_client", detail, "credentials" if header else None) from None
    return client_id, secret


async def _fields(request: Request) -> dict[str, str]:
    """Return the parameters of a token request.

    Raises:
        _TokenRefused: It is no such request.
        Problem: 408 `timeout`, 413 `too_large`.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = await read_bounded(request, MOST_FORM)
    try:
        if kind != "application/x-www-form-urlencoded":
            raise ValueError
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=10, errors="strict")
        if any(len(values) > 1 for values in fields.values()):
            raise ValueError
    except ValueError:
        detail = "Send a form (application/x-www-form-urlencoded) with each parameter once."
        raise _TokenRefused(400, "invalid_request", detail) from None
    return {name: values[0] for name, values in fields.items()}


def _wanted(fields: Mapping[str, str]) -> str | None:
    """Return the scopes that a token request asks for; None: it names none.

    Raises:
        _TokenRefused: It asks for no access token of a client.
    """
    if "grant_type" not in fields:
        raise _TokenRefused(400, "invalid_request", "Send grant_type=client_credentials.")
    if fields["grant_type"] != "client_credentials":
        raise _TokenRefused(400, "unsupported_grant_type", "Only client_credentials is supported.")
    scope = fields.get("scope", "")
    if len(scope) > MOST_SCOPE:
        raise _TokenRefused(400, "invalid_scope", f"Ask for at most {MOST_SCOPE} characters of scopes.")
    return scope or None


def _assertion(fields: Mapping[str, str]) -> str | None:
    """Return what a client has signed; None: it sends nothing of the kind.

    Raises:
        _TokenRefused: It is of another type, incomplete, or too long.
    """
    kind, assertion = fields.get("client_assertion_type"), fields.get("client_assertion")
    if kind is None and assertion is None:
        return None
    if kind != ASSERTION_TYPE or not assertion:
        detail = f"Send client_assertion_type={ASSERTION_TYPE} and client_assertion."
        raise _TokenRefused(400, "invalid_request", detail)
    if len(assertion) > MOST_ASSERTION or len(fields.get("client_id", "")) > MOST_ID:
        detail = f"An assertion has at most {MOST_ASSERTION} characters, an id at most {MOST_ID}."
        raise _TokenRefused(401, "invalid_client", detail, "too_long")
    return assertion


def _rows(
    who: ClientReader, department: str, since: date, until: date, after: str | None, limit: int, of: str = "chats"
) -> RowsQuery:
    return RowsQuery.model_validate(
        {
            "reader": who,
            "department": department,
            "since": since,
            "until": until,
            "after": after,
            "limit": limit,
            "of": of,
        }
    )


def _shown(chat: ClosedChat) -> dict[str, Any]:
    shown = chat.model_dump(mode="json")
    return {**shown, "opened_at": stamp(chat.opened_at), "ended_at": stamp(chat.ended_at)}
