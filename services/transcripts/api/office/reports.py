"""Route of the reports for supervisors."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pymongo.errors import ExecutionTimeout

from services.common.http.problems import Problem
from services.common.internal_api import reports as reports_api
from services.common.runtime.service import caller
from services.transcripts.api.access_log import access_of
from services.transcripts.api.context import Context
from services.transcripts.api.responses import json_response


def create_routes(context: Context) -> APIRouter:
    """Return this route."""
    routes = APIRouter()

    @routes.post(reports_api.REPORT, response_model=reports_api.FiguresReport)
    async def report(request: Request, query: reports_api.FiguresQuery) -> Response:
        caller(request).require_agent(query.reader.agent_id, query.departments, query.reader.supervisor)
        days = (query.until - query.since).days + 1
        if not 1 <= days <= reports_api.MOST_DAYS:
            raise Problem(422, "invalid", f"A report has 1 to {reports_api.MOST_DAYS} days.")
        release = await context.slot(context.reports, query.reader.agent_id)
        try:
            departments = ",".join(query.departments)
            await context.access_log.record(access_of("report_read", query.reader, department=departments))
            return json_response(await context.statistics.report(query, context.zone))
        except ExecutionTimeout:
            detail = "This report takes too long. Choose fewer days or one department."
            raise Problem(422, "report_too_large", detail) from None
        finally:
            release()

    return routes
