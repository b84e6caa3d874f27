"""Routes of agents: login sessions, and the colleagues to whom a chat can be transferred."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from services.common.config.departments import Departments
from services.common.events.types import ButtonColour
from services.common.http.problems import Problem
from services.common.internal_api import presence as presence_api
from services.gateway.button_state import Button, Buttons
from services.gateway.clients.http_client import Declined, Unavailable
from services.gateway.clients.presence import PresenceClient
from services.gateway.http.dependencies import (
    BODY,
    address_of,
    agent_session,
    answered,
    body_of,
    client_of,
    login_session,
    passed_on,
    problems_of,
    read_json,
    require_own_origin,
    scheme_of,
    unavailable,
)
from services.gateway.http.pages.static_files import has_demo
from services.gateway.http.security.cookies import clear_session, device_cookie, session_token, set_device, set_session
from services.gateway.participants.transfers import can_take
from services.gateway.settings import Settings

UNFIT = "password_too_short, password_easy, password_common, password_breached, password_unchanged"
"""The problems of a new password that is not good enough."""


class LogIn(BaseModel):
    """Body of `POST /api/agent/session`."""

    model_config = ConfigDict(extra="ignore", strict=True)
    username: Annotated[str, Field(min_length=1, max_length=100)]
    password: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(presence_api.short_enough)]
    code: Annotated[str, Field(max_length=20)] = ""
    new: Annotated[str, Field(max_length=500), AfterValidator(presence_api.short_enough)] = ""


class ChangePassword(BaseModel):
    """Body of `PUT /api/agent/password`."""

    model_config = ConfigDict(extra="ignore", strict=True)
    old: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(presence_api.short_enough)]
    new: Annotated[str, Field(min_length=1, max_length=500), AfterValidator(presence_api.short_enough)]


def install(
    app: FastAPI, presence: PresenceClient, departments: Departments, buttons: Buttons, settings: Settings
) -> None:
    """Add the routes of agents' sessions and the list of colleagues."""

    @app.post(
        "/api/agent/session",
        status_code=204,
        openapi_extra=body_of(LogIn),
        responses=problems_of(
            _401="bad_credentials, totp_required, password_change_required",
            _403="forbidden",
            **BODY,
            _422=f"invalid, {UNFIT}",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def log_in(request: Request) -> Response:
        """Log an agent in.

        The answer is 204 with two cookies: one of the session, one that marks the browser as known. 401
        `totp_required`: the password is right, and the one-time password of the agent's authenticator is needed too, as
        `code`. 401 `password_change_required`: the password is right for one login, in which the agent chooses another
        one, as `new`; 422: why that one is not good enough.
        """
        require_own_origin(request)
        given, host = await read_json(request, LogIn), request.headers.get("host", "")
        credentials = presence_api.Credentials(
            username=given.username,
            password=given.password,
            address=address_of(request, settings),
            device=device_cookie(request.cookies, host),
            code=given.code,
            new=given.new,
            former=(session_token(request.cookies, host) or "")[:200],
            client=client_of(request),
        )
        session = await answered(presence.open_session(credentials))
        response = Response(status_code=204)
        set_session(response, session.token or "", scheme_of(request, settings), host)
        if session.device:
            set_device(response, session.device, scheme_of(request, settings), host)
        return response

    @app.delete("/api/agent/session", status_code=204, responses=problems_of(_503="unavailable"))
    async def log_out(request: Request, everywhere: Annotated[bool, Query()] = False) -> Response:
        """Log the agent out and close the session's websockets.

        Unless another session of the agent has one open, the agent's chats go to the head of the queue. `everywhere`:
        all sessions of the agent end. The browser removes what it has stored of this host (`Clear-Site-Data`).
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
        response.headers["Clear-Site-Data"] = cleared()
        return response

    @app.put(
        "/api/agent/password",
        status_code=204,
        openapi_extra=body_of(ChangePassword),
        responses=problems_of(
            _401="unauthenticated, bad_credentials",
            _403="forbidden, no_password",
            **BODY,
            _422=f"invalid, {UNFIT}",
            _429="rate_limited",
            _503="unavailable",
        ),
    )
    async def change_password(request: Request) -> Response:
        """Change the own password. All other sessions of the agent end; this one goes on.

        403 `no_password`: the agent logs in at the issuer. Wrong old passwords are limited like those of logins.
        """
        await login_session(request, presence)
        given, host = await read_json(request, ChangePassword), request.headers.get("host", "")
        wish = presence_api.PasswordChange(
            token=session_token(request.cookies, host) or "",
            old=given.old,
            new=given.new,
            address=address_of(request, settings),
            device=device_cookie(request.cookies, host),
        )
        await answered(presence.change_password(wish))
        return Response(status_code=204)

    @app.get("/api/agent/me", responses=problems_of(_401="unauthenticated", _503="unavailable"))
    async def me(request: Request) -> Response:
        """Return who is logged in.

        `role`: `agent`, `supervisor`, `administrator` or `auditor`. The last two are no agents and serve no department.
        `manages`: the departments whose canned answers an administrator manages. `password`: they may change theirs.
        `pause_reasons`: the reasons of which the agent chooses one when they pause, with their names in four languages;
        empty: they are not asked. `closing`: what the agent says of a chat at its end, by department: the closing
        reasons, the tags, and whether a reason is required.
        """
        session = await login_session(request, presence)
        agent, role = session.agent, session.role or ("supervisor" if session.agent.supervisor else "agent")
        shown = agent.model_dump(include={"id", "name", "departments", "capacity", "state", "supervisor"}, mode="json")
        every = [{"id": d.id, "names": d.names.model_dump()} for d in departments.departments]
        more: dict[str, object] = {"password": session.local is True}
        if role == "administrator":
            more["manages"] = every
        if role in ("agent", "supervisor"):
            reasons = departments.pause_reasons(agent.departments)
            more["pause_reasons"] = [{"id": id_, "names": names.model_dump()} for id_, names in reasons.items()]
            more["closing"] = {
                one.id: {
                    "reasons": [option.model_dump() for option in one.closing_reasons],
                    "tags": [option.model_dump() for option in one.tags],
                    "required": one.closing_required,
                }
                for one in map(departments.get, agent.departments)
                if one and (one.closing_reasons or one.tags)
            }
        return JSONResponse({**shown, "role": role, **more})

    @app.get(
        "/api/agents", responses=problems_of(_401="unauthenticated", _404="unknown_department", _503="unavailable")
    )
    async def agents(request: Request, department: Annotated[str | None, Query()] = None) -> Response:
        """List where a chat can be transferred now: departments, and colleagues who are available with a free slot.

        A department has the `colour` and `reason` of its button: agents see which one is closed, or has nobody.
        """
        own_id = (await agent_session(request, presence)).agent.id
        if department is not None and departments.get(department) is None:
            raise Problem(404, "unknown_department", "There is no such department.")
        question = presence_api.AgentsQuery(department=department)
        try:
            found = await presence.agents(question)
        except Unavailable as error:
            raise unavailable() from error
        shown = {"id", "name", "departments", "state", "online", "free"}
        return JSONResponse(
            {
                "departments": [
                    {"id": d.id, "name": d.names.nl, "names": d.names.model_dump(), **_button(buttons.of[d.id])}
                    for d in departments.departments
                ],
                "agents": [a.model_dump(include=shown, mode="json") for a in found if can_take(a, own_id)],
            },
        )


def cleared() -> str:
    """Return what a browser removes of this site at a logout (W3C Clear Site Data).

    Cookies stay: the session's is deleted by name, and that of known browsers outlives a logout. Storage is of all
    pages of this host. Where the demonstration page is one of them, it has the chat of a citizen, which must not be
    lost; without it there is no page here that keeps a chat. The console clears its own storage in any case.
    """
    return '"cache"' if has_demo() else '"cache", "storage"'


def _button(button: Button) -> dict[str, str]:
    shown = button.shown
    colour = ButtonColour.GREEN if shown.green else ButtonColour.BLUE
    return {"colour": colour.value, "reason": shown.reason}
