"""Route of the reports for supervisors, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from services.common.config.departments import Departments
from services.common.http.problems import Problem
from services.common.internal_api.presence import AgentsQuery
from services.common.internal_api.reports import MOST_DAYS, By, Figures, FiguresQuery, FiguresReport
from services.common.internal_api.transcripts import Reader
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.console.past_chats import DAY, days_of
from services.gateway.http.dependencies import (
    address_of,
    answered,
    problems_of,
    require_department_of,
    supervisor_of,
)
from services.gateway.settings import Settings

COLUMNS = ("scope", "period", "from", "until", "department", "agent_id", "agent", "timezone", *Figures.model_fields)
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # OWASP, "CSV Injection"
MARK = "\ufeff"  # by which spreadsheets recognise UTF-8
Names = Mapping[str, str]


def install(
    app: FastAPI,
    presence: PresenceClient,
    transcripts: TranscriptsClient,
    departments: Departments,
    settings: Settings,
) -> None:
    """Add `GET /api/agent/reports`. The access log of transcripts has each of these requests."""

    @app.get(
        "/api/agent/reports",
        responses=problems_of(
            _401="unauthenticated",
            _403="forbidden",
            _404="unknown_department",
            _422="invalid, invalid_period, period_too_long, report_too_large",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def report(
        request: Request,
        from_: Annotated[str, Query(alias="from", pattern=DAY, description="the first day, such as 2026-11-01")],
        until: Annotated[str, Query(pattern=DAY, description="the last day")],
        by: By = "day",
        department: Annotated[str | None, Query(max_length=200)] = None,
        format: Literal["json", "csv"] = "json",
    ) -> Response:
        """Return the figures from one day to another one, both included, in the supervisor's own departments.

        Days and ISO weeks are those of the time zone that the answer names. Times are in whole seconds. The figures are
        defined in docs/operating.md. `by_agent` is null unless figures of agents are on.
        """
        agent = await supervisor_of(request, presence)
        require_department_of(agent, department, departments)
        since, last = period_of(from_, until)
        query = FiguresQuery(
            since=since,
            until=last,
            by=by,
            departments=list(agent.departments) if department is None else [department],
            reader=Reader(agent_id=agent.id, supervisor=True, source=address_of(request, settings)),
        )
        found = await answered(transcripts.report(query))
        ids = [one.id for one in found.agents or ()]
        names = {a.id: a.name for a in await answered(presence.agents(AgentsQuery(ids=ids)))} if ids else {}
        if format == "csv":
            name = f"chat-{since}-{last}.csv"
            headers = {"Content-Disposition": f'attachment; filename="{name}"'}
            return Response(as_csv(query, found, names), headers=headers, media_type="text/csv; charset=utf-8")
        return JSONResponse({**as_json(query, found, names), **_names(query, departments)})


def _names(query: FiguresQuery, departments: Departments) -> dict[str, Any]:
    """Return the names of what the figures have by id, in four languages."""
    names: dict[str, Any] = {}
    for name in ("pause_reasons", "closing_reasons", "tags"):
        options = departments.options(query.departments, name)
        names[name] = {id_: words.model_dump() for id_, words in options.items()}
    return {"names": names}


def period_of(first: str, last: str) -> tuple[date, date]:
    """Return the first and the last day of a period.

    Raises:
        Problem: 422 `invalid_period` or `period_too_long`.
    """
    since, until = days_of(first, last)
    assert since is not None
    assert until is not None
    if (until - since).days >= MOST_DAYS:
        raise Problem(422, "period_too_long", f"A period has at most {MOST_DAYS} days.")
    return since, until


def as_json(query: FiguresQuery, found: FiguresReport, names: Names) -> dict[str, Any]:
    """Return the report as the public interface has it. `names`: the names of agents by their ids."""
    by_agent = [{"agent_id": a.id, "name": names.get(a.id), **a.figures.model_dump()} for a in found.agents or ()]
    return {
        "from": query.since.isoformat(),
        "until": query.until.isoformat(),
        "by": query.by,
        "timezone": found.timezone,
        "departments": query.departments,
        "total": found.total.model_dump(),
        "periods": [
            {"period": p.period, "from": p.since.isoformat(), "until": p.until.isoformat(), **p.figures.model_dump()}
            for p in found.periods
        ],
        "by_department": [{"department": d.id, **d.figures.model_dump()} for d in found.departments],
        "by_agent": by_agent if found.agents is not None else None,
    }


def as_csv(query: FiguresQuery, found: FiguresReport, names: Names) -> str:
    """Return the report as CSV (RFC 4180): a line of names, then the total, periods, departments and agents."""
    told = as_json(query, found, names)
    span = {"from": told["from"], "until": told["until"], "timezone": told["timezone"]}
    alone = {"department": query.departments[0]} if len(query.departments) == 1 else {}
    rows = [{"scope": "total", **span, **alone, **told["total"]}]
    rows += [{"scope": query.by, **span, **alone, **p} for p in told["periods"]]
    rows += [{"scope": "department", **span, **d} for d in told["by_department"]]
    rows += [{"scope": "agent", **span, **alone, **a, "agent": a["name"]} for a in told["by_agent"] or ()]
    text = io.StringIO(MARK, newline="")
    text.seek(0, io.SEEK_END)
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: harmless(_cell(name, value)) for name, value in row.items()} for row in rows)
    return text.getvalue()


def _cell(name: str, value: Any) -> Any:
    """Return a figure as one cell.

    Pauses are `<reason>=<seconds>`, `*` for those without a reason; closing reasons and tags are `<id>=<chats>`.
    """
    if name == "pauses":
        return " ".join(f"{one['reason'] or '*'}={one['seconds']}" for one in value)
    if name in ("closing_reasons", "tags"):
        return " ".join(f"{one['id']}={one['chats']}" for one in value)
    return value


def harmless(value: Any) -> Any:
    """Return a cell that a spreadsheet takes for no formula: a text that begins like one gets an apostrophe."""
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
