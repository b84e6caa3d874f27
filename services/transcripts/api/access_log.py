"""Routes of the access log: notes of other services, and its entries for auditors."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pymongo.errors import ExecutionTimeout

from services.common.http.problems import Problem
from services.common.http.service_tokens import Caller
from services.common.http.tokens import OPERATOR
from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.transcripts import Reader
from services.common.runtime.service import caller
from services.transcripts.access_log.store import Access, Act, Filter
from services.transcripts.api.context import Context, role_of
from services.transcripts.api.responses import json_response


def create_routes(context: Context) -> APIRouter:
    """Return these routes."""
    routes = APIRouter()

    @routes.post(transcripts_api.ACCESS_NOTE, status_code=204)
    async def note(request: Request, noted: transcripts_api.AccessNoted) -> Response:
        who, by = caller(request), noted.reader
        who.require_agent(by.agent_id, noted.departments, by.supervisor, by.role)
        if noted.act.startswith(("departments_", "account_", "accounts_", "session")):
            if who.service == OPERATOR:
                await context.access_log.record(Access(noted.act, by.agent_id, "operator", item=noted.item))
                return Response(status_code=204)
            if by.role != "administrator":
                raise Problem(403, "forbidden", "Only an administrator may do this.")
        departments = ",".join(noted.departments) or None
        await context.access_log.record(access_of(noted.act, by, noted.chat_id, departments, noted.item))
        return Response(status_code=204)

    @routes.post(transcripts_api.ACCESS_LOG, response_model=transcripts_api.AccessEntries)
    async def entries(request: Request, query: transcripts_api.AccessQuery) -> Response:
        """Return a page. That an export began is an entry of the log too."""
        caller(request).require_operator()
        if not query.after:
            await context.access_log.record(Access("access_log_read", query.by, "operator"))
        return json_response(transcripts_api.AccessEntries(entries=await context.access_log.entries(query.after)))

    @routes.post(transcripts_api.ACCESS_SEARCH, response_model=transcripts_api.AccessPage)
    async def search(request: Request, query: transcripts_api.AccessSearch) -> Response:
        """Return a page for an auditor. The reading is an entry of the log first."""
        _require_auditor(caller(request), query.by)
        if query.about is not None:
            await context.access_log.record(_reading("access_log_read", query.by, query.about))
        wanted = Filter(query.who, query.chat, query.act, query.since, query.until)
        try:
            found = await context.access_log.search(wanted, query.most + 1, query.before, query.after)
        except ExecutionTimeout:
            detail = "This search takes too long. Choose a shorter period, or a person or chat."
            raise Problem(422, "search_too_large", detail) from None
        page = transcripts_api.AccessPage(entries=found[: query.most], more=len(found) > query.most)
        return json_response(page)

    @routes.post(transcripts_api.ACCESS_SPAN, response_model=transcripts_api.AccessSpan)
    async def span(request: Request, query: transcripts_api.AccessSpanQuery) -> Response:
        _require_auditor(caller(request), query.by)
        await context.access_log.record(_reading("access_log_exported", query.by, query.about))
        after, last = await context.access_log.span(query.since, query.until)
        return json_response(transcripts_api.AccessSpan(after=after, last=last))

    @routes.post(transcripts_api.ACCESS_VERIFY, response_model=transcripts_api.AccessVerified)
    async def verify(request: Request, query: transcripts_api.AccessVerify) -> Response:
        _require_auditor(caller(request), query.by)
        release = await context.slot(context.access_verifications, query.by.agent_id)
        try:
            await context.access_log.record(_reading("access_log_verified", query.by))
            found = await context.access_log.verify()
        finally:
            release()
        return json_response(
            transcripts_api.AccessVerified(
                first=found.first,
                last=found.head.seq,
                hash=found.head.hash,
                complete=found.complete,
                problems=[str(flaw) for flaw in found.flaws],
                flaws=[
                    transcripts_api.AccessFlaw(code=flaw.code, first=flaw.first, last=flaw.last) for flaw in found.flaws
                ],
            )
        )

    return routes


def _require_auditor(who: Caller, by: Reader) -> None:
    """Check that an auditor asks.

    Raises:
        Problem: 403 `forbidden`.
    """
    if by.role != "auditor":
        raise Problem(403, "forbidden", "The access log is for auditors.")
    who.require_agent(by.agent_id, role=by.role)


def _reading(act: Act, by: Reader, about: str | None = None) -> Access:
    return Access(act, by.agent_id, "auditor", item=about or None, source=by.source)


def access_of(
    act: Act, reader: Reader, chat_id: str | None = None, department: str | None = None, item: str | None = None
) -> Access:
    """Return the entry for what an agent or an officer does."""
    role = reader.role or role_of("agent", reader.supervisor)
    return Access(act, reader.agent_id, role, chat_id, item, department, reader.source)
