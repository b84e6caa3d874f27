"""Routes of what supervisors do in their departments: the intake, agents, and running chats.

Each act is refused with a stable code and logged; what concerns a conversation is in the access log of transcripts
before it is done.
"""

from __future__ import annotations

from typing import Annotated, Literal

import structlog
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from services.common.config.departments import Departments
from services.common.events.messages import NotePosted
from services.common.events.types import ChatStatus, is_id
from services.common.http.problems import Problem
from services.common.internal_api import supervision as supervision_api
from services.common.internal_api.presence import AgentsQuery, AgentView
from services.common.internal_api.routing import ChatView, TokenRevocation, Transfer
from services.common.internal_api.transcripts import AccessNoted, Reader
from services.common.messaging.publisher import Publisher, Unconfirmed
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.routing import RoutingClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.console.left_questions import words
from services.gateway.http.dependencies import (
    BODY,
    address_of,
    answered,
    body_of,
    login_session,
    number_refused,
    problems_of,
    read_json,
    require_department_of,
    supervisor_of,
    unavailable,
)
from services.gateway.identifying_numbers import NumberRefused, NumberRules
from services.gateway.participants.transfers import can_take
from services.gateway.settings import Settings
from services.gateway.websocket.frames.client import MAX_TEXT
from services.gateway.websocket.frames.server import stamp

log = structlog.get_logger()
WHO = {"_401": "unauthenticated", "_503": "unavailable"}


class CloseIntake(BaseModel):
    """Body of `PUT /api/agent/intakes/{department}`: why the intake is closed, and until when."""

    model_config = ConfigDict(extra="ignore")
    reason: Literal["crowded", "staff", "meeting", "technical", "other"]
    until: AwareDatetime


class Reassign(BaseModel):
    """Body of `POST /api/agent/chats/{chat_id}/reassign`: the agent; null: back to the department's queue."""

    model_config = ConfigDict(extra="ignore", strict=True)
    agent: Annotated[str, Field(min_length=1, max_length=200)] | None


class SupervisorNote(BaseModel):
    """Body of `POST /api/agent/chats/{chat_id}/notes`: an internal note; one with the same id is stored once."""

    model_config = ConfigDict(extra="ignore", strict=True)
    id: Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$", max_length=36)]
    text: Annotated[str, Field(max_length=MAX_TEXT), AfterValidator(words)]


def install(
    app: FastAPI,
    publisher: Publisher,
    presence: PresenceClient,
    routing: RoutingClient,
    transcripts: TranscriptsClient,
    departments: Departments,
    numbers: NumberRules,
    settings: Settings,
) -> None:
    """Add these routes."""
    _install_intakes(app, presence, departments)
    _install_tokens(app, presence, routing, transcripts, settings)
    _install_agents(app, presence)

    @app.post(
        "/api/agent/chats/{chat_id}/reassign",
        status_code=204,
        openapi_extra=body_of(Reassign),
        responses=problems_of(
            **WHO, **BODY, _403="forbidden", _404="no_such_chat", _409="agent_unavailable, not_running", _422="invalid"
        ),
    )
    async def reassign(request: Request, chat_id: str) -> Response:
        """Give a running chat of the supervisor's departments to an agent, or back to the queue.

        409 `not_running`: no agent has it (any more). 409 `agent_unavailable`: the agent is not available, or has no
        free slot. An agent who does not accept it in time loses it again, as with any transfer.
        """
        supervisor = await supervisor_of(request, presence)
        wish = await read_json(request, Reassign)
        chat = await _running(chat_id, supervisor, routing)
        holder = chat.agent_id or ""
        if wish.agent is not None:
            found = await answered(presence.agents(AgentsQuery(ids=[wish.agent])))
            if not any(can_take(agent, holder) for agent in found):
                raise Problem(
                    409, "agent_unavailable", "This agent cannot take a chat now. Choose another one, or the queue."
                )
        await note(request, supervisor, "chat_reassigned", chat, wish.agent)
        to_department = chat.department if wish.agent is None else None
        transfer = Transfer(chat_id=chat_id, agent_id=holder, to_department=to_department, to_agent=wish.agent)
        try:
            await routing.transfer(transfer)
        except Unavailable as error:
            raise unavailable() from error
        except Declined as declined:
            raise _not_running() from declined
        log.info("chat_reassigned", chat_id=chat_id, by=supervisor.id, from_agent=holder, to_agent=wish.agent)
        return Response(status_code=204)

    @app.post(
        "/api/agent/chats/{chat_id}/notes",
        status_code=204,
        openapi_extra=body_of(SupervisorNote),
        responses=problems_of(
            **WHO, **BODY, _403="forbidden", _404="no_such_chat", _409="not_running", _422="identifying_number, invalid"
        ),
    )
    async def whisper(request: Request, chat_id: str) -> Response:
        """Add an internal note to a running chat of the supervisor's departments: the citizen never sees it."""
        supervisor = await supervisor_of(request, presence)
        given = await read_json(request, SupervisorNote)
        chat = await _running(chat_id, supervisor, routing)
        try:
            text = numbers.apply(given.text, chat.department)
        except NumberRefused as error:
            raise number_refused(error) from error
        await note(request, supervisor, "supervisor_note_added", chat)
        posted = NotePosted(chat_id=chat_id, id=given.id, agent_id=supervisor.id, agent_name=supervisor.name, text=text)
        try:
            await publisher.publish(posted)
        except Unconfirmed as error:
            raise unavailable() from error
        log.info("supervisor_note_added", chat_id=chat_id, by=supervisor.id)
        return Response(status_code=204)

    async def note(
        request: Request,
        supervisor: AgentView,
        act: Literal["chat_reassigned", "supervisor_note_added"],
        chat: ChatView,
        item: str | None = None,
    ) -> None:
        reader = Reader(agent_id=supervisor.id, supervisor=True, source=address_of(request, settings))
        noted = AccessNoted(act=act, reader=reader, chat_id=chat.chat_id, departments=[chat.department], item=item)
        await answered(transcripts.note_access(noted))


