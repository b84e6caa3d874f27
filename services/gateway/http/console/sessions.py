"""Routes of lists of sessions: people see and end their own, administrators those of others."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from services.common.http.problems import Problem
from services.common.internal_api import sessions as api
from services.common.internal_api.presence import OpenSession
from services.common.internal_api.transcripts import AccessNoted, Reader
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.http.dependencies import (
    BODY,
    address_of,
    answered,
    body_of,
    login_session,
    noted,
    problems_of,
    read_json,
)
from services.gateway.http.security.cookies import session_token
from services.gateway.settings import Settings
from services.gateway.websocket.frames.server import stamp

OWN, OTHERS = "/api/agent/sessions", "/api/sessions"
MOST_ID = 36  # characters of an id


class SessionsSought(BaseModel):
    """Whose sessions are wanted: of people with this text in their name; empty: of all."""

    model_config = ConfigDict(extra="ignore", strict=True)
    search: Annotated[str, Field(max_length=100)] = ""


class SessionNamed(BaseModel):
    """The session that is ended."""

    model_config = ConfigDict(extra="ignore", strict=True)
    id: Annotated[str, Field(min_length=1, max_length=MOST_ID)]


def install(app: FastAPI, presence: PresenceClient, transcripts: TranscriptsClient, settings: Settings) -> None:
    """Add these routes.

    The access log of transcripts has each search of an administrator, and each end of another's session, before it is
    made.
    """

    async def administrator(request: Request) -> OpenSession:
        session = await login_session(request, presence)
        if session.role != "administrator":
            raise Problem(403, "forbidden", "Only an administrator may do this.")
        return session

    async def note(
        act: Literal["sessions_read", "session_ended"], item: str | None, request: Request, session: OpenSession
    ) -> None:
        reader = Reader(agent_id=session.agent.id, role="administrator", source=address_of(request, settings))
        await transcripts.note_access(AccessNoted(act=act, reader=reader, item=item))

    problems = {"_401": "unauthenticated", "_403": "forbidden", "_503": "unavailable"}

    @app.get(OWN, responses=problems_of(**problems))
    async def own(request: Request) -> Response:
        """List the own sessions, those that were used last first.

        `current`: the one of this request. `begun_at`, `used_at`: null for a session of an earlier release. `network`:
        the beginning of the address from which it began; `browser`, `system`: the family of the browser and of its
        operating system, or `other`; empty: not known.
        """
        await login_session(request, presence)
        found = await answered(presence.own_sessions(api.OwnSessions(token=_token(request))))
        return JSONResponse({"sessions": [_shown(one) for one in found.sessions]})

    @app.delete(
        OWN + "/{session_id}",
        status_code=204,
        responses=problems_of(**problems, _404="no_such_session", _409="current_session"),
    )
    async def end_own(request: Request, session_id: str) -> Response:
        """End another one of the own sessions. Its websockets are closed.

        The agent's chats go to the head of the queue if no other session of theirs has a websocket. 409
        `current_session`: it is the one of this request, which is ended by logging out.
        """
        await login_session(request, presence)
        if len(session_id) > MOST_ID:
            raise _no_such_session()
        await answered(presence.end_own_session(api.OwnSessionEnd(token=_token(request), session_id=session_id)))
        return Response(status_code=204)

    @app.post(
        OTHERS + "/search",
        openapi_extra=body_of(SessionsSought),
        responses=problems_of(**problems, **BODY, _422="invalid"),
    )
    async def search(request: Request) -> Response:
        """List the live sessions of all people, or of those who are sought, 100 at most. For administrators.

        As the own ones, with `agent_id` and `name`. `more`: there are others; a search finds them. The access log has
        this first.
        """
        session = await administrator(request)
        wanted = (await read_json(request, SessionsSought)).search.strip() or None
        await answered(note("sessions_read", wanted, request, session))
        found = await answered(presence.sessions(api.SessionsQuery(search=wanted)))
        shown = [
            {**_shown(one), "current": one.id == session.session_id, "agent_id": one.agent_id, "name": one.name}
            for one in found.sessions
        ]
        return JSONResponse({"sessions": shown, "more": found.more})

    @app.post(
        OTHERS + "/end",
        status_code=204,
        openapi_extra=body_of(SessionNamed),
        responses=problems_of(
            **(problems | {"_503": "unavailable, not_logged"}),
            **BODY,
            _404="no_such_session",
            _409="current_session",
            _422="invalid",
        ),
    )
    async def end(request: Request) -> Response:
        """End a session of another person. For administrators; the access log has it first.

        Its websockets are closed. An agent's chats go to the head of the queue if no other session of theirs has a
        websocket.
        """
        session = await administrator(request)
        wanted = await read_json(request, SessionNamed)
        if wanted.id == session.session_id:
            raise Problem(409, "current_session", "This is the session with which you ask: log out in its place.")
        found = (await answered(presence.sessions(api.SessionsQuery(session_id=wanted.id)))).sessions
        if not found:
            raise _no_such_session()
        item = f"{found[0].name or '?'}: {found[0].agent_id}"
        await noted(note("session_ended", item, request, session))
        await answered(presence.end_other_session(api.OtherSessionEnd(session_id=wanted.id, by=session.agent.id)))
        return Response(status_code=204)


def _token(request: Request) -> str:
    return session_token(request.cookies, request.headers.get("host", "")) or ""


def _no_such_session() -> Problem:
    return Problem(404, "no_such_session", "There is no such session (any more).")


def _shown(one: api.SessionView) -> dict[str, Any]:
    return {
        "id": one.id,
        "current": one.current,
        "begun_at": stamp(one.begun_at) if one.begun_at else None,
        "used_at": stamp(one.used_at) if one.used_at else None,
        "expires_at": stamp(one.expires_at),
        "network": one.network,
        "browser": one.client.browser,
        "system": one.client.system,
    }
