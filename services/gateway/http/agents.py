"""Routes of agents: login sessions, and the colleagues to whom a chat can be transferred."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.common.config.departments import Departments
from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.http.cookies import clear_session, device_cookie, session_token, set_device, set_session
from services.gateway.http.dependencies import (
    address_of,
    agent_session,
    body_of,
    login_session,
    passed_on,
    problems_of,
    read_json,
    require_own_origin,
    scheme_of,
    unavailable,
)
from services.gateway.participants.transfers import can_take
from services.gateway.settings import Settings


class LogIn(BaseModel):
    """Body of `POST /api/agent/session`."""

    model_config = ConfigDict(extra="ignore", strict=True)
    username: Annotated[str, Field(min_length=1, max_length=100)]
    password: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(presence_api.short_enough)]
    code: Annotated[str, Field(max_length=20)] = ""


def install(app: FastAPI, presence: PresenceClient, departments: Departments, settings: Settings) -> None:
    """Add the routes of agents' sessions and the list of colleagues."""

    @app.post(
        "/api/agent/session",
        status_code=204,
        openapi_extra=body_of(LogIn),
        responses=problems_of(
            _401="bad_credentials, totp_required",
            _403="forbidden",
            _408="timeout",
            _413="too_large",
            _415="unsupported_media_type",
            _422="invalid",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def log_in(request: Request) -> Response:
        """Log an agent in.

        The answer is 204 with two cookies: one of the session, one that marks the browser as known. 401
        `totp_required`: the password is right, and the one-time password of the agent's authenticator is needed too, as
        `code`.
        """
        require_own_origin(request)
        given, host = await read_json(request, LogIn), request.headers.get("host", "")
        credentials = presence_api.Credentials(
            username=given.username,
            password=given.password,
            address=address_of(request, settings),
            device=device_cookie(request.cookies, host),
            code=given.code,
        )
        try:
            session = await presence.open_session(credentials)
        except Unavailable as error:
            raise unavailable() from error
        except Declined as declined:
            raise passed_on(declined) from declined
        response = Response(status_code=204)
        set_session(response, session.token or "", scheme_of(request, settings), host)
        if session.device:
            set_device(response, session.device, scheme_of(request, settings), host)
        return response

    @app.delete("/api/agent/session", status_code=204, responses=problems_of(_503="unavailable"))
    async def log_out(request: Request, everywhere: Annotated[bool, Query()] = False) -> Response:
        """Log the agent out and close the session's websockets.

        Unless another session of the agent has one open, the agent's chats go to the head of the queue. `everywhere`:
        all sessions of the agent end.
        """
        require_own_origin(request)
        if token := session_token(request.cookies, request.headers.get("host", "")):
            try:
                ending = presence_api.SessionEnd(token=token, everywhere=everywhere)
                await presence.end_session(ending)
            except Unavailable as error:
                raise unavailable() from error
            except Declined as declined:
                if declined.status != 401:
                    raise passed_on(declined) from declined
        response = Response(status_code=204)
        clear_session(response, scheme_of(request, settings), request.headers.get("host", ""))
        return response

    @app.get("/api/agent/me", responses=problems_of(_401="unauthenticated", _503="unavailable"))
    async def me(request: Request) -> Response:
        """Return who is logged in.

        `role`: `agent`, `supervisor`, `administrator` or `auditor`. The last two are no agents and serve no department.
        `manages`: the departments whose canned answers an administrator manages.
        """
        session = await login_session(request, presence)
        agent, role = session.agent, session.role or ("supervisor" if session.agent.supervisor else "agent")
        shown = agent.model_dump(include={"id", "name", "departments", "capacity", "state", "supervisor"}, mode="json")
        every = [{"id": d.id, "names": d.names.model_dump()} for d in departments.departments]
        return JSONResponse({**shown, "role": role, **({"manages": every} if role == "administrator" else {})})

    @app.get(
        "/api/agents", responses=problems_of(_401="unauthenticated", _404="unknown_department", _503="unavailable")
    )
    async def agents(request: Request, department: Annotated[str | None, Query()] = None) -> Response:
        """List where a chat can be transferred now: departments, and colleagues who are available with a free slot."""
        own_id = (await agent_session(request, presence)).agent.id
        if department is not None and departments.get(department) is None:
            raise Problem(404, "unknown_department", "There is no such department; leave it out for the default one.")
        question = presence_api.AgentsQuery(department=department)
        try:
            found = await presence.agents(question)
        except Unavailable as error:
            raise unavailable() from error
        shown = {"id", "name", "departments", "state", "online", "free"}
        return JSONResponse(
            {
                "departments": [
                    {"id": d.id, "name": d.names.nl, "names": d.names.model_dump()} for d in departments.departments
                ],
                "agents": [a.model_dump(include=shown, mode="json") for a in found if can_take(a, own_id)],
            },
        )
