"""Route that shows supervisors why a chat was assigned to an agent."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from services.common.config.departments import Departments
from services.common.internal_api import routing as routing_api
from services.common.internal_api.transcripts import AccessNoted, Reader
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.routing import RoutingClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.dependencies import (
    address_of,
    answered,
    problems_of,
    require_department_of,
    supervisor_of,
)
from services.gateway.settings import Settings
from services.gateway.websocket.frames.server import stamp


def install(
    app: FastAPI,
    presence: PresenceClient,
    routing: RoutingClient,
    transcripts: TranscriptsClient,
    departments: Departments,
    settings: Settings,
) -> None:
    """Add `GET /api/assignments`. The access log of transcripts has each of these requests."""

    @app.get(
        "/api/assignments",
        responses=problems_of(_401="unauthenticated", _403="forbidden", _404="unknown_department", _503="unavailable"),
    )
    async def assignments(
        request: Request,
        chat_id: Annotated[str | None, Query(max_length=36)] = None,
        department: Annotated[str | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
    ) -> Response:
        """List the assignments of one chat, or the latest ones of a department, in the supervisor's own departments."""
        agent = await supervisor_of(request, presence)
        require_department_of(agent, department, departments)
        wanted = agent.departments if department is None else [department]
        reader = Reader(agent_id=agent.id, supervisor=True, source=address_of(request, settings))
        noted = AccessNoted(act="assignments_read", reader=reader, chat_id=chat_id, departments=wanted)
        query = routing_api.AssignmentsQuery(chat_id=chat_id, departments=wanted, limit=limit)
        await answered(transcripts.note_access(noted))
        shown = [_shown(a) for a in await answered(routing.assignments(query))]
        return JSONResponse({"assignments": shown})


def _shown(assignment: routing_api.Assignment) -> dict[str, Any]:
    return {**assignment.model_dump(mode="json"), "at": stamp(assignment.at)}