def _install_intakes(app: FastAPI, presence: PresenceClient, departments: Departments) -> None:
    path = "/api/agent/intakes/{department}"

    @app.put(
        path,
        openapi_extra=body_of(CloseIntake),
        responses=problems_of(
            **WHO, **BODY, _403="forbidden", _404="unknown_department", _422="invalid, invalid_until"
        ),
    )
    async def close(request: Request, department: str) -> Response:
        """Close the intake of a department of the supervisor until a moment at most 31 days away.

        The button turns blue as outside the opening hours, with the reason as its notice. Chats that run or wait go
        on. A closed intake gets the new reason and end.
        """
        supervisor = await supervisor_of(request, presence)
        require_department_of(supervisor, department, departments)
        given = await read_json(request, CloseIntake)
        wish = supervision_api.IntakeClose(
            department=department,
            reason=given.reason,
            until=given.until,
            agent_id=supervisor.id,
            name=supervisor.name,
        )
        closed = await answered(presence.close_intake(wish))
        shown = {"department": department, "reason": closed.reason, "until": stamp(closed.until)}
        return JSONResponse(shown)

    @app.delete(path, status_code=204, responses=problems_of(**WHO, _403="forbidden", _404="unknown_department"))
    async def reopen(request: Request, department: str) -> Response:
        """Open the intake of a department of the supervisor again. A repetition changes nothing."""
        supervisor = await supervisor_of(request, presence)
        require_department_of(supervisor, department, departments)
        wish = supervision_api.IntakeOpen(department=department, agent_id=supervisor.id)
        await answered(presence.open_intake(wish))
        return Response(status_code=204)


def _install_tokens(
    app: FastAPI, presence: PresenceClient, routing: RoutingClient, transcripts: TranscriptsClient, settings: Settings
) -> None:
    @app.delete(
        "/api/agent/chats/{chat_id}/token",
        status_code=204,
        responses=problems_of(**WHO, _403="forbidden", _404="no_such_chat"),
    )
    async def revoke(request: Request, chat_id: str) -> Response:
        """Revoke the token of a chat's citizen, because others may know it. The chat ends, if it has not.

        For supervisors of its department, and for administrators. A download code of the chat opens nothing any more.
        A repetition changes nothing.
        """
        session = await login_session(request, presence)
        officer, role = session.agent, session.role
        if role != "administrator" and (role is not None or not officer.supervisor):
            raise Problem(403, "forbidden", "Only a supervisor or an administrator may do this.")
        chat = await _known(chat_id, routing)
        if role is None and chat.department not in officer.departments:
            raise _other_department()
        source = address_of(request, settings)
        reader = Reader(agent_id=officer.id, supervisor=officer.supervisor, source=source, role=role)
        noted = AccessNoted(act="chat_token_revoked", reader=reader, chat_id=chat_id, departments=[chat.department])
        await answered(transcripts.note_access(noted))
        await answered(routing.revoke_token(TokenRevocation(chat_id=chat_id, by=officer.id, role=role)))
        log.info("chat_token_revoked", chat_id=chat_id, by=officer.id)
        return Response(status_code=204)


def _install_agents(app: FastAPI, presence: PresenceClient) -> None:
    problems = problems_of(**WHO, _403="forbidden", _404="no_such_agent", _409="not_online")

    @app.post("/api/agent/agents/{agent_id}/pause", status_code=204, responses=problems)
    async def pause(request: Request, agent_id: str) -> Response:
        """Pause an agent of the supervisor's departments. The agent reads that a supervisor did it, and may resume."""
        await answered(presence.pause_agent(_act(await supervisor_of(request, presence), agent_id)))
        return Response(status_code=204)

    @app.post("/api/agent/agents/{agent_id}/log-out", status_code=204, responses=problems)
    async def log_out(request: Request, agent_id: str) -> Response:
        """Log an agent of the supervisor's departments out everywhere. Their chats go to the head of the queue."""
        await answered(presence.log_agent_out(_act(await supervisor_of(request, presence), agent_id)))
        return Response(status_code=204)


def _act(supervisor: AgentView, agent_id: str) -> supervision_api.AgentAct:
    return supervision_api.AgentAct(agent_id=agent_id, by=supervisor.id, departments=supervisor.departments)


async def _known(chat_id: str, routing: RoutingClient) -> ChatView:
    """Return this chat.

    Raises:
        Problem: 404 `no_such_chat`, 503 `unavailable`.
    """
    found = (await answered(routing.chats([chat_id]))).get(chat_id) if is_id(chat_id) else None
    if found is None:
        raise Problem(404, "no_such_chat", "There is no such chat.")
    return found


async def _running(chat_id: str, supervisor: AgentView, routing: RoutingClient) -> ChatView:
    """Return a chat of the supervisor's departments that an agent has.

    Raises:
        Problem: 404 `no_such_chat`, 403 `forbidden`, 409 `not_running`, 503 `unavailable`.
    """
    found = await _known(chat_id, routing)
    if found.department not in supervisor.departments:
        raise _other_department()
    if found.state is not ChatStatus.ASSIGNED or not found.agent_id:
        raise _not_running()
    return found


def _other_department() -> Problem:
    return Problem(403, "forbidden", "Only a supervisor of the department of this chat may do this.")


def _not_running() -> Problem:
    return Problem(409, "not_running", "No agent has this chat any more.")
