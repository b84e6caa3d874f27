"""Routes of the read API: the authentication of a client, and pages of what it may read.

Each page that is read is in the access log first, with the client as the reader (role `service`). The gateway logs
refused authentications, bounded, with the `why` of the answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime

import structlog
from fastapi import APIRouter, Request
from fastapi.responses import Response
from pymongo.errors import ExecutionTimeout

from services.common.config.integrations import Client
from services.common.events.types import Record
from services.common.http.problems import Problem
from services.common.internal_api import integration as integration_api
from services.common.internal_api.integration import ClientReader, ClosedChat, Kind
from services.common.internal_api.reports import MOST_DAYS
from services.common.runtime.service import caller
from services.transcripts import metrics
from services.transcripts.access.client_assertions import Refused
from services.transcripts.access_log.store import Access, Act
from services.transcripts.api.context import Context, role_of
from services.transcripts.api.responses import json_response
from services.transcripts.past_chats.store import Wanted
from services.transcripts.statistics.rules import bounds

log = structlog.get_logger()
_LOGGED: dict[Kind, Act] = {"statistics": "report_read", "chats": "chats_listed", "questions": "questions_read"}


def create_routes(context: Context) -> APIRouter:
    """Return these routes."""
    routes = APIRouter()

    @routes.post(integration_api.CLIENT_AUTHENTICATE, response_model=integration_api.ClientScopes)
    async def authenticate(request: Request, given: integration_api.ClientSecret) -> Response:
        caller(request)
        client = context.integration.client(given.client_id, given.secret)
        if client is None:
            metrics.CLIENT_LOGINS.labels("refused").inc()
            raise Problem(401, "invalid_client", "There is no client with this id and secret.", why="secret")
        return granted(client, given.scope)

    @routes.post(integration_api.CLIENT_ASSERTED, response_model=integration_api.ClientScopes)
    async def authenticate_by_assertion(request: Request, given: integration_api.ClientAssertion) -> Response:
        caller(request)
        try:
            client = await context.integration.asserted(
                given.assertion, given.audiences, given.request, given.client_id, context.clock()
            )
        except Refused as refused:
            metrics.CLIENT_LOGINS.labels("refused").inc()
            detail = "The assertion of the client is not accepted."
            raise Problem(401, "invalid_client", detail, why=refused.why, client=refused.client_id) from refused
        return granted(client, given.scope)

    def granted(client: Client, scope: str | None) -> Response:
        scopes = context.integration.scopes(client, scope)
        if scopes is None:
            metrics.CLIENT_LOGINS.labels("refused").inc()
            log.warning("client_scope_refused", client=client.id)
            raise Problem(400, "invalid_scope", "A scope that was asked for is not granted to this client.")
        metrics.CLIENT_LOGINS.labels("granted").inc()
        log.info("client_authenticated", client=client.id)
        return json_response(integration_api.ClientScopes(client_id=client.id, scopes=scopes))

    @routes.post(integration_api.STATISTIC_ROWS, response_model=integration_api.RowsPage)
    async def statistics(request: Request, query: integration_api.RowsQuery) -> Response:
        caller(request)
        since, until = span(query.since, query.until)
        return await read(
            query.reader,
            "statistics",
            query.department,
            lambda: context.integration.statistics(query.of, query.department, since, until, query.after, query.limit),
        )

    @routes.post(integration_api.QUESTION_ROWS, response_model=integration_api.RowsPage)
    async def questions(request: Request, query: integration_api.RowsQuery) -> Response:
        caller(request)
        since, until = span(query.since, query.until)
        return await read(
            query.reader,
            "questions",
            query.department,
            lambda: context.integration.questions(query.department, since, until, query.after, query.limit),
        )

    @routes.post(integration_api.CLOSED_CHATS, response_model=integration_api.ClosedChatsPage)
    async def chats(request: Request, query: integration_api.ClosedChatsQuery) -> Response:
        caller(request)
        wanted = Wanted(
            departments=(query.department,),
            since=bounds(query.since, query.since, context.zone)[0] if query.since else None,
            until=bounds(query.until, query.until, context.zone)[1] if query.until else None,
            before=query.before,
            limit=query.limit,
        )

        async def page() -> Record:
            found = await context.past_chats.search(wanted)
            rows = [
                ClosedChat.model_validate(
                    {**{name: row[name] for name in ClosedChat.model_fields if name in row}, "agents": len(row["who"])}
                )
                for row in found.rows
            ]
            return integration_api.ClosedChatsPage(chats=rows, next=found.next, searched_until=found.until)

        return await read(query.reader, "chats", query.department, page)

    def span(since: date, until: date) -> tuple[datetime, datetime]:
        if not 1 <= (until - since).days + 1 <= MOST_DAYS:
            raise Problem(422, "period_too_long", f"Ask for 1 to {MOST_DAYS} days.")
        return bounds(since, until, context.zone)

    async def read(
        reader: ClientReader, kind: Kind, department: str, page: Callable[[], Awaitable[Record]]
    ) -> Response:
        """Return a page that a client may read. Its reading is logged before.

        Raises:
            Problem: 403 `insufficient_scope`, 429 `rate_limited`, 503 `unavailable`.
        """
        if not context.integration.may(reader.client_id, kind, department):
            raise Problem(403, "insufficient_scope", "This client may not read this of this department.")
        release = await context.slot(context.client_reads, reader.client_id)
        try:
            await context.access_log.record(
                Access(
                    _LOGGED[kind],
                    reader.client_id,
                    role_of("client", supervisor=False),
                    department=department,
                    source=reader.source,
                )
            )
            answer = await page()
        except ExecutionTimeout:
            detail = "This page takes too long. Ask for fewer days or fewer rows."
            raise Problem(503, "unavailable", detail, {"Retry-After": "5"}) from None
        finally:
            release()
        metrics.CLIENT_READS.labels(reader.client_id, kind).inc()
        return json_response(answer)

    return routes
